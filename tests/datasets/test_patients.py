"""Patients in the names of images."""

from pathlib import Path

import pytest

from semiseg.datasets.pairs import Pair
from semiseg.datasets.patients import patients_of, shared_stems
from semiseg.datasets.sites import notes_on_sites


def patients(*names: str, pictures: bool = False) -> list[str]:
    return patients_of([Pair(name, Path(name), None, None) for name in names], None, pictures)


# What follows the patient in English, German, French and Spanish.
WORDS = """
    Aufnahme1 Aufnahme2, scan2 scan3, img1 img3, image_1 image_2, Foto Foto2, photo1 photo2, pic1 pic2,
    Bild_01 Bild_02, snapshot1 snapshot2, view1 view2, Ansicht1 Ansicht2, vue1 vue2, vista1 vista2,
    Schnitt1 Schnitt2, coupe1 coupe2, corte1 corte2, Messung1 Messung2, Besuch1 Besuch2, Termin1
    Termin2, Kontrolle1 Kontrolle2, examen1 examen2, visita1 visita2, consulta1 consulta2, cliché1
    cliché2, imagen1 imagen2, toma1 toma2, Tag1 Tag2, Woche1 Woche2, jour1 jour2, semaine1 semaine2,
    mois1 mois2, día1 día2, semana1 semana2, mes1 mes2, vorher nachher, avant après, avant apres, antes
    después, droit gauche, derecha izquierda, séance1 séance2, sesión1 sesión2, suivi1 suivi2, estudio1
    estudio2, serie1 serie2, série1 série2, Läsion1 Läsion2, lesion1 lesion2, zona1 zona2, Teil1 Teil2,
    section1 section2, test retest, Sitzung1 Sitzung2, bild1a bild1b
""".replace("\n", " ")


@pytest.mark.parametrize("pictures", [False, True])
@pytest.mark.parametrize("separator", ["-", "_", " "])
def test_words_of_four_languages_follow_the_patient(separator: str, pictures: bool) -> None:
    for one, other in (pair.split() for pair in WORDS.split(",")):
        names = [f"P{n:02d}{separator}{word}" for n in (1, 2, 3) for word in (one, other)]
        expected = [f"P{n:02d}" for n in (1, 1, 2, 2, 3, 3)]
        assert patients(*names, pictures=pictures) == expected, one


def test_images_of_sites_and_classes_are_of_different_patients() -> None:
    for groups in (("benign", "malignant"), ("batch1", "batch2"), tuple("ABCDEF")):
        names = [f"{group}_img{n}" for group in groups for n in range(3)]
        assert patients(*names, pictures=True) == names
    assert patients("site1_control1", "site1_control2", "site2_control1") == [
        "site1_control1", "site1_control2", "site2_control1",
    ]  # fmt: skip
    many = [f"US{n:03d}_img{k}" for n in range(5) for k in (1, 2)]
    assert patients(*many, pictures=True) == [f"US{n:03d}" for n in range(5) for _ in (1, 2)]


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


def in_folders(*folders: str, names: tuple[str, ...] = ("f0", "f1")) -> list[Pair]:
    """Images of the same names in folders; identifiers begin with the folders."""
    found = []
    for folder in folders:
        prefix = folder.replace("/", "_")
        for name in names:
            place = tuple(folder.split("/"))
            found.append(
                Pair(f"{prefix}_{name}", Path(folder, name), None, None, (), place, prefix)
            )
    return found


def test_patients_of_two_sites_with_the_same_names_are_told() -> None:
    pairs = in_folders("Lyon/P01", "Lyon/P02", "Mainz/P01", "Mainz/P02")
    found = patients_of(pairs, None)
    assert found == ["P01", "P01", "P02", "P02"] * 2  # two patients taken for one do no harm
    (note,) = notes_on_sites(pairs, found, None)
    assert note == (
        "the folders Lyon and Mainz hold patients of the same names (P01, P02): each name counts as one "
        "patient. If these are different people, --patient-pattern '^([^_]+_[^_]+)' separates them."
    )
    apart = patients_of(pairs, "^([^_]+_[^_]+)")
    assert len(set(apart)) == 4
    assert notes_on_sites(pairs, apart, "^([^_]+_[^_]+)") == []


