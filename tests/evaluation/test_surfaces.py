"""Surface distances against a plain float64 loop over all pairs of surface voxels."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from semiseg.errors import UserError
from semiseg.evaluation import nearest
from semiseg.evaluation.surfaces import asd, hd95, surface, surface_distances
from semiseg.evaluation.surfels import surfel_areas

Mask = NDArray[np.bool_]


def naive_surface(mask: Mask) -> list[tuple[int, ...]]:
    found = []
    for voxel in np.ndindex(mask.shape):
        if not mask[voxel]:
            continue
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            near = list(voxel)
            near[axis] += step
            outside = not 0 <= near[axis] < mask.shape[axis]
            if outside or not mask[tuple(near)]:
                found.append(voxel)
                break
    return found


def naive_directed(one: Mask, other: Mask, spacing: tuple[float, ...]) -> list[float]:
    def distance(a: tuple[int, ...], b: tuple[int, ...]) -> float:
        return math.sqrt(sum(((x - y) * s) ** 2 for x, y, s in zip(a, b, spacing, strict=True)))

    others = naive_surface(other)
    return [min(distance(a, b) for b in others) for a in naive_surface(one)]


def naive_percentile(values: list[float]) -> float:
    ordered = sorted(values)
    place = 0.95 * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def assert_equals_naive(p: Mask, r: Mask, spacing: tuple[float, ...]) -> None:
    forward, backward = naive_directed(p, r, spacing), naive_directed(r, p, spacing)
    ours = surface_distances(p, r, spacing)
    np.testing.assert_allclose(ours[0], forward, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours[1], backward, rtol=0, atol=1e-6)
    one_way, other_way = sum(forward) / len(forward), sum(backward) / len(backward)
    larger = max(naive_percentile(forward), naive_percentile(backward))
    assert hd95(p, r, spacing) == pytest.approx(naive_percentile(forward + backward), abs=1e-6)
    assert hd95(p, r, spacing, "larger-direction") == pytest.approx(larger, abs=1e-6)
    assert asd(p, r, spacing) == pytest.approx((one_way + other_way) / 2, abs=1e-6)
    assert asd(p, r, spacing, symmetric=False) == pytest.approx(one_way, abs=1e-6)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Mask, Mask, tuple[float, ...]]:
    axes = draw(st.integers(2, 3))
    shape = tuple(draw(st.integers(1, 7)) for _ in range(axes))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p, r = (generator.random(shape) < draw(st.sampled_from([0.05, 0.5, 0.95])) for _ in range(2))
    for mask in (p, r):
        mask[tuple(generator.integers(0, shape))] = True
    spacing = tuple(draw(st.sampled_from([0.7, 1.0, 1.37, 10.0])) for _ in range(axes))
    return p, r, spacing


@settings(max_examples=60, deadline=None)
@given(pairs(), st.sampled_from([-1e9, nearest.BUILD, 1e9]))
def test_random_masks_equal_the_loop_by_tree_and_by_transform(
    pair: tuple[Mask, Mask, tuple[float, ...]], build: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest, "BUILD", build)  # very low: always the tree; very high: never
        assert_equals_naive(*pair)


def test_both_ways_are_really_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    tree, transform = nearest.cKDTree, nearest.ndimage.distance_transform_edt
    monkeypatch.setattr(nearest, "cKDTree", lambda *a, **k: taken.append("tree") or tree(*a, **k))
    monkeypatch.setattr(
        nearest.ndimage,
        "distance_transform_edt",
        lambda *a, **k: taken.append("transform") or transform(*a, **k),
    )
    p, r = np.zeros((2, 6, 6), bool)
    p[1:4, 1:4] = r[2:6, 2:6] = True
    for build, expected in ((-1e9, "tree"), (1e9, "transform")):
        taken.clear()
        monkeypatch.setattr(nearest, "BUILD", build)
        surface_distances(p, r)
        assert taken == [expected, expected]


def box(shape: tuple[int, ...], *spans: tuple[int, int]) -> Mask:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*span) for span in spans)] = True
    return mask


@pytest.mark.parametrize(
    ("p", "r", "spacing"),
    [
        (box((9, 9), (0, 4), (0, 9)), box((9, 9), (5, 9), (3, 9)), (1.0, 2.5)),
        (box((5, 8, 8), (0, 5), (0, 8), (0, 8)), box((5, 8, 8), (2, 3), (4, 5), (4, 5)), (9, 1, 1)),
        (box((3, 9, 9), (0, 1), (0, 1), (0, 1)), box((3, 9, 9), (2, 3), (8, 9), (8, 9)), (8, 1, 2)),
        (box((4, 30, 30), (0, 4), (0, 3), (0, 3)), box((4, 30, 30), (1, 3), (26, 30), (9, 30)),
         (2, 1, 1)),
    ],
    ids=["touching borders", "all against one voxel", "single voxels", "disjoint, tree"],
)  # fmt: skip
def test_named_shapes_equal_the_loop(p: Mask, r: Mask, spacing: tuple[float, ...]) -> None:
    assert_equals_naive(p, r, spacing)


def test_by_hand() -> None:
    p, r = box((1, 9), (0, 1), (0, 1)), box((1, 9), (0, 1), (3, 5))
    assert hd95(p, r) == pytest.approx(3.9)  # of 3, 3, 4
    assert hd95(p, r, definition="larger-direction") == pytest.approx(3.95)  # of 3 and of 3, 4
    assert asd(p, r, symmetric=False) == 3.0
    assert asd(r, p, symmetric=False) == 3.5
    assert asd(p, r) == 3.25
    assert asd(p, r, (7.0, 2.0)) == 6.5


def test_identical_masks_are_at_distance_zero() -> None:
    mask = box((4, 7, 7), (1, 3), (0, 5), (2, 7))
    for definition in ("pooled", "larger-direction", "surfel-weighted"):
        assert hd95(mask, mask, (3, 1, 1), definition) == 0.0
    assert asd(mask, mask) == 0.0


def test_surface_of_a_solid_box() -> None:
    mask = box((5, 5, 5), (0, 5), (0, 5), (0, 5))
    found = surface(mask)
    assert found.sum() == 5**3 - 3**3  # voxels at the array's border count
    assert not found[1:4, 1:4, 1:4].any()
    assert mask.all()  # the input is not modified


def test_a_diagonal_neighbour_makes_no_surface() -> None:
    mask = np.ones((5, 5), bool)
    mask[1, 1] = False
    assert not surface(mask)[2, 2]


def test_the_three_definitions_give_three_numbers() -> None:
    generator = np.random.default_rng(3)
    r = box((12, 12), (2, 8), (2, 8))
    p = r ^ (generator.random(r.shape) < 0.05)
    names = ("pooled", "larger-direction", "surfel-weighted")
    assert len({round(hd95(p, r, (1.0, 1.7), name), 6) for name in names}) == 3


@pytest.mark.parametrize("empty", ["prediction", "reference", "both"])
def test_empty_masks_are_refused(empty: str) -> None:
    full, none = np.ones((3, 3), bool), np.zeros((3, 3), bool)
    p = full if empty == "reference" else none
    r = full if empty == "prediction" else none
    for measure in (surface_distances, hd95, asd):
        with pytest.raises(UserError, match="two masks with foreground"):
            measure(p, r)


def test_wrong_arguments_are_refused() -> None:
    one = np.ones((3, 3), bool)
    with pytest.raises(UserError, match="shape"):
        hd95(one, np.ones((3, 4), bool))
    for spacing in ((1.0,), (1.0, 0.0), (1.0, math.nan)):
        with pytest.raises(UserError, match="spacing needs 2 positive numbers"):
            hd95(one, one, spacing)
    with pytest.raises(UserError, match="did you mean 'pooled'"):
        hd95(one, one, None, "poled")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="2 or 3 axes"):
        hd95(np.ones((2, 2, 2, 2)), np.ones((2, 2, 2, 2)), None, "surfel-weighted")


# ------------------------------------------------------------------------------ surface elements


def polygon_area(points: list[tuple[float, float, float]]) -> float:
    corners = np.array(points)
    fan = np.cross(corners[1:-1] - corners[0], corners[2:] - corners[0])
    return float(np.linalg.norm(fan.sum(axis=0)) / 2)


def code_of(*corners: tuple[int, ...]) -> int:
    order = list(itertools.product((0, 1), repeat=len(corners[0])))
    return sum(1 << order.index(corner) for corner in corners)


def test_surfel_areas_equal_polygons_drawn_by_hand() -> None:
    a, b, c = 3.0, 0.5, 2.0  # vertices halfway along the edges, scaled by the spacing
    areas = surfel_areas((a, b, c))
    triangle = polygon_area([(a / 2, 0, 0), (0, b / 2, 0), (0, 0, c / 2)])
    assert areas[code_of((0, 0, 0))] == pytest.approx(triangle)
    rectangle = polygon_area([(0, b / 2, 0), (a, b / 2, 0), (a, 0, c / 2), (0, 0, c / 2)])
    assert areas[code_of((0, 0, 0), (1, 0, 0))] == pytest.approx(rectangle)
    half = polygon_area([(0, 0, c / 2), (a, 0, c / 2), (0, b, c / 2)])
    trapezium = polygon_area([(a, 0, c / 2), (a, b / 2, 0), (a / 2, b, 0), (0, b, c / 2)])
    corner = code_of((0, 0, 0), (1, 0, 0), (0, 1, 0))
    assert areas[corner] == pytest.approx(half + trapezium)
    face = code_of((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0))
    assert areas[face] == pytest.approx(a * b)
    hexagon = polygon_area([(a, b / 2, 0), (a / 2, b, 0), (0, b, c / 2), (0, b / 2, c),
                            (a / 2, 0, c), (a, 0, c / 2)])  # fmt: skip
    tripod = code_of((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert areas[tripod] == pytest.approx(hexagon)
    # The chain's hexagon is not planar: it consists of two triangles and a planar trapezium.
    ears = polygon_area([(0, 0, c / 2), (0, b, c / 2), (a / 2, 0, c)]) + polygon_area(
        [(a, b / 2, 0), (a, b / 2, c), (a / 2, 0, c)]
    )
    rest = polygon_area([(0, b, c / 2), (a / 2, b, 0), (a, b / 2, 0), (a / 2, 0, c)])
    chain = code_of((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 0, 1))
    assert areas[chain] == pytest.approx(ears + rest)
    assert areas[code_of((0, 0, 0), (1, 1, 0))] == pytest.approx(
        2 * triangle
    )  # two separate pieces
    np.testing.assert_allclose(areas, areas[::-1])  # a mask and its complement
    assert areas[0] == areas[255] == 0.0


def test_contour_lengths() -> None:
    lengths = surfel_areas((3.0, 4.0))
    assert lengths[code_of((0, 0))] == 2.5
    assert lengths[code_of((0, 0), (1, 0))] == 3.0
    assert lengths[code_of((0, 0), (0, 1))] == 4.0
    assert lengths[code_of((0, 0), (1, 1))] == 5.0


def test_surfel_weighted_hd95_of_two_half_planes() -> None:
    # Both contours are rectangles around slabs. Only their long sides have distance 2.
    p, r = box((30, 80), (0, 10), (0, 80)), box((30, 80), (0, 12), (0, 80))
    assert hd95(p, r, None, "surfel-weighted") == 2.0
    assert hd95(p, r, (3.0, 1.0), "surfel-weighted") == 6.0


def naive_elements(mask: Mask, spacing: tuple[float, ...]) -> dict[tuple[int, ...], float]:
    """Corner of voxels -> area of the contour around it."""
    areas, found = surfel_areas(spacing), {}
    offsets = list(itertools.product((0, 1), repeat=mask.ndim))
    for corner in np.ndindex(*(size + 1 for size in mask.shape)):
        code = 0
        for bit, offset in enumerate(offsets):
            voxel = tuple(c - 1 + o for c, o in zip(corner, offset, strict=True))
            inside = all(0 <= v < size for v, size in zip(voxel, mask.shape, strict=True))
            code += (inside and bool(mask[voxel])) << bit
        if 0 < code < 2 ** len(offsets) - 1:
            found[corner] = float(areas[code])
    return found


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_surfel_weighted_hd95_equals_the_loop(
    pair: tuple[Mask, Mask, tuple[float, ...]],
) -> None:
    p, r, spacing = pair
    elements = [naive_elements(mask, tuple(map(float, spacing))) for mask in (p, r)]
    directed = []
    for one, other in (elements, elements[::-1]):
        places = np.array(list(other)) * spacing
        near = [float(np.linalg.norm(places - np.array(c) * spacing, axis=1).min()) for c in one]
        covered, total = 0.0, sum(one.values())
        for distance, area in sorted(zip(near, one.values(), strict=True)):
            covered += area
            if covered >= 0.95 * total - 1e-9:
                directed.append(distance)
                break
    assert hd95(p, r, spacing, "surfel-weighted") == pytest.approx(max(directed), abs=1e-6)
