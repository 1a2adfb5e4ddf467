"""Batches of 3D patches: determined by the step, with the voxels of their volumes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from semiseg.config import DataConfig
from semiseg.data.augment import apply_geometry, draw_movements, reach, to_matrices
from semiseg.data.batch import Batch
from semiseg.data.loaders import loader_of
from semiseg.data.manifest import Case, PreparedData
from semiseg.data.patches import PatchLoader
from semiseg.data.resampling import resample_labels
from semiseg.data.task import IGNORE_INDEX, normalise
from semiseg.data.volumes import VolumeStore
from semiseg.errors import RunFailure, UserError
from semiseg.testing.data import write_volumes

STILL = DataConfig(dimensions=3, patch=(8, 16, 16), quarter_turns_and_flips=0, rotation=0)
MOVING = DataConfig(dimensions=3, patch=(8, 16, 16), scaling=0.2, rotation_degrees=30)
Change = Callable[..., DataConfig]


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return write_volumes(tmp_path_factory.mktemp("deep") / "data")


def load(data: PreparedData, config: DataConfig, rank: int = 0, ranks: int = 1) -> PatchLoader:
    labelled, unlabelled = data.of_patients(("p1", "p2")), data.of_patients(("p3", "p4"))
    loader = loader_of(config)(data, labelled, unlabelled, (2, 2), config, 7, rank, ranks)
    assert isinstance(loader, PatchLoader)
    return loader


def changed(config: DataConfig, **values: object) -> DataConfig:
    return DataConfig.model_validate(config.model_dump() | values)


def equal(one: Batch, other: Batch) -> bool:
    return torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)


def crop(
    data: PreparedData, case: Case, start: np.ndarray, sides: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Image and label, voxel by voxel; outside the volume, 0 and ignored."""
    image = normalise(np.asarray(data.image(case.identifier)), data.task.intensity, case.bounds)
    label = np.asarray(data.label(case.identifier)) if case.labelled else image[:, 0]
    out, codes = np.zeros(sides, np.float32), np.full(sides, IGNORE_INDEX, np.int64)
    for place in np.ndindex(*sides):
        z, y, x = np.array(place) + start
        if min(z, y, x) >= 0 and z < image.shape[0] and y < image.shape[2] and x < image.shape[3]:
            out[place], codes[place] = image[z, 0, y, x], label[z, y, x]
    return out, codes


def test_a_batch_holds_patches_of_the_sampled_volumes(volumes: PreparedData) -> None:
    loader, outside = load(volumes, STILL), 0
    for step in range(3):
        batch = loader(step)
        assert batch.images.shape == (4, 1, 8, 16, 16)
        assert batch.images.dtype == torch.float32
        assert batch.labels.shape == (2, 8, 16, 16)
        assert batch.labels.dtype == torch.int64
        labelled, unlabelled = loader.sampler(step)
        cases = [loader.labelled[i] for i in labelled] + [loader.unlabelled[i] for i in unlabelled]
        draws = np.random.default_rng((7, 5, step, 0)).random((4, 6))
        for number, case in enumerate(cases):
            start = loader.start(case, draws[number], number < 2)
            expected, codes = crop(volumes, case, start, (8, 16, 16))
            np.testing.assert_array_equal(batch.images[number, 0].numpy(), expected)
            if number < 2:
                np.testing.assert_array_equal(batch.labels[number].numpy(), codes)
                outside += int((codes == IGNORE_INDEX).sum())
    assert outside > 0  # p2 is smaller than a patch


@pytest.mark.parametrize("config", [MOVING, changed(MOVING, spacing=(1.5, 1.5, 1.5))])
def test_a_batch_is_a_function_of_seed_step_and_rank(
    volumes: PreparedData, config: DataConfig
) -> None:
    loader = load(volumes, config)
    history = [loader(step) for step in range(4)]
    torch.manual_seed(99)
    for step in (3, 0, 2, 2):
        assert equal(loader(step), history[step])
        assert equal(load(volumes, config)(step), history[step])
    assert not equal(history[0], history[1])
    assert not equal(load(volumes, config, 0, 2)(0), load(volumes, config, 1, 2)(0))
    forgetful = load(volumes, changed(config, cache_mb=0))
    assert all(equal(forgetful(step), batch) for step, batch in enumerate(history))
    assert len(forgetful.store.kept) <= 1


