"""Measurements of an inspection against loops, and each finding with and without its fault."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from inspected import AFFINE, CLASSES, facts_of, volume
from semiseg.data.manifest import Split
from semiseg.data.task import Intensity
from semiseg.evaluation.inspection.duplicates import duplicates
from semiseg.evaluation.inspection.findings import Finding, strange
from semiseg.evaluation.inspection.images import images
from semiseg.evaluation.inspection.labels import labels
from semiseg.evaluation.inspection.measure import CaseFacts, empty_rim
from semiseg.evaluation.inspection.patients import parts_of, patients
from semiseg.evaluation.inspection.resolution import resolution
from semiseg.evaluation.inspection.summary import class_facts, intensity_facts
from semiseg.evaluation.overlap import dice
from semiseg.text import listed

WINDOW = Intensity(kind="window", low=0, high=255)


@pytest.fixture(scope="module")
def sound() -> list[CaseFacts]:
    """Ten cases without faults."""
    return [facts_of(f"case{n}", *volume(n)) for n in range(10)]


def all_of(facts: Sequence[CaseFacts]) -> list[Finding]:
    return [
        *patients(facts),
        *duplicates(facts),
        *labels(facts, CLASSES),
        *images(facts, WINDOW),
        *resolution(class_facts(facts, CLASSES), 32),
    ]


def test_a_sound_set_has_no_warning(sound: list[CaseFacts]) -> None:
    assert all_of(sound) == []


# --------------------------------------------------------------------------------- measurements


def test_a_case_is_measured_as_by_a_loop() -> None:
    rng = np.random.default_rng(5)
    image = rng.normal(50, 9, (4, 2, 30, 40)).astype(np.float32)
    label = np.zeros((4, 30, 40), np.uint8)
    label[1, 3:7, 3:8] = 1
    label[2, 6:9, 7:20] = 1  # shares an edge with the component of slice 1
    label[2, 20, 30] = 1
    label[3, 29, 39] = 2
    affine = np.array([[0, 0, 4.0, 1], [0, -0.5, 0, 2], [0.25, 0, 0, 3], [0, 0, 0, 1]])
    facts = facts_of(
        "one", image, label, affine=tuple(map(tuple, affine.tolist())), slice_axis=0,
        spacing=(0.25, 0.5, 4.0),
    )  # fmt: skip
    np.testing.assert_allclose(
        facts.percentiles, np.percentile(image, np.linspace(0, 100, 201)), rtol=1e-5
    )
    assert facts.extremes == (image.min(), image.max())
    assert facts.millilitres == pytest.approx(0.25 * 0.5 * 4 / 1000)
    assert facts.shown == 2
    assert facts.borders == 2
    assert facts.covered == pytest.approx((20 + 39 + 1 + 1) / label.size)
    first, second = facts.structures
    assert (first.voxels, first.slices, first.components) == (60, 2, 2)
    assert (second.voxels, second.slices, second.components) == (1, 1, 1)
    # components of 20, 39 and 1 pixels: the 30th of 60 pixels is in that of 39
    assert first.across == pytest.approx(np.sqrt(39 * 32 * 32 / (30 * 40)))
    places = np.argwhere(label == 1).mean(axis=0)
    assert first.centre == pytest.approx((affine @ [*places, 1])[:3])
    restored = label[:, ((np.arange(32) + 0.5) * 30 / 32).astype(int)]
    restored = restored[:, :, ((np.arange(32) + 0.5) * 40 / 32).astype(int)]
    restored = restored[:, ((np.arange(30) + 0.5) * 32 / 30).astype(int)]
    restored = restored[:, :, ((np.arange(40) + 0.5) * 32 / 40).astype(int)]
    assert first.upper_bound == dice(restored == 1, label == 1)


def test_a_large_image_is_sampled_evenly() -> None:
    image = np.random.default_rng(0).gamma(2, 50, (3, 1, 400, 400)).astype(np.float32)
    facts = facts_of("large", image, None)
    exact = np.percentile(image, np.linspace(0, 100, 201))
    np.testing.assert_allclose(facts.percentiles[5:-5], exact[5:-5], rtol=0.03)
    assert facts.extremes == (image.min(), image.max())
    assert facts.structures == ()
    assert facts.shown == 1


def test_where_the_label_has_other_codes_nothing_is_known(sound: list[CaseFacts]) -> None:
    image, label = volume(1)
    partly = label.copy()
    partly[0] = 255
    facts = facts_of("partly", image, partly)
    assert facts.labelled_share == pytest.approx(2 / 3)
    assert facts.covered == (label[1:] > 0).mean()
    for own, all_of_it in zip(
        facts.structures, facts_of("a", image, label).structures, strict=True
    ):
        assert (own.voxels, own.slices) == (all_of_it.voxels * 2 // 3, 2)
    # ignored pixels are not missing: no findings on empty labels, classes or volumes
    partly[partly == 2] = 255
    partly[2] = 255
    partly[1, 12:] = 255
    odd = facts_of("odd", *volume(21)[:1], partly)
    bare = facts_of("bare", *volume(22)[:1], np.where(label < 9, np.uint8(255), label))
    assert labels([*sound, odd, bare], CLASSES) == []


def test_class_facts_are_means_and_medians_over_the_cases_that_hold_it() -> None:
    image, label = volume(0)
    half = np.where(label == 2, np.uint8(0), label)
    cases = [facts_of("a", image, label), facts_of("b", image, half), facts_of("c", image, None)]
    left, right = class_facts(cases, CLASSES)
    assert (left.cases, left.slices, right.cases, right.slices) == (2, 6, 1, 3)
    assert left.share == pytest.approx((label == 1).sum() / label.size)
    assert left.volume == pytest.approx((label == 1).sum() * 5 / 1000)
    assert (left.unit, right.upper_bound) == ("ml", 1.0)
    spaceless = class_facts([facts_of("a", image, label, spacing=None)], CLASSES)
    assert (spaceless[0].unit, spaceless[0].volume) == ("voxels", (label == 1).sum())
    assert class_facts([cases[2]], CLASSES)[0].upper_bound is None


def test_intensities_are_medians_over_images() -> None:
    cases = [facts_of(str(n), n + volume(0)[0], volume(0)[1] if n else None) for n in range(4)]
    found = intensity_facts(cases)
    assert (found["labelled"].images, found["unlabelled"].images) == (3, 1)
    assert found["labelled"].middle == found["unlabelled"].middle + 2
    assert found["labelled"].lowest == 1
    assert found["labelled"].highest == 3 + volume(0)[0].max()


def test_strange_values() -> None:
    usual = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02]
    assert strange([*usual, 9, 0.05], 5, 2).tolist() == [7, 6]
    assert strange([*usual, 1.9], 5, 2).tolist() == []  # far in deviations, not by the factor
    assert strange([1, 9], 5, 2).tolist() == []  # too few values
    assert strange([1.0] * 9 + [3.0], 5, 2).tolist() == [9]  # no spread at all


def test_many_names_are_cut() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed("abcdefgh") == "a, b, c, d, e and 3 more"


# ------------------------------------------------------------------------------------- warnings


def changed(number: int, **fields: Any) -> CaseFacts:
    """A sound case with other values in its entry in the manifest."""
    return facts_of(f"odd{number}", *volume(number), **fields)


def test_the_empty_rim_is_constant_and_touches_the_border() -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(60, 200, (40, 40))
    grey[12:20, 12:20] = rng.integers(0, 3, (8, 8))  # a dark structure
    assert not empty_rim(grey, 2.0).any()
    grey[:, 34:] = rng.integers(0, 2, (40, 6))  # a rim with the noise of JPEG
    expected = np.zeros((40, 40), bool)
    expected[:, 34:] = True
    np.testing.assert_array_equal(empty_rim(grey, 2.0), expected)
    grey[:, 34:] = rng.integers(0, 40, (40, 6))  # dark tissue at the border
    assert empty_rim(grey, 2.0).mean() < 0.02
    grey[:, 34:] = 255  # constant, but not the darkest
    assert not empty_rim(grey, 2.0).any()


def test_duplicates_across_parts_are_serious(sound: list[CaseFacts]) -> None:
    image, label = volume(3)
    other = label.copy()
    other[0, 12, 8] = 0
    twin = facts_of("twin", image, other, part="test")
    found = {f.kind: f for f in duplicates([*sound, twin])}
    assert set(found) == {"duplicates-across-parts", "labels-of-duplicates-differ"}
    finding = found["duplicates-across-parts"]
    assert finding.level == "serious"
    assert finding.pairs == (("case3", "twin"),)
    assert "1 pair of identical images lies" in finding.sentence
    assert "case3 (train) and twin (test)" in finding.sentence
    assert found["labels-of-duplicates-differ"].pairs == (("case3", "twin"),)


def test_duplicates_within_a_part(sound: list[CaseFacts]) -> None:
    image, label = volume(3)
    assert [(f.kind, f.level) for f in duplicates([*sound, facts_of("twin", image, label)])] == [
        ("duplicates-of-different-patients", "minor")
    ]
    again = facts_of("again", image, label, patient="case3")
    assert [f.kind for f in duplicates([*sound, again])] == ["duplicates-of-one-patient"]


def test_near_duplicates_are_of_different_patients(sound: list[CaseFacts]) -> None:
    image, label = volume(3)
    near = (0.8 * image + 7).astype(np.int16)
    across = duplicates([*sound, facts_of("near", near, label, part="validation")])
    assert [(f.kind, f.level, f.pairs) for f in across] == [
        ("near-duplicates-across-parts", "serious", (("case3", "near"),))
    ]
    within = duplicates([*sound, facts_of("near", near, label)])
    assert [(f.kind, f.level) for f in within] == [
        ("near-duplicates-of-different-patients", "minor")
    ]
    # similar slices and phases of one patient are not a finding
    assert duplicates([*sound, facts_of("near", near, label, patient="case3")]) == []
    # patients with an identical image have no further findings on similar images
    twins = [facts_of("t1", image, label), facts_of("t2", near, label, patient="t1")]
    assert {f.kind for f in duplicates([*sound, *twins])} == {"duplicates-of-different-patients"}


MIRRORED = ((0.0, -1.0, 0.0, 0.0), *AFFINE[1:])


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"affine": MIRRORED}, "mixed-orientations", "(ARS in 10, ALS in 1): odd1"),
        ({"slice_axis": 0}, "mixed-orientations", "ARS with slices along axis 0 in 1"),
        ({"spacing": (5.0, 1.0, 1.6)}, "mixed-spacings", "odd1 (5 x 1 x 1.6)"),
        ({"spacing": (3.0, 1.0, 1.0)}, "mixed-spacings", "(5 x 1 x 1 mm, slice x row x column)"),
        ({"spacing": None}, "spacing-missing", "1 image has no spacing while 10 have one: odd1"),
    ],
)
def test_mixed_geometry_is_found(
    sound: list[CaseFacts], fields: dict[str, Any], kind: str, words: str
) -> None:
    findings = images([*sound, changed(1, **fields)], WINDOW)
    assert [(f.kind, f.cases) for f in findings] == [(kind, ("odd1",))]
    assert words in findings[0].sentence


def test_a_little_other_spacing_is_none(sound: list[CaseFacts]) -> None:
    assert images([*sound, changed(1, spacing=(4.0, 1.2, 1.2))], WINDOW) == []


@pytest.mark.parametrize(("rows", "found"), [(64, True), (40, False)])
def test_mixed_sizes(sound: list[CaseFacts], rows: int, found: bool) -> None:
    image, label = volume(1)
    grown = np.repeat(image, 2, axis=2)[:, :, :rows], np.repeat(label, 2, axis=1)[:, :rows]
    findings = images([*sound, facts_of("odd", *grown)], WINDOW)
    assert [f.kind for f in findings] == ["mixed-sizes"] * found


@pytest.mark.parametrize(
    ("scale", "shift", "found"),
    [(1, 0, False), (1.5, 10, False), (1 / 150, 0, True), (40, 0, True), (1, 1000, True)],
)
def test_another_scale_of_intensities(
    sound: list[CaseFacts], scale: float, shift: float, found: bool
) -> None:
    image, label = volume(20)
    odd = facts_of("odd", (scale * image + shift).astype(np.float32), label)
    findings = images([*sound, odd], WINDOW)
    assert [(f.kind, f.cases) for f in findings] == [("mixed-intensities", ("odd",))] * found
    own = images([*sound, odd], Intensity(kind="percentile", low=1, high=99))
    assert ["may be enough" in f.sentence for f in own] == [True] * found


def test_tiny_structures_and_a_low_upper_bound() -> None:
    image, label = volume(0)
    # two pixels wide at four times the input size: half a pixel at the input size
    wide = np.zeros((3, 128, 128), np.uint8)
    wide[:, 60:110, 61:63] = 1
    wide[:, 10:60, 10:60] = 2
    big = np.repeat(np.repeat(image, 4, axis=2), 4, axis=3)
    classes = class_facts([facts_of("thin", big, wide)], CLASSES)
    findings = resolution(classes, 32)
    assert [f.kind for f in findings] == ["tiny-structures"]
    assert findings[0].sentence.startswith(
        "left lung is typically 2.5 pixels wide and has an upper bound"
    )
    assert "data.size=64" in findings[0].sentence
    assert classes[0].upper_bound is not None
    assert f"{classes[0].upper_bound:.3f}" in findings[0].sentence
    low = dataclasses.replace(classes[1], upper_bound=0.899)
    assert [f.kind for f in resolution([low], 32)] == ["low-upper-bound"]
    assert resolution(class_facts([facts_of("thick", image, label)], CLASSES), 32) == []


def pictures(names: Sequence[str], parts: Sequence[str] | None = None) -> list[CaseFacts]:
    out = []
    for number, name in enumerate(names):
        image, label = volume(number)
        part = parts[number] if parts else "train"
        out.append(facts_of(name, image[:1], label[:1], part, spacing=None, affine=None))
    return out


def test_the_part_of_each_patient() -> None:
    split = Split(train=("a", "b"), validation=("c",), test=("d",))
    assert parts_of(split) == {"a": "train", "b": "train", "c": "validation", "d": "test"}


@pytest.mark.parametrize(
    ("names", "parts", "level"),
    [
        (["p01_slice_1", "p01_slice_2", "p02_slice_1", "p02_slice_2"], "ttvt", "serious"),
        (["p01_slice_1", "p01_slice_2", "p02_slice_1", "p02_slice_2"], "tttt", "minor"),
        (["anna-frame3", "anna-frame9", "bert-frame1", "bert-frame2"], "tttt", "minor"),
        (["p01_1", "p01_2", "p02_1", "p02_2", "p03_1"], "tvttt", "minor"),
        (["P1.z12", "P1.z13", "P2.z12", "P2.z13"], "tttt", "minor"),
    ],
)
def test_names_of_slices_are_found(names: list[str], parts: str, level: str) -> None:
    where = [{"t": "train", "v": "validation"}[letter] for letter in parts]
    findings = patients(pictures(names, where))
    assert [(f.kind, f.level) for f in findings] == [("slices-of-a-patient", level)]
    pattern = findings[0].sentence.split("--patient-pattern '")[1].split("'")[0]
    from semiseg.datasets.base import patient_of

    stems = {patient_of(name, pattern) for name in names if not name.startswith("p03")}
    assert len(stems) == 2


@pytest.mark.parametrize(
    "names",
    [
        ["case_0001", "case_0002", "case_0003", "case_0004"],
        ["ISIC_0000000", "ISIC_0000001", "ISIC_0000002"],
        ["cju0qkwl35", "cju1b0y2e3", "cju76lsehy"],
        ["scan_1", "scan_2", "photo_1", "photo_2"],
        ["2018_1", "p02_1", "p03_1", "p04_1", "p04_2"],
        ["p01_slice_1", "p02_slice_1", "p03_slice_1"],
    ],
)
def test_ordinary_names_are_left_in_peace(names: list[str]) -> None:
    assert patients(pictures(names)) == []


def test_slices_that_share_their_patient_are_right() -> None:
    cases = [
        facts_of(f"p0{p}_slice_{s}", *volume(3 * p + s), patient=f"p0{p}")
        for p in (1, 2) for s in (1, 2)
    ]  # fmt: skip
    assert patients(cases) == []
