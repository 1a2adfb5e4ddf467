"""Figures: valid SVG without fixed colours, and overlays with correct crops and proportions."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from semiseg.data.task import IGNORE_INDEX, Intensity, Task
from semiseg.reporting import figures
from semiseg.reporting.figures import (
    CLASSES,
    SERIES,
    Curve,
    class_colours,
    curves,
    histogram,
    paper_colours,
    strips,
)
from semiseg.reporting.overlays import choose_cases, choose_slices, crop_box, overlay

LINES = [Curve("a & b", [1, 2], [0.2, 0.4], 0), Curve("<b>", [1, 2], [0.001, 0.9], 1, minor=True)]


def test_svg_is_well_formed_and_takes_the_pages_colours() -> None:
    for svg in (
        curves(LINES, "iteration", "Dice", unit_interval=True),
        curves(LINES, "iteration", "loss", logarithmic=True),
        strips({"a & b": [0.1, 0.5, 0.7, 0.9], "c": [0.2]}, [0, 1], "Dice"),
        histogram({"a & b": [1, 5, 700], "c": [2]}, [0, 1], "ml", logarithmic=True),
        histogram({"a & b": [3, 3]}, [0], "slices"),
    ):
        root = ET.fromstring(svg.replace("xlink:href", "href"))
        assert root.get("role") == "img"
        assert root.get("aria-label")
        assert "var(--series-0)" in svg
        assert "currentColor" in svg
        assert figures.SERIES[0] not in svg
        assert "a & b" in "".join(root.itertext()) + root.get("aria-label", "")


def test_histograms_of_other_numbers_of_images_have_the_same_area() -> None:
    """The second group is ten copies of the first: both outlines must be equal."""
    values = np.random.default_rng(0).normal(size=50).tolist()
    svg = histogram({"few": values, "many": 10 * values}, [0, 1], "intensity", bins=8)
    outlines = re.findall(r'<path d="([^"]+)"[^>]*style="fill: none;[^"]*stroke: var', svg)
    assert outlines[0] == outlines[1]
    heights = [-float(y) for _, y in re.findall(r"L (\S+) (\S+)", outlines[0])]
    counts, _ = np.histogram(values, 8)
    assert heights.index(max(heights)) == 2 * int(counts.argmax())


def test_identifiers_of_two_figures_never_meet() -> None:
    found = [
        set(re.findall(r' id="([^"]+)"', curves(LINES, "iteration", name))) for name in ("x", "y")
    ]
    assert found[0]
    assert not found[0] & found[1]
    svg = curves(LINES, "iteration", "x")
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= found[0]


def test_the_same_data_give_the_same_picture() -> None:
    values = list(np.random.default_rng(0).random(12))
    assert strips({"a": values}, [0], "Dice") == strips({"a": values}, [0], "Dice")


def test_classes_have_the_sources_colours_where_these_can_be_seen() -> None:
    def of(**colours: str) -> tuple[str, ...]:
        task = Task(
            name="t", kind="volumes", channels=1, classes=("background", "a", "b", "c"),
            intensity=Intensity(kind="minmax"), median_shape=(1, 8, 8), colours=colours,
        )  # fmt: skip
        return class_colours(task)

    first, second, third = CLASSES[:3]
    assert of() == (first, second, third)
    assert of(b="#ff8040") == (first, "#ff8040", second)
    assert of(c=first) == (second, third, first)  # all classes have different colours
    assert of(a="#ff0000", b="#ff0000") == of(a="#200000") == (first, second, third)


def test_points_on_paper_have_the_sources_colours_where_all_can_be_seen() -> None:
    def of(**colours: str) -> tuple[str, ...]:
        task = Task(
            name="t", kind="pictures", channels=3, classes=("background", "a", "b"),
            intensity=Intensity(kind="minmax"), median_shape=(1, 8, 8), colours=colours,
        )  # fmt: skip
        return paper_colours(task)

    assert of(a="#00ff00", b="#ff0000") == ("#00ff00", "#ff0000")
    assert of() == of(a="#00ff00") == of(a="#ff0000", b="#ff0000") == SERIES
    assert of(a="#00ff00", b="#f0f0f0") == SERIES  # nearly white


def test_an_overlay_is_drawn_in_given_colours() -> None:
    label = np.zeros((8, 8), np.uint8)
    label[2:6, 2:6] = 2
    pixels = overlay(
        np.zeros((1, 8, 8)), label, (1.0, 1.0), (0, 8, 0, 8), (0.0, 1.0), side=80, fill=1.0,
        colours=("#0000ff", "#ff8040"),
    )  # fmt: skip
    np.testing.assert_allclose(pixels[40, 40], (255, 128, 64), atol=6)
    assert pixels[4, 4].max() < 12


def test_cases_are_chosen_by_rank() -> None:
    scores = {"a": 0.9, "b": 0.1, "c": 0.55, "d": 0.5, "e": 0.2}
    assert choose_cases(scores) == [("d", "nearest to the median"), ("a", "best"), ("b", "worst")]
    assert choose_cases({"only": 0.3}) == [("only", "nearest to the median, best and worst")]
    assert choose_cases({}) == []


def test_slices_lie_within_the_structure() -> None:
    label = np.zeros((12, 4, 4), np.uint8)
    label[2:11, 1, 1] = 1
    assert choose_slices(label) == [3, 6, 9]
    assert choose_slices(label[:4]) == [2, 3]
    assert choose_slices(np.zeros((9, 4, 4), np.uint8)) == [1, 4, 7]


def test_a_stray_prediction_is_never_cut_away() -> None:
    reference, prediction = np.zeros((1, 100, 100), bool), np.zeros((1, 100, 100), bool)
    reference[0, 10:20, 10:20] = True
    prediction[0, 95, 97] = True
    top, bottom, left, right = crop_box([reference, prediction], (1.0, 1.0))
    assert top <= 10 < 96 <= bottom
    assert left <= 10 < 98 <= right


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0), (1.0, 3.0)])
def test_overlay_keeps_real_proportions(spacing: tuple[float, float]) -> None:
    image = np.random.default_rng(0).random((1, 40, 60)).astype(np.float32)
    picture = overlay(image, None, spacing, (0, 40, 0, 60), (0, 1), side=240)
    expected = 60 * spacing[1] / (40 * spacing[0])
    height, width, colours = picture.shape
    assert width / height == pytest.approx(expected, rel=0.02)
    assert (max(width, height), colours) == (240, 3)


def test_overlay_colours_the_label_and_outlines_the_truth_in_white() -> None:
    image = np.zeros((1, 30, 30), np.float32)
    label, truth = np.zeros((30, 30), np.uint8), np.zeros((30, 30), np.uint8)
    label[5:15, 5:15], truth[18:28, 18:28] = 1, 1
    pixels = overlay(image, label, (1.0, 1.0), (0, 30, 0, 30), (0, 1), truth, side=300).astype(int)
    red, _, blue = pixels[100, 100]
    assert blue > red + 30  # class 1 is blue
    assert pixels[180:185, 200:260].max() > 200  # the outline
    assert pixels[230, 230].max() < 40  # the truth is not filled
    assert pixels[20, 280].max() < 40  # nor is the background touched


def test_colour_pictures_stay_in_colour() -> None:
    image = np.zeros((3, 20, 20), np.uint8)
    image[0] = 255
    red, green, _ = overlay(image, None, (1.0, 1.0), (0, 20, 0, 20), (0, 255))[50, 50]
    assert red > 240 > 20 > green


def test_what_is_ignored_is_darkened_and_is_no_structure() -> None:
    image = np.full((1, 40, 40), 100.0)
    reference = np.zeros((4, 40, 40), np.uint8)
    reference[1, 4:12, 4:12] = 1
    reference[:, 20:] = IGNORE_INDEX
    reference[3] = IGNORE_INDEX
    assert choose_slices(reference) == [1]
    assert crop_box([reference], (1.0, 1.0))[1] <= 20
    whole, grey = (0, 40, 0, 40), (0.0, 200.0)

    def pixels(label: np.ndarray | None, truth: np.ndarray | None = None) -> np.ndarray:
        return overlay(image, label, (1.0, 1.0), whole, grey, truth, side=40).astype(float)

    plain, drawn = pixels(None), pixels(reference[1])
    assert drawn[25:].mean() < 0.6 * plain[25:].mean()
    assert (
        np.abs(drawn[25:] - drawn[25:].mean(2, keepdims=True)).max() < 12
    )  # grey, without a class's colour
    np.testing.assert_allclose(drawn[14:18, 20:], plain[14:18, 20:], atol=8)
    outlined = pixels(None, reference[1])
    np.testing.assert_allclose(outlined[25:], plain[25:], atol=8)
