"""Pages: self-contained, only with measured numbers, and complete if data are missing."""

import html.parser
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated import evaluate, make_benchmark, make_run

from consoles import Listening
from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import RunFailure, UserError
from semiseg.inference.predictor import Predictor
from semiseg.reporting import overlays
from semiseg.reporting.facts import trained
from semiseg.reporting.page import benchmark_page, run_page
from semiseg.training.run_files import Finished
from semiseg.workflows.report import report


class Reader(html.parser.HTMLParser):
    """Collects tags and links, and checks that all tags are closed."""

    VOID = ("meta", "img", "br", "link", "input", "path", "use", "line")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(named)
        self.ids += [named["id"]] if named.get("id") else []
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    reader.text = " ".join(reader.text.split())
    return reader


def test_report_of_a_benchmark(bench: Path) -> None:
    # only the supervised runs have weights: the pictures of the others are left out
    path = report(bench, console=Quiet())
    assert path == bench / "report.html"
    page = read(path.read_text("utf-8"))
    assert page.images
    assert all(image["alt"] and image["src"] for image in page.images)
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"url\((?!#)|@import|<script", path.read_text("utf-8"))
    for words in (
        "supervised and mcsc on discs, 1 and 2 labelled patients", "one training with one seed",
        "mcsc minus supervised", "of 3 cases", "2 patients = 2 volumes = 8 slices",
        "nearest to the median", "semiseg benchmark discs --methods supervised,mcsc",
        "--labelled 2,1 --seeds 0", "core in 3 of 3", "95th percentile",
    ):  # fmt: skip
        assert words in page.text, words


def test_predictions_in_the_pictures_come_from_the_runs(data: PreparedData, tmp_path: Path) -> None:
    runs = [("a", "supervised", 2, 0, 2), ("b", "supervised", 2, 0, 1)]
    folder = make_benchmark(data, tmp_path / "b", runs)
    page = read(report(folder, console=Quiet()).read_text("utf-8"))
    alts = [image["alt"] or "" for image in page.images]
    # three cases (the three test patients), three slices each: image, reference, two predictions
    assert len(alts) == 3 * 3 * 4
    for name in ("prediction of a", "prediction of b", "reference segmentation", "image"):
        assert sum(alt.endswith(name) for alt in alts) == 9


def test_paired_difference_is_that_of_the_cases(data: PreparedData, tmp_path: Path) -> None:
    runs = [("a", "supervised", 2, 0, 3), ("b", "supervised", 2, 0, 0)]
    folder = make_benchmark(data, tmp_path / "b", runs)
    text = read(benchmark_page(folder)).text
    summary = folder / "runs/a-2-s0/evaluation/test-unet/summary.json"
    # every case has both classes: the mean over cases equals the mean of the class means
    dice = json.loads(summary.read_text())["mean_over_classes"]["dice"]["mean"]
    assert f"b minus a 2 +{100 * (1 - dice):.1f} ±" in text
    assert "3 of 3 cases" in text


def test_several_seeds_are_not_called_one(data: PreparedData, tmp_path: Path) -> None:
    runs = [(n, "supervised", 2, s, k + s) for s in (0, 1) for k, n in enumerate("ab", start=1)]
    text = read(benchmark_page(make_benchmark(data, tmp_path / "b", runs))).text
    assert "one seed" not in text
    assert "smaller than the spread over seeds" in text
    assert "Thin lines: single seeds" in text


def test_unfinished_runs_are_said(data: PreparedData, tmp_path: Path) -> None:
    runs = [("a", "supervised", 2, 0, 2), ("b", "supervised", 2, 0, -1)]
    text = read(benchmark_page(make_benchmark(data, tmp_path / "b", runs))).text
    assert "1 of 2 planned runs are not finished" in text


def test_names_are_escaped(data: PreparedData, tmp_path: Path) -> None:
    folder = make_benchmark(data, tmp_path / "b", [("a", "supervised", 2, 0, 2)])
    plan = json.loads((folder / "benchmark.json").read_text())
    plan["runs"][0]["variant"]["name"] = "<script>alert(1)</script>"
    (folder / "benchmark.json").write_text(json.dumps(plan))
    assert "<script" not in benchmark_page(folder)


@pytest.fixture
def small(data: PreparedData, tmp_path: Path) -> Path:
    """A benchmark of one run."""
    return make_benchmark(data, tmp_path / "small", [("a", "supervised", 2, 0, 2)])


def test_title_and_intro(small: Path) -> None:
    text = read(benchmark_page(small, title="My title", intro="My words.")).text
    assert "My title" in text
    assert "My words." in text


def test_a_phantom_is_called_one(small: Path) -> None:
    assert "phantom of the anatomy" not in benchmark_page(small)
    for path in small.glob("runs/*/task.json"):
        path.write_text(path.read_text().replace('"discs"', '"phantom"'))
    assert "a phantom of the anatomy" in benchmark_page(small)


def test_the_page_outlives_the_data(small: Path, data: PreparedData) -> None:
    shutil.rmtree(data.folder)
    page = read(report(small, console=Quiet()).read_text("utf-8"))
    assert not page.images
    assert "Scored on the test part." in page.text


def test_report_of_a_run(data: PreparedData, tmp_path: Path) -> None:
    folder = make_run(data, tmp_path / "run").folder
    evaluate(data, folder, "test", "unet", 2)
    target = tmp_path / "pages" / "run.html"
    assert report(folder, target, console=Quiet()) == target
    page = read(target.read_text("utf-8"))
    assert len(page.images) == 3 * 3 * 3
    for words in (
        "supervised on discs, 2 labelled patients", "3 patients = 3 volumes = 12 slices",
        "1 min 05 s",
        "not used by supervised", "semiseg train discs --method supervised --labelled 2",
        "--set training.iterations=20", "semiseg evaluate run --on test", "Learning rate",
    ):  # fmt: skip
        assert words in page.text, words


