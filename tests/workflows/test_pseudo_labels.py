"""``evaluate --on unlabelled``: score the pseudo-labels of training cases."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.evaluation.overlap import dice
from semiseg.methods.common.pseudo_label import predict_probabilities
from semiseg.methods.plgcl import PLGCL
from semiseg.testing.data import small_settings, write_slices
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.embeddings import embeddings
from semiseg.workflows.evaluate import evaluate
from semiseg.workflows.loading import load_method, load_predictor
from semiseg.workflows.report import report
from semiseg.workflows.train import train


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
        mask = predictor.predict(np.asarray(small_data.image(case.identifier)), case.bounds)
        code = small_data.task.classes.index(row["class"])
        truth = np.asarray(small_data.label(case.identifier)) == code
        assert float(row["dice"]) == pytest.approx(dice(mask == code, truth), abs=1e-6)


def test_they_can_be_embedded_and_reported(run: Path, tmp_path: Path) -> None:
    evaluate(run, on="unlabelled", console=Quiet())
    assert embeddings([run], tmp_path / "f.svg", on="unlabelled", images=4, console=Quiet())
    page = report(run, tmp_path / "page.html", console=Quiet()).read_text(encoding="utf-8")
    assert "whose labels the run did not read" in " ".join(page.split())


def test_a_page_shows_what_was_scored_with_its_own_weights_and_not_cases_of_other_data(
    run: Path, small_data: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(run, on="unlabelled", console=Quiet())
    evaluate(run, on="unlabelled", weights="step-2", network="teacher", flips=True, console=Quiet())
    other = write_slices(tmp_path / "other")
    manifest = other.folder / "manifest.json"
    manifest.write_text(re.sub(r'"p(\d)"', r'"q\1"', manifest.read_text()))
    for kind in ("images", "labels"):
        for path in (other.folder / kind).iterdir():
            path.rename(path.with_name(path.name.replace("p", "q", 1)))
    evaluate(run, on="validation", console=Quiet())
    evaluate(run, on="validation", data=other.folder, console=Quiet())
    page = report(run, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "note:" not in capsys.readouterr().out  # no pictures were left out
    words = "--on unlabelled --network teacher --protocol strict --weights step-2 --flips"
    assert words in page
    pictures = set(re.findall('alt="([^"]*prediction of [^"]*)"', page))
    shown = {text.partition("prediction of ")[2] for text in pictures}
    assert {"student", "teacher-step-2-flips"} <= shown
    assert {text[0] for text in pictures} == {"p"}


def test_a_size_for_pictures_is_not_said_of_volumes(run: Path, tmp_path: Path) -> None:
    summary = evaluate(
        run, on="validation", protocol="paper-cross-level", out=tmp_path / "s", console=Quiet()
    )
    assert summary.protocol.picture_size is None
    assert json.loads((tmp_path / "s" / "summary.json").read_text())["scored_at"] == (
        "the reference's grid"
    )


def test_where_no_label_was_left_unread(run: Path, tmp_path: Path) -> None:
    other = write_slices(tmp_path / "other")
    settings = small_settings("supervised")
    train(
        other.folder, tmp_path / "all", method="supervised", settings=settings, console=Quiet()
    )  # fmt: skip
    with pytest.raises(UserError, match=r"has no label that .* did not read"):
        evaluate(tmp_path / "all", on="unlabelled", console=Quiet())
    manifest = other.folder / "manifest.json"
    manifest.write_text(
        manifest.read_text().replace('"p1"', '"q1"')
    )  # other patients: no such part
    with pytest.raises(UserError, match="did not read"):
        evaluate(run, on="unlabelled", data=other.folder, out=tmp_path / "s", console=Quiet())


def test_measured_as_training_goes_also_where_fewer_slices_are_than_asked_for(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import pseudo_labels

    folder = RunFolder(run)
    assert pseudo_labels.stages(folder) == [(2, "step-2"), (5, "step-5"), (6, "last")]
    found = list(pseudo_labels.batches(folder, 240))
    assert [len(images) for images, _ in found] == [2, 2]  # two cases of two slices
    measured = pseudo_labels.measure(folder, "step-2", 240)
    assert set(measured) == set(pseudo_labels.MEASURES)
    assert all(0 <= value <= 1 for value in measured.values())
    method = load_method(folder, "step-2", torch.device("cpu"))
    assert isinstance(method, PLGCL)
    hard = torch.cat(
        [predict_probabilities(method.student, images).argmax(1) for images, _ in found]
    )
    truth = torch.cat([labels for _, labels in found])
    by_hand = [dice((hard == k).numpy(), (truth == k).numpy()) for k in (1, 2)]
    assert measured["dice"] == pytest.approx(sum(by_hand) / 2)