def test_patches_lie_within_their_volume_or_hold_it_in_their_middle(volumes: PreparedData) -> None:
    loader, rng = load(volumes, STILL), np.random.default_rng(0)
    large, small = volumes.cases["p1"], volumes.cases["p2"]  # 10 x 20 x 18, 7 x 15 x 14
    starts = np.stack([loader.start(large, rng.random(6), n % 2 == 0) for n in range(600)])
    assert starts.min(0).tolist() == [0, 0, 0]
    assert starts.max(0).tolist() == [2, 4, 2]
    assert {tuple(loader.start(small, rng.random(6), True)) for _ in range(50)} == {(0, 0, -1)}


def test_a_part_of_the_labelled_patches_is_put_on_every_class_alike(volumes: PreparedData) -> None:
    patch = (1, 1, 1)  # the voxel itself
    rng = np.random.default_rng(1)
    label = np.asarray(volumes.label("p1"))
    case = volumes.cases["p1"]

    def shares(config: DataConfig, with_label: bool) -> np.ndarray:
        loader = load(volumes, config)
        drawn = [tuple(loader.start(case, rng.random(6), with_label)) for _ in range(2000)]
        return np.bincount([label[place] for place in drawn], minlength=3) / 2000

    by_chance = np.bincount(label.ravel(), minlength=3) / label.size
    always = shares(changed(STILL, patch=patch, foreground=1), True)
    np.testing.assert_allclose(always, [0, 0.5, 0.5], atol=0.05)
    third = shares(changed(STILL, patch=patch), True)
    np.testing.assert_allclose(third, 2 / 3 * by_chance + 1 / 3 * always, atol=0.05)
    np.testing.assert_allclose(
        shares(changed(STILL, patch=patch, foreground=1), False), by_chance, atol=0.05
    )


@pytest.mark.parametrize("poison", [True, False])
def test_labels_of_unlabelled_cases_are_never_read(
    volumes: PreparedData, tmp_path: Path, poison: bool
) -> None:
    other = write_volumes(tmp_path / "copy")
    for patient in ("p3", "p4"):
        if poison:
            shape = other.image(patient)[:, 0].shape
            np.save(other.folder / "labels" / f"{patient}.npy", np.full(shape, 9, np.uint8))
    for config in (MOVING, changed(MOVING, spacing=(1.5, 1.5, 1.5))):
        for step in range(3):
            assert equal(load(other, config)(step), load(volumes, config)(step))


def test_a_resampled_volume_is_cut_like_any_other(volumes: PreparedData) -> None:
    case = volumes.cases["p1"]
    store = VolumeStore(volumes, (1.0, 1.0, 1.0), 64)
    assert store.shape(case) == (20, 20, 18)
    whole, label = store.box(case, (0, 0, 0), (20, 20, 18), True)
    part, part_label = store.box(case, (-2, 5, 4), (6, 30, 3), True)
    assert label is not None
    assert part_label is not None
    assert torch.equal(part[:, 2:, :15], whole[:, :4, 5:, 4:7])
    assert torch.equal(part_label[2:, :15], label[:4, 5:, 4:7])
    assert not part[:, :2].any()
    assert (part_label[:2] == IGNORE_INDEX).all()
    assert (part_label[2:, 15:] == IGNORE_INDEX).all()
    assert not part[:, :, 15:].any()
    assert torch.equal(label, resample_labels(np.asarray(volumes.label("p1")), (20, 20, 18)))
    for places, code in zip(store.places(case), (1, 2), strict=True):
        assert (label.numpy()[tuple(places.T)] == code).all()
    nothing, none = store.box(case, (50, 0, 0), (4, 4, 4), False)
    assert not nothing.any()
    assert none is None


