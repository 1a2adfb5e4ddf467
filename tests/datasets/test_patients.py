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
        ("roi3", "roi4"), ("tile_1_7", "tile_2_7"), ("x0_y512", "x512_y0"), ("s1_z05", "s2_z05"),
    ],
)  # fmt: skip
def test_what_several_images_share_is_the_patient(one: str, other: str, pictures: bool) -> None:
    found = patients(f"p1_{one}", f"p1_{other}", f"p2_{one}", f"p2_{other}", pictures=pictures)
    assert found == ["p1", "p1", "p2", "p2"]


def test_a_date_before_the_patient() -> None:
    found = patients("2024-03-01_Koch", "2024-04-02_Koch", "20240301 Lang", "20240401 Lang")
    assert found == ["Koch", "Koch", "Lang", "Lang"]


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


def test_names_that_look_like_slices() -> None:
    assert shared_stems(["p1_1", "p1_2", "p2_1", "p2_2", "q"]) == {
        "p1": ["p1_1", "p1_2"], "p2": ["p2_1", "p2_2"],
    }  # fmt: skip
    assert shared_stems([f"case7_{n}" for n in range(5)]) == {}
    assert shared_stems(["a", "b", "p1_1", "p1_2", "c", "d"]) == {}
