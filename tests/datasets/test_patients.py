"""Patients in the names of images."""

from pathlib import Path

import pytest

from semiseg.datasets.pairs import Pair
from semiseg.datasets.patients import patients_of, shared_stems


def patients(*names: str, pictures: bool = False) -> list[str]:
    return patients_of([Pair(name, Path(name), None, None) for name in names], None, pictures)


@pytest.mark.parametrize("pictures", [False, True])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("baseline", "followup"), ("t0", "t1"), ("left", "right"), ("pre", "post"), ("v1", "v2"),
        ("20190312", "20200405"), ("2019-03-12", "2020-04-05"), ("OD", "OS"), ("ED", "ES"),
        ("ses-01_T1w", "ses-02_T1w"), ("m06", "m12"), ("frame01", "frame12"), ("left_t0", "right_t1"),
        ("20240301_091501", "20240302_101502"), ("2024-03-01T09-15-01", "2024-03-01T09-15-59"),
        ("20240301_cine", "20240415_cine"), ("links", "rechts"), ("W01", "W12"), ("fov1", "fov2"),
        ("11.05.2022", "03.09.2023"), ("vid1", "vid2"), ("clip_01", "clip_02"),
        ("2CH_ED", "4CH_ES"), ("preop", "postop"), ("pre-op", "post-op"), ("LEFT_CC", "RIGHT_MLO"),
        ("L_CC", "R_MLO"), ("axial", "sagittal"), ("A", "B"),
        ("roi3", "roi4"), ("tile_1_7", "tile_2_7"), ("x0_y512", "x512_y0"), ("s1_z05", "s2_z05"),
    ],
)  # fmt: skip
def test_what_several_images_share_is_the_patient(one: str, other: str, pictures: bool) -> None:
    found = patients(f"p1_{one}", f"p1_{other}", f"p2_{one}", f"p2_{other}", pictures=pictures)
    assert found == ["p1", "p1", "p2", "p2"]


def test_folders_of_days_are_no_patients() -> None:
    people = ("Bauer", "Beck", "Horn", "Kranz", "Lang", "Otto")
    days = ("20210304", "20210918", "20220511", "20221024", "20230420", "20231130")
    pairs = [
        Pair(
            f"{who}_{day}_T2", Path(who, day, "T2.nii.gz"), None, None, place=(who, day), prefix=who
        )
        for n, who in enumerate(people)
        for day in (days[n], days[(n + 1) % 6])
    ]
    assert patients_of(pairs, None) == [who for who in people for _ in range(2)]


def test_a_date_before_the_patient() -> None:
    found = patients("2024-03-01_Koch", "2024-04-02_Koch", "20240301 Lang", "20240401 Lang")
    assert found == ["Koch", "Koch", "Lang", "Lang"]


@pytest.mark.parametrize("number", ["20586901", "20190111"])  # month 86 is no date
def test_a_number_before_views_is_the_patient(number: str) -> None:
    found = patients(f"{number}_L_CC", f"{number}_R_MLO", "22678646_L_CC", "22678646_R_CC")
    assert found == [number, number, "22678646", "22678646"]


def test_a_side_before_the_patient() -> None:
    found = patients("left_p1", "right_p1", "left_p2", "right_p2")
    assert found == ["p1", "p1", "p2", "p2"]


def test_regions_in_brackets() -> None:
    found = patients("S1 [d=4,x=0]", "S1 [d=4,x=9]", "S2 [d=4,x=0]", "S2 [d=4,x=9]")
    assert found == ["S1", "S1", "S2", "S2"]


def test_subjects_of_bids() -> None:
    assert patients("sub-01_ses-01_T1w", "sub-01_ses-02_acq-a_run-2_FLAIR", "sub-02") == [
        "sub-01", "sub-01", "sub-02",
    ]  # fmt: skip


def test_sides_after_a_number() -> None:
    assert patients("Image_01L", "Image_01R", "Image_02L") == ["Image_01", "Image_01", "Image_02L"]


def test_what_is_shared_by_all_or_by_none_is_no_patient() -> None:
    assert patients("hand_left", "hand_right") == ["hand_left", "hand_right"]
    assert patients("scan_t1", "brain_t2") == ["scan_t1", "brain_t2"]
    assert patients("x_ED", "y", pictures=True) == ["x_ED", "y"]
    assert patients("x_ED", "y") == ["x", "y"]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("Pat_001", "Pat_002"), ["Pat_001", "Pat_001", "Pat_002"]),
        (("scans/P01/day1", "scans/P02/day1"), ["P01", "P01", "P02"]),
        (("P01_left/a", "P02_left/b"), ["P01", "P01", "P02"]),
        (("batch1", "batch2"), None),
        (("benign", "malignant"), None),
        (("01", "02"), None),  # folds, sites
    ],
)
def test_the_folder_of_a_person_is_the_patient(
    folders: tuple[str, str], expected: list[str] | None
) -> None:
    places = [tuple(folders[index].split("/")) for index in (0, 0, 1)]
    names = ["IMG_7", "IMG_8", "IMG_9"]
    pairs = [
        Pair(name, Path(name), None, None, (), place)
        for name, place in zip(names, places, strict=True)
    ]
    assert patients_of(pairs, None) == (expected or names)
    assert patients_of(pairs, r"\d$") == ["7", "8", "9"]


def test_numbered_folders_are_patients_if_there_are_many() -> None:
    pairs = [Pair(f"IMG_{n}", Path("x"), None, None, (), (f"{n // 2:04d}",)) for n in range(10)]
    assert patients_of(pairs, None) == [f"{n // 2:04d}" for n in range(10)]


def test_days_of_a_patient_are_folders_of_one_patient() -> None:
    folders = [f"Koch_{n}_2024010{day}" for n in range(3) for day in (1, 2)]
    pairs = [Pair(f"{f}_cine", Path("x"), None, None, (), (f,), f) for f in folders]
    assert patients_of(pairs, None) == [f"Koch_{n}" for n in range(3) for _ in (1, 2)]


def test_names_that_look_like_slices() -> None:
    assert shared_stems(["p1_1", "p1_2", "p2_1", "p2_2", "q"]) == {
        "p1": ["p1_1", "p1_2"], "p2": ["p2_1", "p2_2"],
    }  # fmt: skip
    assert shared_stems([f"case7_{n}" for n in range(5)]) == {}
    assert shared_stems(["a", "b", "p1_1", "p1_2", "c", "d"]) == {}