def test_a_lack_of_memory_names_the_resampled_volume(
    volumes: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resample(*given: object) -> object:
        raise MemoryError

    monkeypatch.setattr("semiseg.data.volumes.resample", resample)
    store = VolumeStore(volumes, (1.0, 1.0, 1.0), 64)
    with pytest.raises(RunFailure, match=r"^p1: not enough memory .* to resample it"):
        store.box(volumes.cases["p1"], (0, 0, 0), (20, 20, 18), False)


def test_volumes_without_spacing_are_not_resampled(volumes: PreparedData) -> None:
    bare = volumes.cases["p1"].model_copy(update={"spacing": None})
    with pytest.raises(UserError, match=r"p1 has no spacing.*data\.spacing=null"):
        VolumeStore(volumes, (1.0, 1.0, 1.0), 64).shape(bare)


def coded(sides: tuple[int, int, int]) -> torch.Tensor:
    return torch.arange(1.0, np.prod(sides) + 1).reshape(1, 1, *sides)


def test_quarter_turns_and_flips_are_exact() -> None:
    config = changed(STILL, quarter_turns_and_flips=1)
    sides, seen = (3, 5, 5), set()
    for seed in range(120):
        movements = draw_movements([(4.0, 1.0, 1.0)], config, np.random.default_rng(seed))
        assert reach(movements, sides) == sides
        image = coded(sides)
        moved, labels = apply_geometry(image, image[0].long(), to_matrices(movements, sides, sides))
        torch.testing.assert_close(moved[0].long(), labels)
        for turn in range(4):
            for flips in ([], [0], [1], [0, 1]):
                known = torch.rot90(image[0, 0], turn, (1, 2)).flip(flips)
                if torch.allclose(moved[0, 0], known, atol=1e-3):
                    seen.add((turn, tuple(flips)))
    assert len(seen) == 16


def test_mirroring_reflects_along_its_axes_and_shifts_no_other_draw() -> None:
    config, seen = changed(STILL, mirror_axes=(0, 2)), set()
    sides = (3, 5, 4)
    movements = draw_movements([(4.0, 1.0, 1.0)] * 40, config, np.random.default_rng(0))
    assert reach(movements, sides) == sides
    image = coded(sides).expand(40, 1, *sides)
    moved, labels = apply_geometry(image, image[:, 0].long(), to_matrices(movements, sides, sides))
    for one, label in zip(moved, labels, strict=True):
        torch.testing.assert_close(one[0].long(), label)
        copies = {f: image[0, 0].flip(f) for f in ((), (0,), (2,), (0, 2))}
        same = [f for f, known in copies.items() if torch.allclose(one[0], known, atol=1e-3)]
        assert len(same) == 1
        seen.add(same[0])
    assert len(seen) == 4
    plain, mirrored = (
        draw_movements([(1.0, 1.0, 1.0)] * 9, c, np.random.default_rng(4))
        for c in (MOVING, changed(MOVING, mirror_axes=(1,)))
    )
    np.testing.assert_array_equal(np.abs(plain), np.abs(mirrored))
    known = [0.842951, -0.172387, 0.041782]  # of version 0.1.0
    rotated = changed(STILL, scaling=0.2, rotation=1)
    movements = draw_movements([(1.0, 1.0, 1.0)] * 2, rotated, np.random.default_rng(4))
    np.testing.assert_allclose(movements[1, 0], known, atol=1e-6)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 1.0, 2.0), (1.5, 1.0, 1.0)])
def test_rotations_are_those_of_space(spacing: tuple[float, float, float]) -> None:
    config = changed(STILL, rotation=1, rotation_degrees=30)
    movements = draw_movements([spacing] * 200, config, np.random.default_rng(3))
    mm = np.array(spacing)
    in_space = movements * mm[:, None] / mm
    squares = in_space @ in_space.transpose(0, 2, 1)
    np.testing.assert_allclose(squares, np.broadcast_to(np.eye(3), squares.shape), atol=1e-9)
    tilted = np.abs(in_space[:, 0, 0] - 1).max() > 1e-3
    assert tilted == (max(spacing) < 2 * min(spacing))  # others: only within slices
    angles = np.degrees(np.arctan2(in_space[:, 2, 1], in_space[:, 2, 2]))
    assert np.abs(angles).max() > 25
    assert tilted or np.abs(angles).max() <= 30


def test_a_moved_patch_is_made_of_its_surroundings() -> None:
    """Comparison with a loop that samples the whole volume at the position of each voxel."""
    sides, shape = (4, 8, 6), (20, 24, 22)
    volume = np.random.default_rng(0).random(shape)
    config = changed(STILL, rotation=1, rotation_degrees=40, scaling=0.3)
    movements = draw_movements([(1.0, 1.2, 0.9)], config, np.random.default_rng(5))
    box = reach(movements, sides)
    assert all((b - s) % 2 == 0 for b, s in zip(box, sides, strict=True))
    start = (np.array(shape) - np.array(box)) // 2
    inside = volume[tuple(slice(a, a + b) for a, b in zip(start, box, strict=True))]
    image = torch.from_numpy(inside)[None, None].float()
    moved, _ = apply_geometry(image, None, to_matrices(movements, sides, box), sides)
    centre = start + (np.array(box) - 1) / 2
    for place in np.ndindex(*sides):
        source = centre + movements[0] @ (np.array(place) - (np.array(sides) - 1) / 2)
        corner = np.floor(source).astype(int)
        value = 0.0
        for step in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(step, source - corner, 1 - (source - corner)))
            value += weight * volume[tuple(corner + step)]
        assert float(moved[0, 0][place]) == pytest.approx(value, abs=1e-4)
