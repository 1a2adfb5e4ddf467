"""Crops of slices at their own resolution."""

from pathlib import Path

import numpy as np
import pytest
import torch

from semiseg.config import DataConfig
from semiseg.data.crops import CropLoader, pixels_by_class
from semiseg.data.loaders import loader_of
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX, normalise
from semiseg.testing.data import write_pictures

SIDE = 32
STILL = DataConfig(crop_size=SIDE, quarter_turns_and_flips=0, rotation=0, foreground=0.5)
TURNS = DataConfig(crop_size=SIDE, quarter_turns_and_flips=1)
ROTATED = DataConfig(crop_size=SIDE, quarter_turns_and_flips=0, rotation=1, rotation_degrees=180)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return write_pictures(tmp_path_factory.mktemp("crops") / "data", (80, 60))


def loader(data: PreparedData, config: DataConfig, rank: int = 0, ranks: int = 1) -> CropLoader:
    cases = data.manifest.cases
    built = loader_of(config)(data, cases[:2], cases[3:5], (2, 2), config, 7, rank, ranks)
    assert isinstance(built, CropLoader)
    return built


def test_crops_are_pixels_of_the_sampled_slices(data: PreparedData) -> None:
    load = loader(data, STILL)
    for step in range(4):
        batch = load(step)
        assert batch.images.shape == (4, 1, SIDE, SIDE)
        assert batch.labels.shape == (2, SIDE, SIDE)
        labelled, unlabelled = load.sampler(step)
        chosen = [load.labelled[i] for i in labelled] + [load.unlabelled[i] for i in unlabelled]
        draws = np.random.default_rng((7, 5, step, 0)).random((4, 5))
        for number, (case, index) in enumerate(chosen):
            row, column = load.start((case, index), draws[number], number < 2)
            box = slice(row, row + SIDE), slice(column, column + SIDE)
            pixels = data.image_slice(case.identifier, index)
            image = normalise(pixels, data.task.intensity, case.bounds)[:, *box]
            np.testing.assert_array_equal(batch.images[number].numpy(), image)
            if number < 2:
                label = data.label_slice(case.identifier, index)[box]
                np.testing.assert_array_equal(batch.labels[number].numpy(), label)


def test_a_smaller_slice_is_padded_with_zeros_and_ignored_pixels(data: PreparedData) -> None:
    batch = loader(data, STILL.model_copy(update={"crop_size": 96}))(0)
    rows, columns = slice(8, 88), slice(18, 78)  # 80 x 60 in the middle of 96 x 96
    for labels, images in ((batch.labels, batch.images[:2, 0]),):
        inside = torch.zeros(96, 96, dtype=torch.bool)
        inside[rows, columns] = True
        assert bool((labels[:, ~inside] == IGNORE_INDEX).all())
        assert bool((images[:, ~inside] == 0).all())
        assert bool((labels[:, inside] < 3).all())


def test_turned_crops_are_exact(data: PreparedData) -> None:
    still, turned = loader(data, STILL)(1), loader(data, TURNS)(1)
    for one, other in zip(still.images, turned.images, strict=True):
        copies = [torch.rot90(f, k, (1, 2)) for f in (one, one.flip(2)) for k in range(4)]
        assert any(torch.allclose(copy, other, atol=1e-5) for copy in copies)


@pytest.mark.parametrize("changes", [{}, {"scaling": 0.3}, {"crop": 0.4}])
def test_rotated_crops_have_no_empty_corners(
    data: PreparedData, changes: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crop that lies well inside its slice is rotated from what surrounds it."""
    load = loader(data, ROTATED.model_copy(update=changes))
    monkeypatch.setattr(load, "start", lambda *_: np.array([24, 14]))  # the middle of 80 x 60
    monkeypatch.setattr(
        "semiseg.data.volumes.normalise",
        lambda pixels, *_: np.ones(pixels.shape, np.float32),
    )
    for step in range(5):
        # a rotated square of 32 needs 45 pixels, and with a zoom of 0.7 it needs 65
        inside = load(step).images
        if "scaling" in changes:
            inside = inside[:, :, 6:-6, 6:-6]
        torch.testing.assert_close(inside, torch.ones_like(inside))


def test_a_fraction_of_crops_is_centred_on_a_class(data: PreparedData) -> None:
    load = loader(data, STILL.model_copy(update={"foreground": 1.0}))
    seen = set()
    for step in range(12):
        for label in load(step).labels:
            middle = label[SIDE // 2 - 12 : SIDE // 2 + 12, SIDE // 2 - 12 : SIDE // 2 + 12]
            assert int(middle.max()) > 0
            seen |= set(label.unique().tolist())
    assert {1, 2} <= seen
    # without a class in its slice, a crop is anywhere
    empty = pixels_by_class(np.zeros((4, 4), np.uint8), 3)
    assert empty == []


def test_places_are_pixels_of_their_class() -> None:
    label = np.zeros((50, 60), np.uint8)
    label[3:47, 5:50] = 2
    (places,) = pixels_by_class(label, 3)
    assert len(places) == 1000
    assert (label[tuple(places.T)] == 2).all()
    assert places.min() < 8
    assert places.max() > 40


def test_a_batch_is_a_function_of_seed_step_and_rank(data: PreparedData) -> None:
    whole = loader(data, ROTATED)
    first, again = whole(3), loader(data, ROTATED)(3)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.images, whole(4).images)
    shares = [loader(data, ROTATED, rank, 2)(3) for rank in range(2)]
    assert [len(share.images) for share in shares] == [2, 2]
    assert not torch.equal(shares[0].images, shares[1].images)


def test_labels_of_unlabelled_cases_are_never_read(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", (80, 60))
    for case in data.manifest.cases[2:]:
        path = tmp_path / "data" / "labels" / f"{case.identifier}.npy"
        path.unlink(missing_ok=True)
    load = loader(data, STILL)
    for step in range(4):
        load(step)


def test_distance_maps_are_of_the_moved_labels(data: PreparedData) -> None:
    cases = data.manifest.cases
    load = loader_of(ROTATED)(data, cases[:2], cases[3:5], (2, 2), ROTATED, 7, distance_maps=True)
    batch = load(2)
    assert batch.distance_maps is not None
    inside = batch.distance_maps < 0
    for code in (1, 2):
        marked = batch.labels == code
        assert bool((inside[:, code - 1] <= marked).all())
