"""The reference page of all methods is generated from the present code."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_page_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    try:
        script = importlib.import_module("methods_page")
    finally:
        sys.modules.pop("methods_page", None)
    text = script.page()
    assert script.PAGE.read_text(encoding="utf-8") == text, "run python benchmarks/methods_page.py"
    assert "\n## mean-teacher\n" in text
