"""Geometric augmentation: image and label move together; probabilities; seeds."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.augment import apply_geometry, draw_geometry

ALWAYS_TURN = DataConfig(quarter_turns_and_flips=1.0)
ALWAYS_ROTATE = DataConfig(quarter_turns_and_flips=0.0, rotation=1.0, rotation_degrees=30)
NEVER = DataConfig(quarter_turns_and_flips=0.0, rotation=0.0, scaling=0.0)


def draw(config: DataConfig, count: int, seed: int = 0) -> Tensor:
    return draw_geometry(count, config, np.random.default_rng(seed))


def coded(count: int, size: int = 9) -> tuple[Tensor, Tensor]:
    """Every pixel has a unique number, equal in image and label."""
    numbers = torch.arange(1, size * size + 1).reshape(size, size)
    return numbers.float().expand(count, 2, -1, -1), numbers.expand(count, -1, -1).to(torch.uint8)


def symmetries(x: Tensor) -> dict[str, Tensor]:
    turns = {f"turn {k}": torch.rot90(x, k) for k in range(4)}
    return turns | {f"{name}, flip": turned.flip(0) for name, turned in turns.items()}


def test_turns_and_flips_are_exact_and_labels_follow() -> None:
    images, labels = coded(200)
    moved, codes = apply_geometry(images, labels, draw(ALWAYS_TURN, 200))
    known = symmetries(labels[0])
    seen = set()
    for image, label in zip(moved, codes, strict=True):
        names = [name for name, expected in known.items() if torch.equal(label, expected)]
        assert len(names) == 1
        seen.add(names[0])
        torch.testing.assert_close(
            image, known[names[0]].float().expand(2, -1, -1), atol=1e-3, rtol=0
        )
    # as in SSL4MIS, a quarter turn is always flipped, so these are the reflections
    assert seen == {f"turn {k}, flip" for k in range(4)}


def test_rotation_turns_by_the_drawn_angle_and_fills_with_zero() -> None:
    matrices = draw(ALWAYS_ROTATE, 300)
    angles = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).rad2deg()
    assert float(angles.abs().max()) <= 30
    assert float(angles.max()) > 25
    assert float(angles.min()) < -25
    torch.testing.assert_close(torch.linalg.det(matrices[:, :, :2]), torch.ones(300))

    size, angle = 65, math.radians(30)
    image = torch.zeros(1, 1, size, size)
    image[0, 0, 32, 52] = 1  # 20 pixels to the right of the centre
    label = (image[:, 0] > 0).to(torch.uint8)
    label[0, 30:35, 50:55] = 1
    c, s = math.cos(angle), math.sin(angle)
    matrix = torch.tensor([[[c, -s, 0.0], [s, c, 0.0]]])
    moved, codes = apply_geometry(image, label, matrix)
    # output p shows input R p: the point (20, 0) from the centre appears at R^-1 (20, 0)
    row, column = 32 - 20 * s, 32 + 20 * c
    peak = divmod(int(moved[0, 0].argmax()), size)
    assert abs(peak[0] - row) <= 1
    assert abs(peak[1] - column) <= 1
    centre = codes[0].nonzero().float().mean(0)
    torch.testing.assert_close(centre, torch.tensor([row, column]), atol=0.6, rtol=0)
    white, codes = apply_geometry(
        torch.ones(1, 1, size, size), torch.ones(1, size, size, dtype=torch.uint8), matrix
    )
    assert float(white[0, 0, 0, 0]) == int(codes[0, 0, 0]) == 0
    assert float(white[0, 0, 32, 32]) == pytest.approx(1)
    assert int(codes[0, 32, 32]) == 1


@pytest.mark.parametrize("zoom", [0.5, 2.0])
def test_zoom_is_about_the_centre(zoom: float) -> None:
    size = 64
    image = torch.zeros(1, 1, size, size)
    image[..., 24:40, 24:40] = 1
    matrix = torch.zeros(1, 2, 3)
    matrix[0, 0, 0] = matrix[0, 1, 1] = 1 / zoom
    moved, _ = apply_geometry(image, None, matrix)
    assert float(moved.sum()) == pytest.approx(256 * zoom**2, rel=0.05)
    torch.testing.assert_close(moved, moved.flip(-1))


def test_scaling_is_drawn_within_its_limits() -> None:
    config = DataConfig(quarter_turns_and_flips=0.5, rotation=0.5, scaling=0.2)
    factors = torch.linalg.det(draw(config, 500)[:, :, :2]).abs() ** -0.5
    assert float(factors.min()) >= 0.8 - 1e-5
    assert float(factors.max()) <= 1.2 + 1e-5
    assert float(factors.min()) < 0.85
    assert float(factors.max()) > 1.15


def test_probabilities_are_kept() -> None:
    identity = torch.eye(2, 3)
    assert (draw(NEVER, 50) == identity).all()
    assert not (draw(ALWAYS_ROTATE, 200) == identity).flatten(1).all(1).any()
    matrices = draw(DataConfig(quarter_turns_and_flips=0.3, rotation=0.5), 4000)
    mirrored = torch.linalg.det(matrices[:, :, :2]) < 0
    still = (matrices == identity).flatten(1).all(1)
    assert float(mirrored.float().mean()) == pytest.approx(0.3, abs=0.03)
    assert float(still.float().mean()) == pytest.approx(0.7 * 0.5, abs=0.03)


def test_the_same_seed_draws_the_same_and_another_seed_another() -> None:
    config = DataConfig()
    assert torch.equal(draw(config, 8, seed=3), draw(config, 8, seed=3))
    assert not torch.equal(draw(config, 8, seed=3), draw(config, 8, seed=4))


def test_one_option_does_not_shift_anothers_draws() -> None:
    turned = torch.linalg.det(draw(DataConfig(rotation=0.0), 60)[:, :, :2]) < 0
    rotated = torch.linalg.det(draw(DataConfig(rotation=1.0), 60)[:, :, :2]) < 0
    assert torch.equal(turned, rotated)


def test_what_is_not_moved_is_not_touched_and_inputs_stay() -> None:
    images, labels = coded(3)
    images, labels = images.clone(), labels.clone()
    before = images.clone(), labels.clone()
    matrices = torch.eye(2, 3).repeat(3, 1, 1)
    matrices[1, 0, 0] = -1
    moved, codes = apply_geometry(images, labels[:2], matrices)
    assert torch.equal(moved[[0, 2]], images[[0, 2]])
    assert torch.equal(codes[0], labels[0])
    assert torch.equal(codes[1], labels[1].flip(-1))
    torch.testing.assert_close(moved[1], images[1].flip(-1), atol=1e-3, rtol=0)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])
    assert codes.shape[0] == 2  # the third image has no label


def test_a_crop_is_a_window_anywhere_in_the_image() -> None:
    config = NEVER.model_copy(update={"crop": 0.5})
    matrices = draw(config, 300)
    sides = matrices[:, 0, 0]
    torch.testing.assert_close(matrices[:, 1, 1], sides)
    assert not matrices[:, 0, 1].any()
    assert 0.5 <= float(sides.min()) < 0.55
    assert 0.95 < float(sides.max()) <= 1
    for axis in (0, 1):  # the window's edges, in -1 to 1
        low, high = matrices[:, axis, 2] - sides, matrices[:, axis, 2] + sides
        assert -1 - 1e-6 <= float(low.min()) < -0.98
        assert 0.98 < float(high.max()) <= 1 + 1e-6
        assert float(low.max()) > -0.1  # not always in the middle
    images, labels = coded(300)
    moved, codes = apply_geometry(images, labels, matrices)
    assert bool((codes > 0).all())  # nothing from outside
    assert len({int(code[0, 0]) for code in codes}) > 5
    assert float((moved[:, 0] - codes).abs().median()) < 5.5  # they moved together


def test_a_crop_shifts_no_other_draw() -> None:
    plain, cropped = (
        draw(ALWAYS_ROTATE, 20),
        draw(ALWAYS_ROTATE.model_copy(update={"crop": 0.3}), 20),
    )
    angles = [torch.atan2(m[:, 1, 0], m[:, 0, 0]) for m in (plain, cropped)]
    torch.testing.assert_close(*angles)


def test_draws_stay_as_they_were() -> None:
    """The numbers of version 0.1.0: an option that is off does not shift them."""
    matrices = draw(DataConfig(scaling=0.2, crop=0.1), 2, seed=4)
    known = [[1.0930444, -0.0125414, 0.0873620], [-0.8290438, 0.0275744, -0.0124322]]
    for matrix, (zoom, column, row) in zip(matrices, known, strict=True):
        expected = torch.tensor([[zoom, 0, column], [0, abs(zoom), row]])
        torch.testing.assert_close(matrix, expected)


@pytest.mark.parametrize("axes", [(0,), (1,), (1, 0)])
def test_mirroring_reflects_half_of_the_images_along_its_axes_alone(axes: tuple[int, ...]) -> None:
    images, labels = coded(400)
    config = NEVER.model_copy(update={"mirror_axes": axes})
    moved, codes = apply_geometry(images, labels, draw(config, 400))
    counts: dict[tuple[int, ...], int] = {}
    for image, label in zip(moved, codes, strict=True):
        for flips in [(), *((axis,) for axis in axes), *([axes] if len(axes) > 1 else [])]:
            if torch.equal(label, labels[0].flip(flips)):
                counts[flips] = counts.get(flips, 0) + 1
                known = images[0].flip([1 + axis for axis in flips])
                torch.testing.assert_close(image, known, atol=1e-3, rtol=0)
    assert sum(counts.values()) == 400
    assert len(counts) == 2 ** len(axes)
    for count in counts.values():
        assert count == pytest.approx(400 / len(counts), rel=0.25)


def test_mirroring_shifts_no_other_draw() -> None:
    config = DataConfig(scaling=0.2, crop=0.3)
    plain, mirrored = draw(config, 30), draw(config.model_copy(update={"mirror_axes": (1,)}), 30)
    torch.testing.assert_close(plain[:, :, 1:], mirrored[:, :, 1:])
    signs = mirrored[:, :, 0] / plain[:, :, 0]
    assert set(signs[torch.isfinite(signs)].tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("axes", [[2], [0, 0], [-1]])
def test_axes_that_a_slice_does_not_have_are_refused(axes: list[int]) -> None:
    with pytest.raises(ValueError, match="mirror_axes"):
        DataConfig.model_validate({"mirror_axes": axes})
