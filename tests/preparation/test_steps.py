"""The steps of ``prepare``."""

import json
from pathlib import Path

import pytest

import replicas
from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.preparation.changes import find_earlier
from semiseg.preparation.scanning import Request, scan_source
from semiseg.preparation.writing import check_set, write_set


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"spacing": (1.0, 0.0, 1.0)}, "--spacing takes three distances"),
        ({"spacing": (1e308, 1.0, 1.0)}, "at most 10,000"),
        ({"spacing": (1e-320, 1.0, 1.0)}, "--spacing takes three distances"),
        ({"empty_slices": "gone"}, "--empty-slices gone"),
        ({"ignore_value": 0}, "--ignore-value 0"),
        ({"classes": ("a", "a")}, "name each class once"),
    ],
)
def test_a_request_is_checked_before_anything_is_read(words: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Request(**words)  # type: ignore[arg-type]


def test_a_plan_says_how_each_case_is_read(tmp_path: Path) -> None:
    replicas.volumes(tmp_path / "set", ".nii.gz", 5)
    request = Request(classes=("3=a", "7=b"), intensity="minmax", empty_slices="unlabelled", seed=1)
    plan = scan_source(tmp_path / "set", request)
    assert (plan.layout, plan.why) == ("volumes", "asked for by --intensity")
    assert plan.scan.classes == ("background", "a", "b")
    assert plan.naming.empty_is_unlabelled
    assert plan.options_of_cases["codes"] == [[3, 1], [7, 2]]
    assert json.loads(json.dumps(plan.options_of_cases)) == plan.options_of_cases
    other = scan_source(tmp_path / "set", Request(patient_pattern="[0-9]"))
    plain = scan_source(tmp_path / "set", Request())
    assert other.options_of_cases == plain.options_of_cases  # they do not change cases


def test_an_earlier_set_is_compared_with_the_plan(tmp_path: Path) -> None:
    replicas.volumes(tmp_path / "set", ".nii.gz", 6)
    plan, out = scan_source(tmp_path / "set", Request()), tmp_path / "data"
    assert find_earlier(out, plan) is None
    checked = check_set(plan, out, 1, Quiet())
    assert not out.exists()
    assert write_set(plan, out, None, 1, Quiet()) == checked == PreparedData(out).manifest
    same = find_earlier(out, plan)
    assert same is not None
    assert same.changed is None
    assert same.reusable == {}  # nothing to reuse: either nothing is written or everything
    (tmp_path / "set" / "labels" / "block_0.nii.gz").unlink()
    later = scan_source(tmp_path / "set", Request())
    changed = find_earlier(out, later)
    assert changed is not None
    assert changed.changed == "since then 1 image changed (such as block_0)"
    assert len(changed.reusable) == 5
    assert "(which reads only what has changed)" in str(changed.refusal(out))
    again = write_set(later, out, changed, 1, Quiet())
    assert sum(case.labelled for case in again.cases) == 5
