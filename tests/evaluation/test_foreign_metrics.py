"""Our metrics against MONAI's, an independent implementation.

MONAI computes in single precision, so "equal" means a relative difference below 1e-6. Where its
definition differs from ours the test says how, and compares ours with its distances and areas
instead of its final number.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from monai.metrics import (
    MAEMetric,
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
)
from monai.metrics.utils import get_edge_surface_distance
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from semiseg.errors import UserError
from semiseg.evaluation.overlap import dice, iou, mae
from semiseg.evaluation.surfaces import asd, hd95, surface_distances

Mask = NDArray[np.bool_]
Spacing = tuple[float, ...]
Pair = tuple[Mask, Mask]

# MONAI passes a deprecated argument to itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")

GRIDS: list[tuple[tuple[int, ...], Spacing]] = [
    ((36, 44), (1.0, 1.0)),
    ((36, 44), (0.7, 1.37)),
    ((10, 20, 18), (1.0, 1.0, 1.0)),
    ((10, 20, 18), (2.5, 0.9, 1.3)),
    ((6, 24, 24), (10.0, 1.37, 1.37)),
]
by_grid = pytest.mark.parametrize(("shape", "spacing"), GRIDS, ids=str)


def equal(value: float) -> object:
    return pytest.approx(value, rel=1e-6, abs=1e-6)


def pairs(shape: tuple[int, ...], count: int = 6) -> Iterator[Pair]:
    """Smooth shapes of many sizes, some at the array's border; noise; a full mask; one voxel."""
    for seed in range(count):
        generator = np.random.default_rng(seed)
        fields = [ndimage.gaussian_filter(generator.standard_normal(shape), 2) for _ in range(2)]
        p, r = (field > np.quantile(field, generator.uniform(0.5, 0.97)) for field in fields)
        yield p, r
    noise = generator.random(shape) < 0.1
    single = np.zeros(shape, bool)
    single[tuple(size // 3 for size in shape)] = True
    full = np.ones(shape, bool)
    yield from ((noise, r), (full, r), (p, full), (full, full), (single, r), (noise, single))


def tensor(mask: Mask) -> Tensor:
    """One image of one class, [1, 1, ...], as MONAI expects it."""
    return torch.from_numpy(mask)[None, None].float()


def monai_asd(p: Mask, r: Mask, spacing: Spacing, symmetric: bool = False) -> float:
    return compute_average_surface_distance(
        tensor(p), tensor(r), include_background=True, symmetric=symmetric, spacing=list(spacing)
    ).item()


def monai_distances(p: Mask, r: Mask, spacing: Spacing) -> list[NDArray[np.float64]]:
    """Distances of the surface voxels of each mask to the surface of the other."""
    _, distances, _ = get_edge_surface_distance(
        torch.from_numpy(p), torch.from_numpy(r), spacing=list(spacing), symmetric=True
    )
    return [directed.double().numpy() for directed in distances]


@by_grid
def test_dice_and_iou(shape: tuple[int, ...], spacing: Spacing) -> None:
    for p, r in pairs(shape):
        assert dice(p, r) == equal(compute_dice(tensor(p), tensor(r)).item())
        assert iou(p, r) == equal(compute_iou(tensor(p), tensor(r)).item())


@pytest.mark.parametrize("shape", [(9, 9), (5, 6, 7)], ids=str)
def test_dice_and_iou_of_empty_masks(shape: tuple[int, ...]) -> None:
    some, none = np.ones(shape, bool), np.zeros(shape, bool)
    for ours, theirs in ((dice, compute_dice), (iou, compute_iou)):
        assert ours(none, some) == theirs(tensor(none), tensor(some)).item() == 0.0
        # Undefined if both are empty: None here, NaN in MONAI.
        assert ours(none, none) is None
        assert np.isnan(theirs(tensor(none), tensor(none)).item())
        # By default MONAI leaves out every case with an empty reference. We score a prediction
        # without a reference 0, as MONAI does with `ignore_empty=False`.
        spurious = theirs(tensor(some), tensor(none), ignore_empty=False).item()
        assert ours(some, none) == spurious == 0.0


@by_grid
def test_mae(shape: tuple[int, ...], spacing: Spacing) -> None:
    # Our MAE is in percent.
    for seed, (_, reference) in enumerate(pairs(shape)):
        probability = np.random.default_rng(seed).random(shape).astype(np.float32)
        theirs = MAEMetric()(torch.from_numpy(probability)[None, None], tensor(reference))
        assert isinstance(theirs, Tensor)
        assert mae(probability, reference) == equal(100 * theirs.item())


@by_grid
def test_distances_of_surface_voxels(shape: tuple[int, ...], spacing: Spacing) -> None:
    for p, r in pairs(shape):
        theirs = monai_distances(p, r, spacing)
        for ours, other in zip(surface_distances(p, r, spacing), theirs, strict=True):
            np.testing.assert_allclose(ours, other, rtol=1e-6, atol=1e-6)


@by_grid
def test_average_surface_distance(shape: tuple[int, ...], spacing: Spacing) -> None:
    for p, r in pairs(shape):
        forward, backward = monai_asd(p, r, spacing), monai_asd(r, p, spacing)
        assert asd(p, r, spacing, symmetric=False) == equal(forward)
        assert asd(p, r, spacing) == equal((forward + backward) / 2)


@by_grid
def test_the_other_symmetric_average(shape: tuple[int, ...], spacing: Spacing) -> None:
    # MONAI's symmetric average is the mean over the surface voxels of both masks, so the mask with
    # the larger surface counts more. Ours is the mean of the two directed means.
    for p, r in pairs(shape):
        pooled = np.concatenate(surface_distances(p, r, spacing)).mean()
        assert pooled == equal(monai_asd(p, r, spacing, symmetric=True))


@by_grid
def test_hd95_larger_direction(shape: tuple[int, ...], spacing: Spacing) -> None:
    for p, r in pairs(shape):
        ours = hd95(p, r, spacing, "larger-direction")
        percentiles = [np.percentile(d, 95) for d in monai_distances(p, r, spacing)]
        assert ours == equal(max(percentiles))
        theirs = compute_hausdorff_distance(
            tensor(p), tensor(r), include_background=True, percentile=95, spacing=list(spacing)
        ).item()
        # MONAI also computes the rank of the percentile in single precision. A rank that is wrong
        # by 1e-5 moves the interpolated value by 1e-5 of the gap between two distances.
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)


@by_grid
def test_hd95_pooled(shape: tuple[int, ...], spacing: Spacing) -> None:
    # MONAI has no percentile over both directed sets together: use its distances.
    for p, r in pairs(shape):
        pooled = np.percentile(np.concatenate(monai_distances(p, r, spacing)), 95)
        assert hd95(p, r, spacing, "pooled") == equal(pooled)


@by_grid
def test_hd95_surfel_weighted(shape: tuple[int, ...], spacing: Spacing) -> None:
    # MONAI has the surface elements of the package surface-distance and their areas, but no
    # percentile weighted by them: use its distances and areas.
    for p, r in pairs(shape):
        edges, distances, areas = get_edge_surface_distance(
            torch.from_numpy(p), torch.from_numpy(r), spacing=list(spacing),
            use_subvoxels=True, symmetric=True,
        )  # fmt: skip
        directed = []
        for edge, distance, area in zip(edges, distances, areas, strict=True):
            ordered, order = distance.double().sort(stable=True)
            covered = area[edge].double()[order].cumsum(0) / area[edge].double().sum()
            directed.append(ordered[covered >= 0.95 - 1e-7][0].item())
        assert hd95(p, r, spacing, "surfel-weighted") == equal(max(directed))


def test_distances_to_an_empty_mask() -> None:
    # MONAI warns and returns infinity or NaN. We raise an error: the protocol decides what an empty mask
    # scores.
    some, none = np.ones((9, 9), bool), np.zeros((9, 9), bool)
    for p, r in ((some, none), (none, some), (none, none)):
        with pytest.warns(UserWarning, match="is all 0, this may result in nan/inf distance"):
            assert not np.isfinite(monai_asd(p, r, (1.0, 1.0)))
        with pytest.raises(UserError, match="two masks with foreground"):
            asd(p, r, (1.0, 1.0))
