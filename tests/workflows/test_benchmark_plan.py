"""The plan of a benchmark: folders of runs, and plans that were edited or received."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.training.benchmark_file import StoredSettings
from semiseg.training.plan import plan_training
from semiseg.workflows.benchmark.plan import (
    BenchmarkPlan,
    CommonSettings,
    Variant,
    absolute_preset,
    load_plan,
)
from semiseg.workflows.benchmark.request import Request, make_plan
from semiseg.workflows.benchmark.run import Execution, execute_run

COMMON = CommonSettings("/data", None, (), "validation", None, "last")


def test_the_file_has_every_setting() -> None:
    names = [field.name for field in dataclasses.fields(CommonSettings)]
    assert list(StoredSettings.model_fields) == names


def plan(folder: Path) -> BenchmarkPlan:
    return BenchmarkPlan(folder, COMMON, ())


def test_names_that_look_alike_get_folders_of_their_own(tmp_path: Path) -> None:
    lists = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        lists.append(tmp_path / name / "list.txt")
        lists[-1].write_text("p1\n")
    names = ("A b", "a-b", "a b!", "x" * 300, "x" * 300 + "y")
    variants = [Variant(name, "supervised") for name in names]
    made = plan(tmp_path / "bench").extended(variants, [*map(str, lists), "all", "2"], (0, 1))
    folders = {str(run.folder).lower() for run in made.runs}
    assert len(folders) == len(made.runs) == len(names) * 4 * 2
    assert max(len(run.folder.name) for run in made.runs) < 150
    made.save()
    again = load_plan(tmp_path / "bench")
    assert again == made
    # extending keeps the folders of runs that exist
    more = again.extended(variants[::-1], [str(lists[1])], (0, 2))
    kept = {run.key: run.folder for run in made.runs}
    assert all(kept.get(run.key, run.folder) == run.folder for run in more.runs)
    assert len(more.runs) == len(made.runs) + len(names)


def test_a_row_of_one_name_with_other_settings_is_refused(tmp_path: Path) -> None:
    first = plan(tmp_path).extended([Variant("row", "mcsc")], ["all"], [0])
    with pytest.raises(UserError, match="The row 'row' has another method or other settings"):
        first.extended([Variant("row", "mcsc", {"mcsc": {"temperature": 1}})], ["all"], [0])
    with pytest.raises(UserError, match="The row 'row' has another method or other settings"):
        first.extended([Variant("row", "mcsc", {"mcsc": {"temperature": 1}})], ["2"], [1])


def test_a_file_that_has_changed_since_it_was_given_is_refused(tmp_path: Path) -> None:
    names, preset = tmp_path / "list.txt", tmp_path / "preset.yaml"
    names.write_text("p1\n")
    preset.write_text("training: {iterations: 1}\n")
    common = dataclasses.replace(COMMON, preset=str(preset))
    begun = BenchmarkPlan(tmp_path / "bench", common, ())
    rows = [Variant("row", "supervised")]
    begun.extended(rows, [str(names)], [0]).save()
    first = load_plan(begun.folder)
    assert first is not None
    assert set(first.files) == {str(names), str(preset)}
    execution = Execution(common, True, None, "cpu", first.files)
    execution.check_files(first.runs[0])
    assert first.extended(rows, [str(names)], [1]).files == first.files
    names.write_text("p2\n")
    first.extended(rows, ["all"], [1])  # another budget
    with pytest.raises(UserError, match=r"list\.txt has changed since"):
        first.extended(rows, [str(names)], [1])
    with pytest.raises(UserError, match=r"list\.txt has changed since"):
        execution.check_files(first.runs[0])
    error = execute_run(first.runs[0], execution)
    assert error is not None
    assert "list.txt has changed since" in error
    names.unlink()
    with pytest.raises(UserError, match=r"list\.txt.* is missing: restore it"):
        execution.check_files(first.runs[0])
    names.write_text("p1\n")
    preset.write_text("training: {iterations: 2}\n")
    with pytest.raises(UserError, match=r"preset\.yaml has changed since"):
        first.extended(rows, ["all"], [1])


def test_a_file_of_the_current_folder_does_not_replace_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number, ``all`` and the name of a preset are words; a file is given with its folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("7", "all", "10%", "cpu", "mcsc", "list"):
        Path(name).write_text("p1\n")
    begun = BenchmarkPlan(tmp_path / "bench", dataclasses.replace(COMMON, preset="cpu"), ())
    row = [Variant("row", "supervised")]
    made = begun.extended(row, ["7", "all", "10%"], [0])
    assert [run.labelled for run in made.runs] == ["7", "all", "10%"]
    assert [run.folder.name for run in made.runs] == ["row-7-s0", "row-all-s0", "row-10%-s0"]
    assert made.files == {}
    lists = begun.extended(row, ["./7", "list"], [0])
    assert [run.labelled for run in lists.runs] == [str(tmp_path / "7"), str(tmp_path / "list")]
    assert set(lists.files) == {str(tmp_path / "7"), str(tmp_path / "list")}
    assert absolute_preset("cpu") == "cpu"


def test_a_budget_has_one_row_however_it_is_written(tmp_path: Path) -> None:
    made = plan(tmp_path).extended([Variant("row", "supervised")], ["7", "all"], [0])
    again = made.extended([Variant("row", "supervised")], ["07", "7.0", "ALL"], [0])
    assert {run.labelled for run in again.runs} == {"7", "all"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seeds": (1, 1)}, "--seeds names 1 twice: name it once"),
        ({"labelled": ("3", "07", "7")}, "--labelled names 7 twice"),
        ({"methods": ("mcsc", "mcsc")}, "--methods names mcsc twice"),
    ],
)
def test_what_is_named_twice_is_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    request = Request(
        tmp_path, ("supervised",), None, ("all",), (0,), None, (), "test", None, None
    )  # fmt: skip
    with pytest.raises(UserError, match=message):
        make_plan(tmp_path / "bench", dataclasses.replace(request, **changed), True, Quiet())


def stored(folder: str = "runs/a") -> dict[str, Any]:
    run = {
        "variant": {"name": "a", "method": "supervised", "sections": {}},
        "labelled": "all", "seed": 0, "folder": folder,
    }  # fmt: skip
    return {
        "plan": {
            "data": "/data", "preset": None, "settings": [], "on": "test", "protocol": None,
            "weights": "best",
        },
        "runs": [run],
    }  # fmt: skip


def test_the_seed_of_a_run_overrides_that_of_its_preset(
    small_data: PreparedData, tmp_path: Path
) -> None:
    preset = tmp_path / "p.yaml"
    preset.write_text("training: {seed: 9, iterations: 1}\n")
    common = dataclasses.replace(COMMON, preset=str(preset))
    runs = plan(tmp_path).extended([Variant("row", "supervised")], ["all"], [3, 4]).runs
    seeds = [
        plan_training(
            small_data, "supervised", "all", 0, common.preset, run.settings(common),
            torch.device("cpu"), {},
        ).config.training.seed
        for run in runs
    ]  # fmt: skip
    assert seeds == [3, 4]


@pytest.mark.parametrize(
    "folder", ["../victim", "/tmp", ".", "", "runs", "runs/..", "runs/a/../../..", "runs/a\0b",
               "runs/a/b", "runs/link", "other"],
)  # fmt: skip
def test_a_folder_of_a_run_that_leads_outside_is_refused(tmp_path: Path, folder: str) -> None:
    bench, victim = tmp_path / "bench", tmp_path / "victim"
    (bench / "runs").mkdir(parents=True)
    victim.mkdir()
    (bench / "runs" / "link").symlink_to(victim, target_is_directory=True)
    (bench / "benchmark.json").write_text(json.dumps(stored(folder)))
    with pytest.raises(UserError, match=r"benchmark\.json names "):
        load_plan(bench)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("runs.0.seed", "x", "runs.0.seed must be a valid integer, got 'x'"),
        ("runs.0.seed", -1, "runs.0.seed must be greater than or equal to 0"),
        ("runs.0.variant", [], "runs.0.variant"),
        ("runs.0.variant.sections", {"training": {"seed": 1}}, "must not set training.seed"),
        ("plan.on", "train", "plan.on must be 'validation' or 'test', got 'train'"),
        ("plan.settings", {"a": 1}, "plan.settings must be a list"),
        ("runs", 3, "runs must be a list"),
    ],
)
def test_the_wrong_field_is_named(tmp_path: Path, where: str, value: object, message: str) -> None:
    content: Any = stored()
    *path, last = where.split(".")
    inner = content
    for key in path:
        inner = inner[int(key) if key.isdigit() else key]
    inner[last] = value
    (tmp_path / "benchmark.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as caught:
        load_plan(tmp_path)
    assert str(tmp_path / "benchmark.json") in str(caught.value)
