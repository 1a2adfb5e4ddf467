"""The methods of docs/add-a-method.md, as a user's package would hold them."""

import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from semiseg import methods
from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.testing.data import small_settings
from semiseg.training.optimiser import build_optimisers
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.evaluate import evaluate
from semiseg.workflows.train import resume, train

PAGE = Path(__file__).parents[2] / "docs" / "add-a-method.md"
SKETCHES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE.read_text(), re.S))
TEST_FILE = SKETCHES.pop("test_mean_teacher")
PAGE_TESTS: dict[str, Any] = {}
exec(TEST_FILE, PAGE_TESTS)
CLASSES = {
    "mean_teacher": ("MeanTeacher", {"supervised", "consistency"}),
    "auxiliary_decoder": ("AuxiliaryDecoder", {"supervised", "auxiliary"}),
    "adversarial": ("Adversarial", {"supervised", "adversarial"}),
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's code as modules, known by entry points."""
    folder = tmp_path / "package"
    folder.mkdir()
    for name, code in SKETCHES.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    entries = [
        methods.Entry(name.replace("_", "-"), 2026, "a sketch", "none", f"{name}:{cls}", (2,))
        for name, (cls, _) in CLASSES.items()
    ]
    entries.append(dataclasses.replace(entries[0], name="my-mean-teacher"))  # as on the page

    class Point:
        value = "a package"

        def __init__(self, entry: Any) -> None:
            self.load = lambda: entry

    def points(group: str) -> list[Point]:
        return [Point(entry) for entry in entries] if group == "semiseg.methods" else []

    monkeypatch.setattr("semiseg.plugins.entry_points", points)
    yield
    for name in SKETCHES:
        sys.modules.pop(name, None)


def test_the_page_holds_all_sketches() -> None:
    assert set(SKETCHES) == set(CLASSES)
    code = [line for line in SKETCHES["mean_teacher"].splitlines() if line.strip()]
    assert len(code) <= 50


@pytest.mark.parametrize("name", list(CLASSES))
def test_a_sketch_trains_resumes_and_is_scored(
    small_data: PreparedData, tmp_path: Path, package: None, name: str
) -> None:
    out, method = tmp_path / "run", name.replace("_", "-")
    options = {
        "method": method, "labelled": "2", "settings": small_settings(method), "console": Quiet(),
        "threads": 1,
    }  # fmt: skip
    train(small_data.folder, out, seconds=0, **options)
    resume(out, console=Quiet())
    rows = (out / "metrics.csv").read_text().splitlines()
    assert set(rows[0].split(",")) >= CLASSES[name][1]
    assert RunFolder(out).finished() is not None
    assert evaluate(out, on="validation", console=Quiet()) is not None


@pytest.mark.usefixtures("package")
class TestMeanTeacher(PAGE_TESTS["TestMeanTeacher"]):
    """The page's test file passes."""


def test_the_entry_of_the_page_is_an_entry(package: None) -> None:
    import mean_teacher  # type: ignore[import-not-found]

    assert mean_teacher.ENTRY.load() is mean_teacher.MeanTeacher


def test_a_group_has_an_optimiser_and_a_rate_of_its_own(
    small_data: PreparedData, package: None
) -> None:
    from semiseg.training.configuration import resolve_config

    config = resolve_config(
        small_data.manifest, "adversarial", None, small_settings("adversarial")
    ).config
    method = methods.entry("adversarial").load()(small_data.task, config)
    main, own = build_optimisers(method.parameter_groups(), config.training)
    assert isinstance(main, torch.optim.AdamW)
    assert type(own) is torch.optim.Adam
    (group,) = own.param_groups
    assert (group["base_lr"], group["betas"], group["weight_decay"]) == (1e-4, (0.9, 0.99), 0.0)
