"""What `semiseg methods` and `semiseg presets` print."""

import json

import pytest
from commandline import call, refused, well
from pydantic import Field

from semiseg import methods
from semiseg.methods import base
from semiseg.methods.supervised import Supervised


class _Ranges(base.Options):
    blur: tuple[float, float] = (0.0, 0.5)


class _NestedOptions(base.NetworkOptions):
    ranges: _Ranges = Field(_Ranges(), description="a group of options")
    steps: list[int] = Field(default_factory=lambda: [1, 2], description="made by a function")


class NestedMethod(Supervised):
    """A method of another package."""

    Options = _NestedOptions


def test_defaults_of_any_type_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = methods.Entry("mine", 2026, "a test", "none", f"{__name__}:NestedMethod")
    point = type("Point", (), {"value": "mine:ENTRY", "load": lambda self: mine})()
    monkeypatch.setattr(
        "semiseg.plugins.entry_points", lambda group: [point] if "methods" in group else []
    )
    said = well(call("methods", "mine"))
    assert '{"blur": [0.0, 0.5]}' in said.out
    rows = json.loads(well(call("methods", "mine", "--json")).out)
    defaults = {row["option"]: row["default"] for row in rows}
    assert defaults["mine.ranges"] == {"blur": [0.0, 0.5]}
    assert defaults["mine.steps"] == [1, 2]


def test_one_method_and_one_preset_are_shown_whole() -> None:
    said = well(call("methods", "plgcl"))
    assert "Basak" in said.out
    for option in ("plgcl.neighbours", "training.epochs", "unet.head_kernel"):
        assert option in said.out
    assert "mcsc." not in said.out
    assert "entropy, confidence, cosine or class; " in said.out  # the values of an option
    rows = json.loads(well(call("methods", "mcsc", "--json")).out)
    assert ("mcsc.temperature", 0.1) in [(row["option"], row["default"]) for row in rows]
    assert all(row["description"] for row in rows if row["option"].startswith("mcsc."))
    assert "scales: [4]" in well(call("presets", "mcsc-table4")).out.replace("\n      - 4", " [4]")
    assert json.loads(well(call("presets", "plgcl-acdc", "--json")).out)["method"] == "plgcl"
    refused(call("methods", "plgc"), "did you mean 'plgcl'")
    refused(call("presets", "mcsc-cpo"), "mcsc-cpu")
