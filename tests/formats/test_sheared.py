"""Sheared grids: distances and volumes by the affine itself, and a note."""

from pathlib import Path

import numpy as np
import pytest

import replicas
from semiseg.data.manifest import Case
from semiseg.errors import UserError
from semiseg.evaluation.protocols import STRICT, diagonal, score_case
from semiseg.evaluation.surfaces import hd95, surface_distances
from semiseg.formats import NIFTI
from semiseg.formats.grid import is_sheared, steps_of, steps_of_case, voxel_volume
from semiseg.formats.remarks import SHEARED
from semiseg.workflows.compare import score_files

TILTED = np.array([[-0.482, 0, 0, 123], [0, -0.457, 0, 16], [0, -0.153, 2.5, 742], [0, 0, 0, 1.0]])


def one_voxel(place: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros((12, 14, 10), np.uint8)
    mask[place] = 1
    return mask


@pytest.mark.parametrize(("row", "distance"), [(3, 10.768), (11, 9.564)])
def test_distances_follow_the_axes(tmp_path: Path, row: int, distance: float) -> None:
    """A tilt makes one direction longer than the other: with right angles both would be equal."""
    for name, place in (("r", (6, 7, 3)), ("p", (6, row, 7))):
        replicas.save(tmp_path / name / "a.nii.gz", one_voxel(place), TILTED)
    true = float(np.linalg.norm(TILTED[:3, :3] @ [0, row - 7, 4]))
    assert true == pytest.approx(distance, abs=0.01)
    files = (tmp_path / "p" / "a.nii.gz", tmp_path / "r" / "a.nii.gz")
    (score,) = score_files(files[0], files[1:], "a", None, STRICT, "worst")
    assert score.hd95 == pytest.approx(true, abs=1e-4)
    assert score.asd == pytest.approx(true, abs=1e-4)


def test_distances_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    p, r = rng.random((2, 4, 5, 6)) > 0.7
    steps = steps_of((2.5, 0.482, np.hypot(0.457, 0.153)), TILTED, 2)
    assert isinstance(steps, np.ndarray)
    found, _ = surface_distances(p, r, steps)
    here, there = (np.argwhere(mask) @ steps.T for mask in (p, r))
    expected = [min(np.linalg.norm(there - place, axis=1)) for place in here]
    np.testing.assert_allclose(found, expected)  # nearly every voxel is a surface voxel
    with pytest.raises(UserError, match="only for axes at right angles"):
        hd95(p, r, steps, "surfel-weighted")


def test_right_angles_keep_their_result() -> None:
    rng = np.random.default_rng(1)
    p, r = rng.random((2, 4, 5, 6)) > 0.6
    plain, matrix = (2.0, 0.5, 0.7), np.diag([2.0, 0.5, 0.7])
    for one, other in zip(
        surface_distances(p, r, plain), surface_distances(p, r, matrix), strict=True
    ):
        np.testing.assert_allclose(one, other)
    assert diagonal((4, 5, 1), plain) == pytest.approx(diagonal((4, 5, 1), matrix))
    assert diagonal((4, 5, 1), plain) == pytest.approx(np.hypot(8, 2.5))
    scores = [score_case(p[:1] * 1, r[:1] * 1, ("b", "a"), steps)[0] for steps in (plain, matrix)]
    assert scores[0].hd95 == pytest.approx(scores[1].hd95)


def test_the_longest_diagonal_of_a_sheared_box() -> None:
    steps = np.array([[1.0, 1.0, 0], [0, 1.0, 0], [0, 0, 1.0]])
    assert diagonal((10, 10, 1), steps) == pytest.approx(np.hypot(20, 10))


def test_volumes_are_those_of_the_grid_unless_the_user_gives_a_spacing() -> None:
    spacing = (2.5, 0.482, float(np.hypot(0.457, 0.153)))
    case = Case(
        identifier="a", patient="a", shape=(2, 1, 3, 3), labelled=True, bounds=(0, 1),
        spacing=spacing, affine=tuple(map(tuple, TILTED.tolist())), slice_axis=2,
    )  # fmt: skip
    steps = steps_of_case(case)
    assert steps is not None
    assert voxel_volume(steps) == pytest.approx(0.482 * 0.457 * 2.5)
    assert voxel_volume(spacing) == pytest.approx(np.prod(spacing))  # 5% more: that of right angles
    given = case.model_copy(update={"spacing": (3.0, 1.0, 1.0)})
    assert steps_of_case(given) == (3.0, 1.0, 1.0)


def test_the_image_says_that_its_grid_is_sheared(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 99, (6, 5, 4)).astype(np.int16)
    replicas.save(tmp_path / "a.nii.gz", data, TILTED)
    assert NIFTI.read_image(tmp_path / "a.nii.gz").remarks == {SHEARED: "a.nii.gz"}
    replicas.save(tmp_path / "b.nii.gz", data, replicas.oblique())
    assert NIFTI.read_image(tmp_path / "b.nii.gz").remarks == {}
    assert not is_sheared(replicas.oblique(mirrored=True))


def test_axes_in_one_plane_are_refused(tmp_path: Path) -> None:
    flat = np.array([[1.0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
    data = np.random.default_rng(0).integers(0, 99, (6, 5, 4)).astype(np.int16)
    replicas.save(tmp_path / "a.nii.gz", data, flat)
    with pytest.raises(UserError, match="no valid spacing"):
        NIFTI.read_image(tmp_path / "a.nii.gz")
