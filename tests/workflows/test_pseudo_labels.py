"""``evaluate --on unlabelled``: pseudo-labels of training cases, by labels that the run never read."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.evaluation.overlap import dice
from semiseg.reporting.console import Quiet
from semiseg.workflows.embeddings import embeddings
from semiseg.workflows.evaluate import evaluate
from semiseg.workflows.loading import load_predictor
from semiseg.workflows.report import report
from semiseg.workflows.train import train
from small import small_settings, write_small_data


@pytest.fixture(scope="module")
def run(small_data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    settings = [*small_settings("plgcl"), "training.keep_weights_at=[2]"]
    train(small_data.folder, out, method="plgcl", labelled="2", settings=settings, console=Quiet())
    return out


def test_every_training_case_with_an_unread_label_is_scored(
    run: Path, small_data: PreparedData
) -> None:
    chosen = set(json.loads((run / "split.json").read_text())["labelled"])
    unread = {"p1", "p2", "p3", "p4"} - chosen  # p5 and p6 have no label, p7 and p8 are held out
    assert len(chosen) == len(unread) == 2
    assert evaluate(run, on="unlabelled", weights="step-2", console=Quiet()).cases == 2
    with (run / "evaluation" / "unlabelled-student-step-2" / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["case"] for row in rows} == unread
    predictor = load_predictor(run, weights="step-2")
    for row in rows:
        case = small_data.cases[row["case"]]
        mask = predictor.labels(np.asarray(small_data.image(case.identifier)), case.bounds)
        code = small_data.task.classes.index(row["class"])
        truth = np.asarray(small_data.label(case.identifier)) == code
        assert float(row["dice"]) == pytest.approx(dice(mask == code, truth), abs=1e-6)


def test_they_can_be_embedded_and_reported(run: Path, tmp_path: Path) -> None:
    evaluate(run, on="unlabelled", console=Quiet())
    assert embeddings([run], tmp_path / "f.svg", on="unlabelled", images=4, console=Quiet())
    page = report(run, tmp_path / "page.html", console=Quiet()).read_text(encoding="utf-8")
    assert "whose labels the run never read" in " ".join(page.split())


def test_where_no_label_was_left_unread(run: Path, tmp_path: Path) -> None:
    other = write_small_data(tmp_path / "other")
    settings = small_settings("supervised")
    train(
        other.folder, tmp_path / "all", method="supervised", settings=settings, console=Quiet()
    )  # fmt: skip
    with pytest.raises(UserError, match=r"no training case whose label .* left unread"):
        evaluate(tmp_path / "all", on="unlabelled", console=Quiet())
    manifest = other.folder / "manifest.json"
    manifest.write_text(
        manifest.read_text().replace('"p1"', '"q1"')
    )  # other patients: no such part
    with pytest.raises(UserError, match="left unread"):
        evaluate(run, on="unlabelled", data=other.folder, out=tmp_path / "s", console=Quiet())
