"""Every command is also a Python function with the same arguments and defaults."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commandline import small

from semiseg.cli import benchmark as benchmark_verb
from semiseg.cli import demo as demo_verb
from semiseg.cli import evaluate as evaluate_verb
from semiseg.cli import inspect as inspect_verb
from semiseg.cli import predict as predict_verb
from semiseg.cli import prepare as prepare_verb
from semiseg.cli import report as report_verb
from semiseg.cli import run as run_verb
from semiseg.cli import train as train_verb
from semiseg.console import Quiet
from semiseg.workflows.benchmark import benchmark
from semiseg.workflows.demo import demo
from semiseg.workflows.evaluate import evaluate
from semiseg.workflows.inspect import inspect as inspect_workflow
from semiseg.workflows.predict import predict
from semiseg.workflows.prepare import ReadOptions, prepare
from semiseg.workflows.report import report
from semiseg.workflows.run import run as run_workflow
from semiseg.workflows.train import resume, train

# Options with other names in Python.
RENAMED = {"time": "seconds"}
# --seed is training.seed; --resume is the function resume; the others are arguments of compare.
ELSEWHERE = {"train": {"seed", "resume"}, "evaluate": {"references", "classes", "patient_pattern"}}


@pytest.mark.parametrize(
    ("verb", "function"),
    [
        (prepare_verb.prepare, prepare),
        (inspect_verb.inspect, inspect_workflow),
        (train_verb.train, train),
        (evaluate_verb.evaluate, evaluate),
        (predict_verb.predict, predict),
        (benchmark_verb.benchmark, benchmark),
        (report_verb.report, report),
        (demo_verb.demo, demo),
        (run_verb.run, run_workflow),
    ],
)
def test_arguments_and_defaults_are_the_same(
    verb: Callable[..., Any], function: Callable[..., Any]
) -> None:
    words = inspect.signature(verb).parameters
    names = dict(inspect.signature(function).parameters)
    if names.pop("reading", None) is not None:
        usual = inspect.signature(prepare).parameters
        names |= {name: usual[name] for name in ReadOptions.__annotations__}
    said = {
        RENAMED.get(name, name): word
        for name, word in words.items()
        if name not in ELSEWHERE.get(verb.__name__, set())
    }
    assert set(said) <= set(names)
    assert set(names) - set(said) <= {"console", "sections", "config", "split", "begun"}
    for name, word in said.items():
        there = names[name].default
        if isinstance(word.default, bool | int) and there is not inspect.Parameter.empty:
            assert word.default == there, name


def test_the_whole_way_in_python(phantom: Path, tmp_path: Path) -> None:
    quiet = Quiet()
    settings = [word for word in small(iterations="2") if word != "--set"]
    prepare(phantom, tmp_path / "data", console=quiet)
    ended = train(
        tmp_path / "data", tmp_path / "run", method="mcsc", labelled="2", settings=settings,
        seconds=0, console=quiet,
    )  # fmt: skip
    assert ended is not None
    assert (ended.finished, ended.iterations) == (False, 1)
    assert resume(tmp_path / "run", console=quiet).finished
    summary = evaluate(tmp_path / "run", network="swin", console=quiet)
    assert summary.cases == 4
    images = sorted((phantom / "images").iterdir())[:2]
    done = predict(tmp_path / "run", images, tmp_path / "masks", console=quiet)
    assert (done.written, done.skipped, done.failed) == (2, 0, ())
    done = predict(tmp_path / "run", images, tmp_path / "masks", console=quiet)
    assert (done.written, done.skipped, done.failed) == (0, 2, ())
    assert report(tmp_path / "run", console=quiet).is_file()


def test_as_a_library_it_prints_nothing_when_asked_to_be_quiet(
    phantom: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    quiet = Quiet()
    settings = [word for word in small(iterations="1") if word != "--set"]
    prepare(phantom, tmp_path / "data", console=quiet)
    train(
        tmp_path / "data", tmp_path / "run", method="supervised", labelled="2",
        settings=settings, console=quiet,
    )  # fmt: skip
    evaluate(tmp_path / "run", console=quiet)
    assert capfd.readouterr() == ("", "")