@pytest.mark.parametrize(
    ("dice", "words"),
    [
        (
            0.5,
            "the weights of iteration 10 are used, the best on the validation cases (Dice 0.500)",
        ),
        (None, "1 min 05 s; the weights of the last iteration are used"),
        (-1.0, "1 min 05 s; the weights of the last iteration are used"),
    ],
)
def test_the_page_says_which_weights_are_used(dice: float | None, words: str) -> None:
    ended = Finished(iterations=20, best_step=10, best_dice=dice, seconds=65.0)
    assert trained(20, 32, ended).endswith(words)


@pytest.mark.parametrize(("scored", "shown"), [(True, 3 * 3 * 3 - 3), (False, 0)])
def test_a_picture_that_needs_too_much_memory_is_left_out(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: bool, shown: int
) -> None:
    folder = make_run(data, tmp_path / "run").folder
    if scored:
        evaluate(data, folder, "test", "unet", 2)
    whole = Predictor.predict
    calls: list[int] = []

    def predict(self: Predictor, *given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return whole(self, *given, **named)

    monkeypatch.setattr(Predictor, "predict", predict)
    console = Listening()
    page = read(report(folder, console=console).read_text("utf-8"))
    (said,) = [line for line in console.said if "memory" in line]
    assert re.fullmatch(r"picture left out: p\w+: not enough memory .* to predict it\.", said)
    assert len(page.images) == shown


def test_a_lack_of_memory_in_a_drawing_names_the_case(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overlay(*given: Any, **named: Any) -> Any:
        raise MemoryError

    folder = make_run(data, tmp_path / "run").folder
    monkeypatch.setattr(overlays, "overlay", overlay)
    with pytest.raises(RunFailure, match=r"^p\w+: not enough memory .* to draw it"):
        report(folder, console=Quiet())


def test_the_greys_of_a_large_image_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).normal(100, 20, (6, 1, 64, 64)).astype(np.int16)
    exact = overlays.grey_range(image)
    monkeypatch.setattr(overlays, "MOST_SAMPLED", image.size // 9)
    np.testing.assert_allclose(overlays.grey_range(image), exact, atol=6)


def test_a_run_without_evaluation_or_end(data: PreparedData, tmp_path: Path) -> None:
    folder = make_run(data, tmp_path / "run").folder
    (folder / "finished.json").unlink()
    with (folder / "metrics.csv").open("a") as file:
        file.write("30,0.4,0.")  # killed while writing
    page = read(report(folder, console=Quiet()).read_text("utf-8"))
    assert "has not been evaluated yet" in page.text
    assert "not finished" in page.text
    assert "chosen by its position in the list" in page.text
    assert "nearest to the median Dice" not in page.text


def test_a_run_with_nothing_but_its_configuration(data: PreparedData, tmp_path: Path) -> None:
    folder = make_run(data, tmp_path / "run").folder
    shutil.rmtree(folder / "weights")
    for name in ("finished.json", "metrics.csv", "validation.csv"):
        (folder / name).unlink()
    assert "not finished" in read(run_page(folder)).text


def test_refusals(data: PreparedData, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="neither a run"):
        report(tmp_path / "empty", console=Quiet())
    with pytest.raises(UserError, match="neither a run"):
        report(tmp_path / "nowhere", console=Quiet())
    folder = make_benchmark(data, tmp_path / "b", [("a", "supervised", 2, 0, -1)])
    with pytest.raises(UserError, match="no evaluated run"):
        report(folder, console=Quiet())
    (folder / "benchmark.json").write_text("{")
    with pytest.raises(UserError, match=r"benchmark\.json"):
        report(folder, console=Quiet())
    run = make_run(data, tmp_path / "run")
    with pytest.raises(UserError, match="is a folder"):
        report(run.folder, tmp_path, console=Quiet())
    evaluate(data, run.folder, "test", "unet", 2)
    (run.folder / "evaluation/test-unet/summary.json").write_text("{}")
    with pytest.raises(UserError, match=r"summary\.json"):
        report(run.folder, console=Quiet())
    assert not (run.folder / "report.html").exists()


def test_commands_name_the_draw(data: PreparedData, tmp_path: Path) -> None:
    from semiseg.data.splits import draw_labelled

    run = make_run(data, tmp_path / "run", seed=3)
    drawn = draw_labelled(data.manifest.split, data.manifest.split.train, 2, 3)
    default = draw_labelled(data.manifest.split, data.manifest.split.train, 2, None)
    assert set(drawn) != set(default)
    split = run.split().model_copy(update={"labelled": drawn})
    run.write_json("split.json", split.model_dump(mode="json"))
    assert "--labelled-seed 3" in run_page(run.folder)
    split = run.split().model_copy(update={"labelled": default})
    run.write_json("split.json", split.model_dump(mode="json"))
    assert "--labelled-seed" not in run_page(run.folder)


@pytest.mark.parametrize(
    ("budgets", "words"),
    [
        (["1"], "1 labelled patient"),
        (["1", "3"], "1 and 3 labelled patients"),
        (["all"], "all of the labelled patients"),
        (["10%", "all"], "10% and all of the labelled patients"),
    ],
)
def test_a_budget_counts_what_has_labels(budgets: list[str], words: str) -> None:
    from semiseg.reporting.facts import budget_words

    assert budget_words(budgets, "patients") == words
