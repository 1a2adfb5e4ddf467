"""Resampling of volumes: the same field of view, and comparison with loops."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from semiseg.data.resampling import new_shape, resample, resample_labels
from semiseg.errors import UserError


def linear(line: np.ndarray, count: int) -> np.ndarray:
    """Centres of ``count`` cells over the same length, clamped at both ends."""
    places = (np.arange(count) + 0.5) * len(line) / count - 0.5
    return np.interp(places, np.arange(len(line)), line)


@pytest.mark.parametrize("shape", [(9, 12, 7), (6, 8, 5), (6, 11, 5), (13, 8, 5), (6, 8, 9)])
def test_growing_is_linear_along_every_axis(shape: tuple[int, int, int]) -> None:
    image = torch.rand(2, 6, 8, 5)
    expected = image.numpy().astype(float)
    for axis, count in enumerate(shape, start=1):
        expected = np.apply_along_axis(linear, axis, expected, count)
    np.testing.assert_allclose(resample(image, shape).numpy(), expected, atol=1e-5)


def test_shrinking_averages_and_keeps_the_mean() -> None:
    stripes = torch.zeros(1, 32, 32, 32)
    stripes[:, ::4] = 1  # a quarter of the slices
    inside = resample(stripes, (8, 8, 8))[:, 1:-1]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.25), atol=0.03, rtol=0)
    assert not resample(stripes, (8, 8, 8), antialias=False).any()  # they are between the samples
    same = torch.rand(1, 4, 5, 6)
    assert resample(same, (4, 5, 6)) is same


def test_labels_follow_their_image_and_keep_all_codes() -> None:
    label = np.zeros((6, 10, 10), np.uint8)
    label[1:5, 2:8, 2:8] = 1
    label[2:4, 4:7, 4:7] = 7
    label[:, 9] = 255
    found = resample_labels(label, (12, 20, 20)).numpy()
    assert found.dtype == np.uint8
    assert set(np.unique(found)) == {0, 1, 7, 255}
    for code in (0, 1, 7, 255):
        there = ndimage.zoom(
            (label == code).astype(float), 2, order=1, grid_mode=True, mode="nearest"
        )
        sure = there > 0.51  # the code of more than half of a voxel is chosen
        assert (found[sure] == code).all()
    back = resample_labels(found, (6, 10, 10)).numpy()
    assert (back == label).mean() > 0.98


def test_the_field_of_view_is_kept() -> None:
    assert new_shape((10, 20, 30), (5.0, 1.0, 1.0), (2.5, 2.0, 1.0)) == (20, 10, 30)
    assert new_shape((3, 3, 3), (1.0, 1.0, 1.0), (50.0, 50.0, 50.0)) == (1, 1, 1)
    with pytest.raises(UserError, match=r"data\.spacing .* coarser"):
        new_shape((100, 100, 100), (1.0, 1.0, 1.0), (1e-3, 1e-3, 1e-3))
