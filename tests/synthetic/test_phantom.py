"""The phantom: determinism, anatomy, geometry, files, and difficulty."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from semiseg.errors import UserError
from semiseg.synthetic.anatomy import GROUPS, draw_patient
from semiseg.synthetic.phantom import PHANTOM_CLASSES, PHASES, generate_case, write_phantom

RV, MYO, LV = 1, 2, 3
GOLDEN_COUNTS = [20654, 305, 363, 182]  # of case (0, 1, ED) at 64 x 56 x 6
GOLDEN_MEAN = 102.141
GOLDEN_AFFINE = 23.8563997
Cases = dict[tuple[int, str], tuple[NDArray, NDArray, NDArray]]


@pytest.fixture(scope="module")
def cases() -> Cases:
    return {(n, phase): generate_case(3, n, phase) for n in range(1, 13) for phase in PHASES}


def middle_slices(label: NDArray) -> list[int]:
    """The slices from a quarter to just over half of the left ventricle's length."""
    cavity = np.flatnonzero((label == LV).any(axis=(0, 1)))
    basal_first = (label[..., cavity[0]] == LV).sum() > (label[..., cavity[-1]] == LV).sum()
    order = cavity if basal_first else cavity[::-1]
    return list(order[len(order) // 4 : max(len(order) // 2, len(order) // 4 + 1)])


def test_equal_arguments_give_equal_arrays() -> None:
    first, second = generate_case(5, 2, "ES"), generate_case(5, 2, "ES")
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a, b)


def test_a_patient_does_not_depend_on_the_others_generated_before() -> None:
    alone = generate_case(0, 9, "ED", (48, 48), 5)[0]
    generate_case(0, 8, "ES", (64, 40), 4)
    assert np.array_equal(alone, generate_case(0, 9, "ED", (48, 48), 5)[0])


def test_seeds_patients_and_phases_differ() -> None:
    arguments = [(0, 1, "ED"), (1, 1, "ED"), (0, 2, "ED"), (0, 1, "ES")]
    made = [generate_case(*a, size=(64, 56), slices=6) for a in arguments]  # type: ignore[arg-type]
    for other in made[1:]:
        assert not np.array_equal(made[0][0], other[0])
        assert not np.array_equal(made[0][1], other[1])


def test_known_case_on_every_machine() -> None:
    image, label, affine = generate_case(0, 1, "ED", (64, 56), 6)
    assert np.bincount(label.ravel()).tolist() == GOLDEN_COUNTS
    assert image.astype(np.float64).mean() == pytest.approx(GOLDEN_MEAN, abs=0.01)
    assert np.abs(affine[:3, :3]).sum() == pytest.approx(GOLDEN_AFFINE, abs=1e-6)


def test_types_and_shapes(cases: Cases) -> None:
    for image, label, affine in cases.values():
        assert image.dtype == np.int16
        assert label.dtype == np.uint8
        assert image.shape == label.shape
        assert affine.shape == (4, 4)
        assert min(image.shape[:2]) >= 112
        assert max(image.shape[:2]) <= 144
        assert 6 <= image.shape[2] <= 10
        assert set(np.unique(label)) == {0, 1, 2, 3}
        assert image.min() >= 0
        assert len(np.unique(image)) > 100
    assert len({image.shape for image, _, _ in cases.values()}) > 4
    assert any(image.shape[0] != image.shape[1] for image, _, _ in cases.values())


def test_phases_share_the_slices_and_the_surroundings(cases: Cases) -> None:
    for n in range(1, 13):
        (diastole, before, affine), (systole, after, other) = (cases[n, p] for p in PHASES)
        assert np.array_equal(affine, other)
        assert diastole.shape == systole.shape
        far = ~ndimage.binary_dilation((before > 0) | (after > 0), iterations=25)
        assert np.corrcoef(diastole[far], systole[far])[0, 1] > 0.9


def test_the_heart_contracts(cases: Cases) -> None:
    fractions = []
    for n in range(1, 13):
        before, after = (cases[n, phase][1] for phase in PHASES)
        fractions.append(1 - (after == LV).sum() / (before == LV).sum())
        assert (after == RV).sum() < (before == RV).sum()
        z = middle_slices(before)[-1]
        walls = [
            np.sqrt((codes[..., z] >= MYO).sum()) - np.sqrt((codes[..., z] == LV).sum())
            for codes in (before, after)
        ]
        assert walls[1] > walls[0]
    assert min(fractions) > 0.05
    assert max(fractions) < 0.85
    assert 0.3 < np.median(fractions) < 0.7


def test_left_ventricle_is_enclosed_and_the_right_one_touches_its_wall(cases: Cases) -> None:
    for _, label, _ in cases.values():
        for z in middle_slices(label):
            plane = label[..., z]
            assert set(np.unique(plane)) == {0, 1, 2, 3}
            ring = ndimage.binary_dilation(plane == LV, np.ones((3, 3))) & (plane != LV)
            assert (plane[ring] == MYO).all()
            assert (ndimage.binary_dilation(plane == RV) & (plane == MYO)).sum() >= 5
            for code in (MYO, LV):
                assert ndimage.label(plane == code, np.ones((3, 3)))[1] == 1


def test_papillary_muscles_belong_to_the_cavity(cases: Cases) -> None:
    dark = 0
    for image, label, _ in cases.values():
        for z in middle_slices(label):
            plane = label[..., z]
            inside = ndimage.binary_erosion(plane == LV, iterations=3)
            threshold = (image[..., z][plane == MYO].mean() + image[..., z][plane == LV].mean()) / 2
            dark += bool((image[..., z][inside] < threshold).any())
    assert dark > len(cases) / 2


def test_ends_of_the_stack_lack_structures(cases: Cases) -> None:
    missing = dict.fromkeys((RV, LV), 0)
    for _, label, _ in cases.values():
        for code in missing:
            missing[code] += int((~(label == code).any(axis=(0, 1))).sum())
    assert missing[RV] > 10
    assert missing[LV] > 10


def test_affines(cases: Cases) -> None:
    tilted, hands, sides = 0, set(), []
    for n in range(1, 13):
        _, label, affine = cases[n, "ED"]
        x, y, z = np.linalg.norm(affine[:3, :3], axis=0)
        assert x == pytest.approx(y)
        assert 1.2 <= x <= 1.9
        assert 8 - 1e-9 <= z <= 10 + 1e-9
        directions = affine[:3, :3] / [x, y, z]
        assert np.allclose(directions.T @ directions, np.eye(3), atol=1e-9)
        hands.add(float(np.sign(np.linalg.det(directions))))
        tilted += np.degrees(np.arccos(np.abs(directions[:, 2]).max())) > 10
        world = [affine[:3, :3] @ np.argwhere(label == code).mean(axis=0) for code in (RV, LV)]
        sides.append(world[0][0] - world[1][0])
    assert tilted >= 8
    assert hands == {-1.0, 1.0}
    assert np.mean(np.array(sides) > 0) > 0.9  # RAS: the right ventricle is on the right


def test_size_and_slices_keep_the_field_of_view() -> None:
    volumes = []
    for size, slices in (((128, 128), 8), ((64, 64), 8), ((64, 64), 16)):
        image, label, affine = generate_case(1, 4, "ED", size, slices)
        assert image.shape == (*size, slices)
        voxel = abs(np.linalg.det(affine[:3, :3]))
        volumes.append([(label == code).sum() * voxel for code in (RV, MYO, LV)])
    assert np.allclose(volumes[1], volumes[0], rtol=0.1)
    assert np.allclose(volumes[2], volumes[0], rtol=0.25)


def test_all_groups_occur() -> None:
    drawn = [draw_patient(np.random.default_rng(n)).group for n in range(100)]
    assert all(8 <= drawn.count(group) <= 35 for group in GROUPS)


def test_intensity_alone_does_not_solve_it(cases: Cases) -> None:
    """The best interval of intensities, even if chosen on the scored volume itself."""
    best: dict[int, list[float]] = {RV: [], MYO: [], LV: []}
    for image, label, _ in cases.values():
        edges = np.percentile(image, np.linspace(0, 100, 80))
        whole = np.histogram(image, edges)[0]
        for code, found in best.items():
            hit = np.histogram(image[label == code], edges)[0]
            dice = 0.0
            for low in range(len(hit)):
                taken = np.cumsum(whole[low:]) + hit.sum()
                dice = max(dice, float((2 * np.cumsum(hit[low:]) / taken).max()))
            found.append(dice)
    assert max(best[RV]) < 0.5
    assert max(best[MYO]) < 0.5
    assert np.mean(best[LV]) < 0.5


def test_blood_is_brighter_than_myocardium_but_overlaps(cases: Cases) -> None:
    for image, label, _ in cases.values():
        wall, blood = image[label == MYO], image[label == LV]
        assert blood.mean() > 1.3 * wall.mean()
        assert np.percentile(blood, 5) < np.percentile(wall, 95)


def test_written_files(tmp_path: Path) -> None:
    folder = tmp_path / "phantom"
    write_phantom(folder, 3, seed=7, unlabelled=[2], size=(48, 40), slices=5)
    names = [f"phantom{n:03d}_{phase}.nii.gz" for n in (1, 2, 3) for phase in PHASES]
    assert sorted(p.name for p in (folder / "images").iterdir()) == names
    assert sorted(p.name for p in (folder / "labels").iterdir()) == names[:2] + names[4:]
    for n in (1, 3):
        for phase in PHASES:
            image, label, affine = generate_case(7, n, phase, (48, 40), 5)
            for kind, array in (("images", image), ("labels", label)):
                read = nibabel.load(folder / kind / f"phantom{n:03d}_{phase}.nii.gz")
                assert np.array_equal(np.asanyarray(read.dataobj), array)
                assert read.get_data_dtype() == array.dtype
                assert np.allclose(read.affine, affine, atol=1e-4)
                assert np.allclose(read.get_qform(), affine, atol=1e-3)
                assert np.allclose(
                    read.header.get_zooms(), np.linalg.norm(affine[:3, :3], axis=0), atol=1e-4
                )
    said = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert said["name"] == "phantom"
    assert said["numTraining"] == 4
    assert tuple(said["labels"].values()) == PHANTOM_CLASSES
    assert said["file_ending"] == ".nii.gz"
    assert said["channel_names"] == {"0": "cine MRI"}


def test_progress_is_reported(tmp_path: Path) -> None:
    seen: list[object] = []

    class Recorder:
        def track(self, items, label, total=None):  # type: ignore[no-untyped-def]
            for item in items:
                seen.append(item)
                yield item

    write_phantom(tmp_path / "p", 1, size=(32, 32), slices=3, console=Recorder())
    assert seen == [(1, "ED"), (1, "ES")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"patients": 0}, "at least one patient"),
        ({"patients": 2, "unlabelled": [3]}, "Unlabelled patient 3"),
        ({"patients": 2, "seed": -1}, "cannot be negative"),
        ({"patients": 2, "size": (16, 64)}, "size"),
        ({"patients": 2, "slices": 2}, "3 slices"),
    ],
)
def test_wrong_input_writes_nothing(tmp_path: Path, arguments: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        write_phantom(tmp_path / "p", **arguments)
    assert not (tmp_path / "p").exists()


def test_a_filled_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(UserError, match="not an empty folder"):
        write_phantom(tmp_path, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_unknown_phase() -> None:
    with pytest.raises(UserError, match="ED and ES"):
        generate_case(0, 1, "XX")  # type: ignore[arg-type]
