"""``import semiseg`` provides every command as a function, without heavy imports."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import semiseg
from semiseg.config import as_assignments, parse_assignments
from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.testing.data import small_settings
from semiseg.training.run_folder import RunFolder

NAMES = {
    "prepare", "inspect", "train", "evaluate", "predict", "benchmark", "report", "run", "load",
}  # fmt: skip


def test_the_names_are_there() -> None:
    assert set(semiseg.__all__) == NAMES
    assert set(dir(semiseg)) >= {*NAMES, "__version__"}
    for name in sorted(NAMES):
        module = importlib.import_module(f"semiseg.workflows.{'model' if name == 'load' else name}")
        assert getattr(semiseg, name) is getattr(module, name)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        semiseg.trian  # noqa: B018


def test_it_imports_nothing_heavy() -> None:
    program = "import json, sys, semiseg; dir(semiseg); print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    imported = set(json.loads(done.stdout))
    assert imported & {"torch", "numpy", "pydantic", "yaml", "typer", "semiseg.workflows"} == set()


def test_a_module_of_the_package_is_still_imported_by_name() -> None:
    from semiseg import networks, presets

    assert networks.table()
    assert presets.names()


@pytest.mark.parametrize(
    "value", [3, 1e-5, -0.5, True, None, "adamw", "null", "a: b", [8, 8], [0.1, None], "ä", ""]
)
def test_nested_values_arrive_as_they_are(value: object) -> None:
    assignments = as_assignments({"training": {"x": value, "y": 1}, "cross_level": {"z": value}})
    expected = {"training": {"x": value, "y": 1}, "cross-level": {"z": value}}
    assert parse_assignments(assignments) == expected


def test_nested_values_of_other_types() -> None:
    import numpy as np

    given = {"a": {"b": np.float32(0.5), "c": (1, 2), "d": np.arange(2), "e": Path("x/y")}}
    assert parse_assignments(as_assignments(given)) == {
        "a": {"b": 0.5, "c": [1, 2], "d": [0, 1], "e": "x/y"}
    }
    assert as_assignments(None) == as_assignments({}) == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"training": 3}, "section 'training' needs named values"),
        ({"training.iterations": 3}, r"section 'training\.iterations' needs named values"),
        ([("training", 3)], "config takes sections of named values"),
        ({"training": {"iterations": object()}}, r"config: training\.iterations must be a number"),
        ({"training": {"iteration": 3}}, r"did you mean 'training\.iterations'"),
        ({"training": {"iterations": 0}}, r"training\.iterations must be greater than or equal"),
        ({"training": {"learning_rate": float("nan")}}, r"training\.learning_rate"),
        ({"trainin": {"iterations": 3}}, "did you mean 'training'"),
        ({"mcsc": {"temperature": 1}}, "option of mcsc, but the method is supervised"),
    ],
)
def test_wrong_values_are_refused_in_a_sentence(
    config: object, words: str, small_data: PreparedData, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        semiseg.train(
            small_data.folder, tmp_path / "x", method="supervised", config=config, console=Quiet()  # type: ignore[arg-type]
        )  # fmt: skip
    assert not (tmp_path / "x").exists()


def test_run_and_benchmark_refuse_them_too(small_data: PreparedData, tmp_path: Path) -> None:
    config = {"training": 3}
    with pytest.raises(UserError, match="section 'training' needs named values"):
        semiseg.run(small_data.folder, tmp_path / "x", config=config, console=Quiet())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="section 'training' needs named values"):
        semiseg.benchmark(
            small_data.folder, tmp_path / "x", methods=["mcsc"], config=config, console=Quiet()  # type: ignore[arg-type]
        )  # fmt: skip
    assert not (tmp_path / "x").exists()


def test_nested_values_reach_the_run_and_win_over_settings(
    small_data: PreparedData, tmp_path: Path
) -> None:
    ended = semiseg.train(
        small_data.folder, tmp_path / "run", method="supervised", labelled="2",
        settings=small_settings("supervised"),
        config={"training": {"iterations": 2, "validate_every": 2}}, console=Quiet(),
    )  # fmt: skip
    assert ended is not None
    assert "iterations=2" in repr(ended)
    assert RunFolder(tmp_path / "run").config().training.iterations == 2


def test_results_have_short_words(small_data: PreparedData) -> None:
    assert repr(small_data.manifest) == (
        "Manifest(task='shapes', layout='written', classes=('background', 'disc', 'square'), "
        "patients=8, cases=8, labelled=6)"
    )
    found = repr(semiseg.inspect(small_data.folder, console=Quiet()))
    assert found.startswith("Inspection(place=")
    assert "cases=8" in found
