"""The figure of the pictures: it contains every case, method and score."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from fabricated import CLASSES, disc, evaluate, make_run
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.reporting.gallery import gallery
from semiseg.reporting.overlays import Shown
from semiseg.workflows.report import report


def shown(section: str, case: str, **scores: float) -> Shown:
    label = disc((20, 20), 10)
    return Shown(
        section, case, "best", np.zeros((len(label), 1, *label.shape[1:]), np.float32), label,
        dict.fromkeys(scores, label), scores,
    )  # fmt: skip


def texts(figure: Figure) -> list[list[str]]:
    """The labels of each row, and the titles of its pictures."""
    rows: dict[int, list[str]] = {}
    for axes in figure.axes:
        spec = axes.get_subplotspec()
        assert spec is not None
        row = rows.setdefault(spec.rowspan.start, [axes.get_ylabel()])
        if axes.images:
            row.append(axes.get_title())
    return list(rows.values())


def test_methods_are_named_once_a_section_and_scores_at_every_case() -> None:
    items = [
        shown("1 labelled", "p1", one=0.5, two=0.25), shown("1 labelled", "p2", one=0.75, two=1.0),
        shown("2 labelled", "p1", one=0.625),
    ]  # fmt: skip
    figure = gallery(items, CLASSES[1:])
    assert texts(figure) == [
        ["1 labelled\np1\nslice 2 of 4\nbest", "image", "reference", "one\nDice 0.500", "two\nDice 0.250"],
        ["p2\nslice 2 of 4\nbest", "", "", "Dice 0.750", "Dice 1.000"],
        ["2 labelled\np1\nslice 2 of 4\nbest", "image", "reference", "one\nDice 0.625"],
    ]  # fmt: skip
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [*CLASSES[1:], "white outline: the reference"]


@pytest.mark.parametrize(("cases", "columns"), [(1, 1), (1, 5), (1, 8), (3, 2)])
def test_every_word_lies_within_the_figure(cases: int, columns: int) -> None:
    scores = {f"method {column}": 0.5 for column in range(columns)}
    item = shown("4 labelled, seed 0", "a_long_name_of_a_patient_of_some_hospital_2020", **scores)
    item = dataclasses.replace(item, why="nearest to the median, best and worst")
    figure = gallery([item] * cases, CLASSES[1:])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_text():
            box = text.get_window_extent(canvas.get_renderer())
            assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.5, text


@pytest.mark.parametrize("ending", [".png", ".PDF", ".svg"])
def test_a_run_and_a_benchmark_give_a_figure(
    bench: Path, data: PreparedData, tmp_path: Path, ending: str
) -> None:
    run = make_run(data, tmp_path / "run").folder
    evaluate(data, run, "test", "unet", 2)
    for folder in (bench, run):
        target = tmp_path / "figures" / f"{folder.name}{ending}"
        assert report(folder, target, console=Quiet()) == target
        assert target.stat().st_size > 5000
        assert not (folder / "report.html").exists()
        if ending == ".png":
            pixels = np.asarray(Image.open(target).convert("RGB"), int)
            assert np.ptp(pixels, axis=2).max() > 100  # structures are in colour


def test_what_cannot_be_drawn_is_said_and_nothing_is_written(
    bench: Path, data: PreparedData, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"\.html \(a page\) or in \.png, \.svg or \.pdf"):
        report(bench, tmp_path / "page.jpg", console=Quiet())
    shutil.rmtree(data.folder)
    with pytest.raises(UserError, match="no case with a prediction"):
        report(bench, tmp_path / "page.png", console=Quiet())
    assert not list(tmp_path.glob("page*"))
