"""``embeddings``: separation of the classes in a run's feature spaces."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.testing.data import small_settings, write_slices
from semiseg.workflows.embeddings import embeddings
from semiseg.workflows.train import train


def test_a_figure_and_its_numbers(run: Path, tmp_path: Path) -> None:
    found = embeddings(
        [run], tmp_path / "f.png", weights=["step-2", "step-5", "best"], console=Quiet()
    )
    assert (tmp_path / "f.png").stat().st_size > 10_000
    with (tmp_path / "f.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found) == 4 * 3
    assert {row["space"] for row in rows} == {
        "student, decoder", "teacher, decoder", "encoder", "head"
    }  # fmt: skip
    for row in rows:
        assert -1 <= float(row["silhouette"]) <= 1
        assert int(row["points"]) > 3
    by_stage = {row.weights: row.silhouette for row in found if row.space == "encoder"}
    assert len(set(by_stage.values())) > 1  # other weights, other features


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["encoder", "head"], {"encoder", "head"}),
        (["decoder"], {"student, decoder", "teacher, decoder"}),
        (["student", "head"], {"student, decoder", "head"}),
    ],
)
def test_some_of_the_spaces(run: Path, tmp_path: Path, words: list[str], left: set[str]) -> None:
    found = embeddings([run], tmp_path / "f.svg", spaces=words, console=Quiet())
    assert {row.space for row in found} == left


def test_the_same_run_twice_gives_the_same_numbers(run: Path, tmp_path: Path) -> None:
    first = embeddings([run], tmp_path / "a.svg", console=Quiet())
    assert embeddings([run], tmp_path / "b.svg", console=Quiet()) == first


def test_runs_of_one_name_stay_apart_and_a_run_or_stage_named_twice_is_drawn_once(
    small_data: PreparedData, tmp_path: Path
) -> None:
    first, second = tmp_path / "first" / "run", tmp_path / "second" / "run"
    settings = small_settings("supervised")
    train(small_data.folder, first, method="supervised", settings=settings, console=Quiet())
    shutil.copytree(first, second)
    runs, target = [first, second, first], tmp_path / "f.svg"
    found = embeddings(runs, target, weights=["best", "best"], images=2, console=Quiet())
    assert [row.run for row in found] == ["first/run", "second/run"]


def test_runs_of_other_classes_are_refused(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    data = write_slices(tmp_path / "data")
    manifest = data.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"disc"', '"ball"'))
    facts = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**facts, "data": str(data.folder)}))
    with pytest.raises(
        UserError, match=r"copy has other classes \(background, ball, square\) than"
    ):
        embeddings([run, copy], tmp_path / "f.png", console=Quiet())
    with pytest.raises(UserError, match=r"is not a run .* 'semiseg train' or 'semiseg run' wrote"):
        embeddings([run, tmp_path], tmp_path / "f.png", console=Quiet())
    assert not (tmp_path / "f.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"weights": ["step-3"]},
            "step-3.* does not exist; this run has best and last and step-2 and step-5",
        ),
        ({"weights": []}, "--weights is empty"),
        ({"on": "test"}, "no labelled test case"),
        ({"on": "training"}, "choose validation, test or unlabelled"),
        ({"spaces": ["encode"]}, "--spaces encode: choose among student, decoder; .*encoder; head"),
        ({"out": "f.jpeg"}, r"\.png, \.svg or \.pdf"),
    ],
)
def test_what_cannot_be_drawn(
    run: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    out = tmp_path / str(options.pop("out", "f.png"))
    with pytest.raises(UserError, match=message):
        embeddings([run], out, console=Quiet(), **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