@pytest.mark.parametrize("folders", [("Lyon", "Mainz"), ("benign", "malignant")])
def test_files_with_the_name_of_a_person_in_two_folders(folders: tuple[str, str]) -> None:
    pairs = in_folders(*folders, names=("P01", "P02_img1", "P02_img2"))
    found = patients_of(pairs, None, pictures=True)
    assert found == ["P01", "P02", "P02"] * 2
    assert "P01, P02" in notes_on_sites(pairs, found, None)[0]
    numbers = in_folders(
        *folders, names=("01", "02", "03")
    )  # numbers of images rather than of people
    assert len(set(patients_of(numbers, None))) == 6


@pytest.mark.parametrize("folders", [("T1", "T2"), ("baseline", "followup"), ("Tag 1", "Tag 2")])
@pytest.mark.parametrize("names", [("P01", "P02"), ("Meyer", "Otto")])
def test_folders_of_visits_hold_the_same_patients(
    folders: tuple[str, str], names: tuple[str, str]
) -> None:
    pairs = in_folders(*folders, names=names)
    found = patients_of(pairs, None)
    assert found == [*names, *names]
    assert notes_on_sites(pairs, found, None) == []


def test_a_site_that_is_not_in_the_identifier() -> None:
    pairs = [
        Pair(f"f{n}", Path(place, f"f{n}"), None, None, (), tuple(place.split("/")))
        for n, place in enumerate(("Lyon/P01", "Lyon/P02", "Mainz/P01"))
    ]
    (note,) = notes_on_sites(pairs, patients_of(pairs, None), None)
    assert note.endswith("different people, list the images in a CSV with a column patient.")


# Visits after an operation and at times since it, in four languages.
VISITS = """
    preop postop3mo, postop3mo postop12mo, baseline 3mo, 6months 12months, week2 week10,
    day10 day3, m0 m12, yr1 yr2,
    3m 12m, 2y 5y, 24h 48h, D0 D+10, fu6m fu12m, pre_tx post_tx, preTx postTx3wk, 1.5y 3y, 3-month 6-month,
    1st_visit 2nd_visit, first second, screening v1d10, v1d1 v2d8, M0 3moFU, 3Monate 6Monate, Monat3 Monat6,
    6mois J15, 3meses 6meses, baseline discharge, intraop post-op, postchemo prechemo
""".replace("\n", " ")


@pytest.mark.parametrize("pictures", [False, True])
@pytest.mark.parametrize("separator", ["-", "_", " "])
def test_visits_follow_the_patient(separator: str, pictures: bool) -> None:
    for one, other in (pair.split() for pair in VISITS.split(",")):
        names = [f"case{n:02d}{separator}{word}" for n in (1, 2, 3) for word in (one, other)]
        expected = [f"case{n:02d}" for n in (1, 1, 2, 2, 3, 3)]
        assert patients(*names, pictures=pictures) == expected, one


def test_visits_directly_after_a_number_and_before_the_patient() -> None:
    for form in ("P0{n}{visit}", "{visit}_P0{n}"):
        names = [form.format(n=n, visit=v) for n in (1, 2) for v in ("pre", "post3mo", "day3")]
        assert patients(*names) == ["P01"] * 3 + ["P02"] * 3
    assert patients("m3_p1", "m4_p1") == ["m3_p1", "m4_p1"]  # mice, donors
    assert patients("case_3_a", "case_3_d", "case_4_a", "case_4_d") == [
        "case_3", "case_3", "case_4", "case_4",
    ]  # fmt: skip


@pytest.mark.parametrize("folders", [("preop", "postop3mo"), ("3 months", "12 months")])
def test_folders_of_visits_after_an_operation(folders: tuple[str, str]) -> None:
    assert patients_of(in_folders(*folders, names=("P01", "P02")), None) == ["P01", "P02"] * 2


@pytest.mark.parametrize("ending", ["pre12m" * 40, "1d" * 100, "d1" * 100, "pre_" * 60, "v1" * 100])
def test_long_names_take_no_time(ending: str) -> None:
    from time import process_time

    begun = process_time()
    patients(f"p1_{ending}!", f"p2_{ending}!")
    assert process_time() - begun < 1


def test_visits_of_a_patient_in_several_spellings() -> None:
    names = patients("P01_pre", "p1_post", "P02_pre", "P2_post3mo")
    assert names == ["P01", "p1", "P02", "P2"]  # which `prepare` takes for one, see `one_spelling`
