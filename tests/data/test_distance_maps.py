"""Signed distance maps compared with loops over all pairs of pixels, and in batches."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from numpy.typing import NDArray

from semiseg.config import DataConfig
from semiseg.data.batch import Batch
from semiseg.data.distance_maps import distance_maps, signed_distance
from semiseg.data.loaders import loader_of
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.testing.data import write_volumes


def naive(mask: NDArray[np.bool_], spacing: Sequence[float] | None) -> NDArray[np.float64]:
    """Distances to all pixels of the other side; the boundary by checking each neighbour."""
    places = list(np.ndindex(*mask.shape))
    mm = np.array(spacing or (1.0,) * mask.ndim)
    inside = [p for p in places if mask[p]]
    outside = [p for p in places if not mask[p]]
    out = np.zeros(mask.shape)
    if not inside or not outside:
        return out

    def distance(place: tuple[int, ...], others: list[tuple[int, ...]]) -> float:
        return float(np.sqrt((((np.array(place) - others) * mm) ** 2).sum(1)).min())

    beyond = {p: distance(p, inside) for p in outside}
    within = {p: distance(p, outside) for p in inside}
    for place in places:
        if not mask[place]:
            out[place] = beyond[place] / max(beyond.values())
            continue
        out[place] = -within[place] / max(within.values())
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            near = list(place)
            near[axis] += step
            if 0 <= near[axis] < mask.shape[axis] and not mask[tuple(near)]:
                out[place] = 0
    return out


def blobs(shape: tuple[int, ...], seed: int, share: float) -> NDArray[np.bool_]:
    """Random pieces with interior pixels, some at the image's edge."""
    rng = np.random.default_rng(seed)
    small = rng.random([-(-n // 4) for n in shape]) < share
    mask = np.kron(small, np.ones((4,) * len(shape)))
    whole: NDArray[np.bool_] = mask[tuple(slice(n) for n in shape)] > 0
    return whole


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((14, 11), None),
        ((14, 11), (1.0, 2.5)),
        ((6, 9, 8), None),
        ((6, 9, 8), (4.0, 1.0, 1.2)),
    ],
)
@pytest.mark.parametrize("share", [0.15, 0.5, 0.8])
def test_against_all_pairs_of_pixels(
    shape: tuple[int, ...], spacing: tuple[float, ...] | None, share: float
) -> None:
    for seed in range(2):
        mask = blobs(shape, seed, share)
        found = signed_distance(mask, spacing)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, naive(mask, spacing), atol=1e-6)
        if mask.any() and not mask.all():
            assert found.max() == 1
            assert (found[~mask] > 0).all()
            assert (found[mask] <= 0).all()


def test_the_ends() -> None:
    block = np.zeros((9, 9), bool)
    block[2:7, 2:7] = True
    found = signed_distance(block)
    assert found[4, 4] == found.min() == -1
    assert not found[2, 2:7].any()  # the boundary
    assert not signed_distance(np.zeros((5, 6), bool)).any()
    assert not signed_distance(np.ones((5, 6), bool)).any()
    lone = np.zeros((5, 6), bool)
    lone[2, 3] = True
    np.testing.assert_allclose(signed_distance(lone), naive(lone, None), atol=1e-6)


def test_each_foreground_class_has_a_map_and_what_is_not_drawn_is_outside() -> None:
    label = np.zeros((12, 12), np.uint8)
    label[2:8, 2:8] = 1
    label[5:11, 5:11] = 3
    label[:, 7] = IGNORE_INDEX
    found = distance_maps(label, 4)
    assert found.shape == (3, 12, 12)
    for code in (1, 2, 3):
        np.testing.assert_allclose(found[code - 1], naive(label == code, None), atol=1e-6)
    assert not found[1].any()
    assert (found[0][:, 7] > 0).all()
    assert distance_maps(label, 1).shape == (0, 12, 12)


FLAT = DataConfig(size=32, quarter_turns_and_flips=0.5)
DEEP = DataConfig(dimensions=3, patch=(8, 16, 16), scaling=0.2, rotation_degrees=30)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    folder: Path = tmp_path_factory.mktemp("deep") / "data"
    return write_volumes(folder)


@pytest.mark.parametrize("config", [FLAT, DEEP], ids=["slices", "patches"])
def test_a_loader_fills_them_in_where_asked_for(
    small_data: PreparedData, volumes: PreparedData, config: DataConfig
) -> None:
    data = small_data if config is FLAT else volumes
    cases = data.of_patients(("p1", "p2")), data.of_patients(("p3", "p4"))
    plain = loader_of(config)(data, *cases, (2, 2), config, 7)
    with_maps = loader_of(config)(data, *cases, (2, 2), config, 7, distance_maps=True)
    for step in range(4):
        batch, other = with_maps(step), plain(step)
        assert other.distance_maps is None
        assert torch.equal(batch.images, other.images)
        assert torch.equal(batch.labels, other.labels)
        assert batch.distance_maps is not None
        assert batch.distance_maps.shape == (2, 2, *batch.labels.shape[1:])
        assert batch.distance_maps.dtype == torch.float32
        chosen = [with_maps.labelled[i] for i in with_maps.sampler(step)[0]]
        for label, maps, case in zip(batch.labels, batch.distance_maps, chosen, strict=True):
            spacing = None if isinstance(case, tuple) else case.spacing
            assert np.array_equal(maps.numpy(), distance_maps(label.numpy(), 3, spacing))
            assert maps.any()


def test_a_batch_moves_with_its_maps_and_is_rebuilt_with_them() -> None:
    images, labels = torch.zeros(2, 1, 4, 4), torch.zeros(1, 4, 4).long()
    batch = Batch(images, labels, torch.ones(1, 2, 4, 4))
    moved = batch.to(torch.device("meta"))
    assert moved.distance_maps is not None
    assert moved.distance_maps.device.type == moved.images.device.type == "meta"
    assert Batch(images, labels).to(torch.device("cpu")).distance_maps is None
    # as in Fabric's mixed precision
    for given in (batch, Batch(images, labels)):
        half = apply_to_collection(given, torch.Tensor, lambda x: x.half())
        assert half.images.dtype == torch.float16
        assert (half.distance_maps is None) == (given.distance_maps is None)
