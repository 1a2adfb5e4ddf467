"""Elastic deformation: the B-splines, no folds, images and labels alike, no effect on other draws."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from semiseg.config import INJECTIVE, DataConfig
from semiseg.data.augment import apply_geometry, draw_geometry, draw_movements, reach, to_matrices
from semiseg.data.elastic import displacement_field, draw_elastic, extents
from semiseg.data.loaders import loader_of
from semiseg.testing.data import write_pictures, write_slices, write_volumes

SPACING = 0.25
FLAT = DataConfig(size=32, elastic=1, elastic_displacement=0.1, elastic_spacing=SPACING)
DEEP = DataConfig(
    dimensions=3, patch=(8, 16, 16), elastic=1, elastic_displacement=0.1, elastic_spacing=SPACING
)


def draw(config: DataConfig, count: int, seed: int = 0) -> Tensor:
    points = draw_elastic(count, config, np.random.default_rng(seed))
    assert points is not None
    return points


def spline(t: float) -> float:
    """The cubic B-spline of knots at whole numbers, centred at 0."""
    t = abs(t)
    if t < 1:
        return 2 / 3 - t**2 + t**3 / 2
    return (2 - t) ** 3 / 6 if t < 2 else 0.0


@pytest.mark.parametrize(("config", "sides"), [(FLAT, (9, 12)), (DEEP, (4, 6, 5))])
@pytest.mark.parametrize("spacing", [0.25, 0.3, 1.0])
def test_the_field_is_that_of_the_formula(
    config: DataConfig, sides: tuple[int, ...], spacing: float
) -> None:
    """u_a(x) = sum over points of c_a prod_d B(x_d / h - i_d), by a loop in float64."""
    config = config.model_copy(update={"elastic_spacing": spacing})
    points = draw(config, 2)
    field = displacement_field(points, spacing, sides)
    assert field.shape == (2, *sides, len(sides))
    rng = np.random.default_rng(1)
    for _ in range(12):
        place = tuple(int(rng.integers(side)) for side in sides)
        x = [(p + 0.5) / side / spacing for p, side in zip(place, sides, strict=True)]
        for axis in range(len(sides)):
            values = points[1, axis].double().numpy()
            expected = sum(
                value * np.prod([spline(a - (i - 1)) for a, i in zip(x, index, strict=True)])
                for index, value in np.ndenumerate(values)
            )
            found = float(field[1][place][len(sides) - 1 - axis])  # columns first
            assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("config", "sides"), [(FLAT, (16, 16)), (DEEP, (8, 9, 10))])
def test_the_largest_displacement_is_kept(config: DataConfig, sides: tuple[int, ...]) -> None:
    points = draw(config, 50)
    assert float(points.abs().max()) == pytest.approx(0.2, abs=0.002)  # halves of the side
    field = displacement_field(points, SPACING, sides)
    assert (field.flatten(1).abs().amax(1) <= points.flatten(1).abs().amax(1)).all()
    assert float(field.abs().max()) > 0.1
    together = displacement_field(torch.full_like(points, 0.2), SPACING, sides)
    torch.testing.assert_close(together, torch.full_like(together, 0.2))


def smallest_jacobian(points: Tensor, sides: tuple[int, ...]) -> float:
    """The smallest determinant of the derivative of x + u(x), by differences in float64."""
    field = displacement_field(points.double(), SPACING, sides).flip(-1)
    axes = len(sides)
    derivatives = torch.stack(
        [torch.gradient(field, spacing=2 / n, dim=1 + axis)[0] for axis, n in enumerate(sides)], -1
    )
    return float(torch.linalg.det(derivatives + torch.eye(axes)).min())


@pytest.mark.parametrize(("config", "sides"), [(FLAT, (96, 96)), (DEEP, (40, 40, 40))])
def test_the_largest_displacement_does_not_fold(config: DataConfig, sides: tuple[int, ...]) -> None:
    """Control points at their bounds, with random signs or towards the centre."""
    count = 40 if len(sides) == 2 else 6
    signs = draw(config, count).sign()
    for axis in range(len(sides)):  # compress the centre along every axis
        half = signs.shape[2 + axis] // 2
        signs[0, axis].narrow(axis, 0, half).fill_(1)
        signs[0, axis].narrow(axis, half, signs.shape[2 + axis] - half).fill_(-1)
    largest = 2 * INJECTIVE * SPACING
    assert smallest_jacobian(largest * signs, sides) > 0
    assert smallest_jacobian(2 * largest * signs, sides) < 0  # the test notices a fold


def test_a_displacement_that_folds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 0\.4 of elastic_spacing, which is 0\.04"):
        DataConfig(elastic=0.5, elastic_displacement=0.05, elastic_spacing=0.1)
    DataConfig(elastic=0.5, elastic_displacement=0.04, elastic_spacing=0.1)
    DataConfig(elastic_displacement=0.05, elastic_spacing=0.1)  # without effect


@pytest.mark.parametrize("sides", [(32, 32), (12, 16, 14)])
def test_images_and_labels_move_alike_and_the_matrix_follows(sides: tuple[int, ...]) -> None:
    """Images of coordinates show where each pixel comes from: A (x + u(x))."""
    axes = len(sides)
    config = FLAT if axes == 2 else DEEP
    points = draw(config, 3)
    points[2] = 0
    angle = 0.3
    matrices = torch.eye(axes, axes + 1).repeat(3, 1, 1)
    matrices[1, :2, :2] = torch.tensor(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    coordinates = torch.stack(torch.meshgrid(*map(torch.arange, sides), indexing="ij"))
    images = coordinates.float().expand(3, *coordinates.shape)
    for axis in range(axes):
        labels = coordinates[axis].to(torch.uint8).expand(3, *sides)
        moved, codes = apply_geometry(images, labels, matrices, None, points, SPACING)
        assert torch.equal(codes[2], labels[2])
        assert torch.equal(moved[2], images[2])
        field = displacement_field(points.double(), SPACING, sides)
        for number in (0, 1):
            half = torch.tensor(sides[::-1]).double() / 2
            own = (coordinates.flip(0).movedim(0, -1) + 0.5) / half - 1
            source = (own + field[number]) @ matrices[number, :, :axes].double().T
            source = ((source + 1) * half - 0.5).flip(-1).movedim(-1, 0)
            limits = torch.tensor(sides).view(-1, *(1,) * axes) - 1
            inside = ((source > 0) & (source < limits)).all(0)
            assert float(inside.double().mean()) > 0.5
            torch.testing.assert_close(
                moved[number][:, inside], source[:, inside].float(), atol=1e-3, rtol=0
            )
            away = (codes[number].double() - source[axis])[inside].abs()
            assert float(away.max()) <= 0.5 + 1e-3


def test_only_slices_of_long_voxels_are_deformed() -> None:
    points = draw_elastic(2, DEEP, np.random.default_rng(0), [(1.0, 1.0, 1.0), (4.0, 1.0, 1.0)])
    assert points is not None
    assert points[0].flatten(1).any(1).all()
    assert points[1].flatten(1).any(1).tolist() == [False, True, True]


def test_the_probability_is_kept_and_nothing_is_drawn_without_it() -> None:
    rng = np.random.default_rng(0)
    assert draw_elastic(4, FLAT.model_copy(update={"elastic": 0.0}), rng) is None
    assert rng.random() == np.random.default_rng(0).random()
    points = draw(FLAT.model_copy(update={"elastic": 0.3}), 2000)
    chosen = points.flatten(1).any(1)
    assert float(chosen.float().mean()) == pytest.approx(0.3, abs=0.03)
    torch.testing.assert_close(extents(points)[~chosen], torch.ones(int((~chosen).sum()), 2))


def test_other_draws_stay_and_images_that_are_not_chosen_too(tmp_path: Path) -> None:
    data = write_slices(tmp_path / "data")
    cases = data.manifest.cases
    plain = DataConfig(size=32, scaling=0.1, crop=0.1)
    batches = []
    for config in (plain, plain.model_copy(update={"elastic": 0.5})):
        loader = loader_of(config)(data, cases[:2], cases[4:6], (4, 4), config, 7)
        batches.append([loader(step) for step in range(4)])
    same = torch.cat(
        [
            (one.images == other.images).flatten(1).all(1)
            for one, other in zip(*batches, strict=True)
        ]
    )
    assert 8 <= int(same.sum()) <= 24
    again = loader_of(config)(data, cases[:2], cases[4:6], (4, 4), config, 7)(2)
    assert torch.equal(again.images, batches[1][2].images)
    assert torch.equal(again.labels, batches[1][2].labels)
    rng = np.random.default_rng(3), np.random.default_rng(3)
    first, second = (draw_geometry(5, plain, r) for r in rng)
    assert torch.equal(first, second)


def test_deformed_crops_have_no_empty_corners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_pictures(tmp_path / "data", (80, 60))
    config = DataConfig(
        crop_size=32, quarter_turns_and_flips=0, rotation=1, rotation_degrees=180, elastic=1,
        elastic_displacement=0.1, elastic_spacing=SPACING,
    )  # fmt: skip
    load = loader_of(config)(data, data.manifest.cases[:2], [], (4, 0), config, 7)
    monkeypatch.setattr(load, "start", lambda *_: np.array([24, 14]))  # the middle of 80 x 60
    monkeypatch.setattr(
        "semiseg.data.volumes.normalise", lambda pixels, *_: np.ones(pixels.shape, np.float32)
    )
    for step in range(5):
        images = load(step).images
        torch.testing.assert_close(images, torch.ones_like(images))


def test_a_deformed_patch_is_made_of_its_surroundings(tmp_path: Path) -> None:
    """Comparison with a loop that samples the whole volume at the position of each voxel."""
    sides, shape = (4, 8, 6), (24, 30, 26)
    volume = np.random.default_rng(0).random(shape)
    config = DataConfig.model_validate(
        DEEP.model_dump() | {"patch": sides, "rotation": 1, "quarter_turns_and_flips": 0}
    )
    rng = np.random.default_rng(5)
    movements = draw_movements([(1.0, 1.2, 0.9)], config, rng)
    points = draw_elastic(1, config, rng, [(1.0, 1.2, 0.9)])
    assert points is not None
    box = reach(movements, sides, points)
    start = (np.array(shape) - np.array(box)) // 2
    inside = volume[tuple(slice(a, a + b) for a, b in zip(start, box, strict=True))]
    image = torch.from_numpy(inside)[None, None].float()
    moved, _ = apply_geometry(
        image, None, to_matrices(movements, sides, box), sides, points, SPACING
    )
    field = displacement_field(points.double(), SPACING, sides)[0].flip(-1).numpy()
    centre = start + (np.array(box) - 1) / 2
    for place in np.ndindex(*sides):
        own = np.array(place) - (np.array(sides) - 1) / 2
        source = centre + movements[0] @ (own + field[place] * np.array(sides) / 2)
        assert (source > start - 1).all()
        assert (source < start + box).all()
        corner = np.floor(source).astype(int)
        value = 0.0
        for step in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(step, source - corner, 1 - (source - corner)))
            value += weight * volume[tuple(corner + step)]
        if (corner >= start).all() and (corner + 1 < start + box).all():
            assert float(moved[0, 0][place]) == pytest.approx(value, abs=1e-4)
    data = write_volumes(tmp_path / "data")
    cases = data.manifest.cases
    batch = loader_of(DEEP)(data, cases[:2], cases[2:4], (2, 2), DEEP, 7)(0)
    assert batch.images.shape == (4, 1, 8, 16, 16)
    assert bool(torch.isfinite(batch.images).all())
