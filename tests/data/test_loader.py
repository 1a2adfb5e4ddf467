"""Batches: determined by the step, with labels only of labelled cases."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semiseg.config import DataConfig
from semiseg.data import loader as loading
from semiseg.data.augment import draw_geometry
from semiseg.data.batch import Batch
from semiseg.data.loader import BatchLoader, to_input
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX, Intensity, bounds_of, normalise

STILL = DataConfig(size=32, quarter_turns_and_flips=0, rotation=0)
MOVING = DataConfig(size=32)
WriteData = Callable[[Path], PreparedData]


def loader(
    data: PreparedData, config: DataConfig = MOVING, rank: int = 0, ranks: int = 1
) -> BatchLoader:
    labelled = data.of_patients(("p1", "p2"))
    unlabelled = data.of_patients(("p3", "p4", "p5", "p6"))
    return BatchLoader(data, labelled, unlabelled, (2, 4), config, 7, rank, ranks)


def equal(one: Batch, other: Batch) -> bool:
    return torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)


def test_a_batch_has_labelled_images_first(small_data: PreparedData) -> None:
    batch = loader(small_data)(0)
    assert batch.images.shape == (6, 1, 32, 32)
    assert batch.images.dtype == torch.float32
    assert batch.labels.shape == (2, 32, 32)
    assert batch.labels.dtype == torch.int64
    assert (batch.labelled, batch.unlabelled) == (2, 4)


def test_images_and_labels_are_those_of_the_sampled_slices(small_data: PreparedData) -> None:
    load = loader(small_data, STILL)
    for step in range(4):
        batch = load(step)
        labelled, unlabelled = load.sampler(step)
        chosen = [load.labelled[i] for i in labelled] + [load.unlabelled[i] for i in unlabelled]
        for number, (case, index) in enumerate(chosen):
            pixels = small_data.image(case.identifier)[index]
            image = torch.from_numpy(normalise(pixels, small_data.task.intensity, case.bounds))
            assert torch.equal(batch.images[number], to_input(image[None], 32)[0])
            if number < 2:
                codes = torch.from_numpy(np.array(small_data.label(case.identifier)[index]))
                rows = [int((r + 0.5) * 36 / 32) for r in range(32)]  # the nearest of 36 rows
                assert torch.equal(batch.labels[number], codes[rows].long())


def test_a_batch_is_a_function_of_seed_step_and_rank(small_data: PreparedData) -> None:
    load = loader(small_data)
    history = [load(step) for step in range(6)]
    torch.manual_seed(99)
    for step in (5, 0, 3, 3):
        assert equal(load(step), history[step])
        assert equal(loader(small_data)(step), history[step])
    assert not equal(history[0], history[1])


def test_a_cache_of_no_size_gives_the_same_batches(small_data: PreparedData) -> None:
    small = loader(small_data, MOVING.model_copy(update={"cache_mb": 0}))
    large = loader(small_data)
    for step in range(5):
        assert equal(small(step), large(step))
    assert len(small.cache.kept) == 1
    assert len(large.cache.kept) > 4


def test_using_a_batch_does_not_spoil_the_cache(small_data: PreparedData) -> None:
    load = loader(small_data, STILL)
    before = load(0)
    kept = before.images.clone(), before.labels.clone()
    before.images.zero_()
    before.labels.zero_()
    after = load(0)
    assert torch.equal(after.images, kept[0])
    assert torch.equal(after.labels, kept[1])


def test_ranks_have_their_parts_of_the_batch(
    small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loader(small_data, STILL)(2)
    parts = [loader(small_data, STILL, rank, 2)(2) for rank in range(2)]
    assert torch.equal(whole.labels, torch.stack([p.labels[0] for p in parts]))
    labelled = torch.stack([p.images[0] for p in parts])
    unlabelled = torch.stack([p.images[1 + i] for i in range(2) for p in parts])
    assert torch.equal(whole.images, torch.cat([labelled, unlabelled]))
    drawn = []

    def draw(count: int, config: DataConfig, rng: np.random.Generator) -> torch.Tensor:
        drawn.append(draw_geometry(count, config, rng))
        return drawn[-1]

    monkeypatch.setattr(loading, "draw_geometry", draw)
    for rank, step in ((0, 1), (1, 1), (0, 2), (0, 1)):
        loader(small_data, MOVING, rank, 2)(step)
    assert not torch.equal(drawn[0], drawn[1])  # differs between ranks
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[0], drawn[3])


@pytest.mark.parametrize("poison", [True, False])
def test_labels_of_unlabelled_cases_are_never_read(
    small_data: PreparedData, write_data: WriteData, tmp_path: Path, poison: bool
) -> None:
    other = write_data(tmp_path / "copy")
    for patient in ("p3", "p4", "p5", "p6"):
        file = other.folder / "labels" / f"{patient}.npy"
        if poison:
            np.save(file, np.full((2, 36, 32), 255, np.uint8))
        else:
            file.unlink(missing_ok=True)
    for step in range(6):
        assert equal(loader(other)(step), loader(small_data)(step))


def test_shrinking_is_antialiased_and_growing_is_not() -> None:
    stripes = torch.zeros(1, 1, 64, 64)
    stripes[..., ::4] = 1
    inside = to_input(stripes, 16)[..., 1:-1]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.25), atol=0.03, rtol=0)
    assert to_input(stripes, 64) is stripes
    grown = to_input(stripes, 128)
    assert torch.equal(grown, F.interpolate(stripes, (128, 128), mode="bilinear"))
    mixed = torch.rand(1, 1, 64, 40)  # one side shrinks, the other grows
    expected = F.interpolate(mixed, (48, 48), mode="bilinear", antialias=True)
    assert torch.equal(to_input(mixed, 48), expected)


@pytest.mark.parametrize(
    ("intensity", "expected", "clipped"),
    [
        (Intensity(kind="minmax"), (-10.0, 90.0), True),
        (Intensity(kind="percentile", low=10, high=50), (0.0, 40.0), True),
        (Intensity(kind="window", low=5, high=25), (5.0, 25.0), True),
        (Intensity(kind="zscore"), (40.0, 40.0 + np.sqrt((101**2 - 1) / 12)), False),
    ],
)
def test_intensities(intensity: Intensity, expected: tuple[float, float], clipped: bool) -> None:
    image = np.arange(-10, 91).astype(np.int16).reshape(1, 1, 1, -1)
    bounds = bounds_of(image, intensity)
    assert bounds == pytest.approx(expected)
    scaled = normalise(image, intensity, bounds)
    assert scaled.dtype == np.float32
    low, high = expected
    wanted = (image - low) / (high - low)
    np.testing.assert_allclose(scaled, np.clip(wanted, 0, 1) if clipped else wanted, atol=1e-6)
    constant = np.full((1, 1, 1, 5), 3, np.int16)
    assert np.isfinite(normalise(constant, intensity, bounds_of(constant, intensity))).all()


@pytest.mark.parametrize("kind", ["minmax", "percentile", "zscore"])
def test_each_channel_is_scaled_by_itself(kind: Literal["minmax", "percentile", "zscore"]) -> None:
    intensity = Intensity(kind=kind, low=0.5, high=99.5)
    one = np.random.default_rng(0).normal(0, 1, (3, 1, 8, 8))
    both = np.concatenate([one, 1000 + 50 * one], 1)
    bounds = bounds_of(both, intensity)
    assert np.array(bounds).shape == (2, 2)
    scaled = normalise(both, intensity, bounds)
    np.testing.assert_allclose(scaled[:, 0], scaled[:, 1], atol=1e-3)
    alone = normalise(one, intensity, bounds_of(one, intensity))
    np.testing.assert_array_equal(scaled[:, :1], alone)


def test_a_window_is_one_for_all_channels() -> None:
    intensity = Intensity(kind="window", low=0, high=255)
    picture = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 4))
    assert bounds_of(picture, intensity) == (0, 255)
    np.testing.assert_allclose(normalise(picture, intensity, (0, 255)), picture / 255, atol=1e-6)


def test_files_are_not_kept_open(
    small_data: PreparedData, write_data: WriteData, tmp_path: Path
) -> None:
    other = write_data(tmp_path / "copy")
    load = loader(other)
    for step in range(3):
        load(step)
    folder = Path("/proc/self/fd")
    descriptors = [f for f in folder.iterdir() if f.is_symlink()] if folder.is_dir() else []
    opened = [os.readlink(descriptor) for descriptor in descriptors]
    assert not [name for name in opened if name.startswith(str(other.folder))]
    shutil.rmtree(other.folder)


def test_slices_without_labels_join_the_unlabelled_images(
    write_data: WriteData, tmp_path: Path
) -> None:
    data = write_data(tmp_path / "data")
    cases = [
        case.model_copy(update={"unlabelled_slices": (1,)}) if case.patient == "p1" else case
        for case in data.manifest.cases
    ]
    label = np.array(data.label("p1"))
    label[1] = IGNORE_INDEX
    np.save(data.folder / "labels" / "p1.npy", label)
    labelled, unlabelled = cases[:2], cases[2:4]
    load = BatchLoader(data, labelled, unlabelled, (3, 5), STILL, 0)
    assert [(case.patient, index) for case, index in load.labelled] == [
        ("p1", 0), ("p2", 0), ("p2", 1),
    ]  # fmt: skip
    assert [(case.patient, index) for case, index in load.unlabelled] == [
        ("p3", 0), ("p3", 1), ("p4", 0), ("p4", 1), ("p1", 1),
    ]  # fmt: skip
    batch = load(0)
    assert (batch.labels != IGNORE_INDEX).flatten(1).any(1).all()
    unlabelled = load.cache.get(cases[0], 1, False)[0]
    assert any(torch.equal(image, unlabelled) for image in batch.images[3:])


def test_labels_keep_what_is_ignored_through_resizing_and_turns(
    write_data: WriteData, tmp_path: Path
) -> None:
    data = write_data(tmp_path / "data")
    for patient in ("p1", "p2"):
        label = np.array(data.label(patient))
        label[:, :18] = IGNORE_INDEX
        np.save(data.folder / "labels" / f"{patient}.npy", label)
    load = loader(data, MOVING)
    for step in range(6):
        codes = load(step).labels
        assert set(codes.unique().tolist()) <= {0, 1, 2, IGNORE_INDEX}
        share = (codes == IGNORE_INDEX).float().mean(dim=(1, 2))
        assert ((share > 0.3) & (share < 0.6)).all()
