"""The identity of prepared data: what changes it, and what does not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from semiseg.data.identity import WORDS, changed_parts, identity_of
from semiseg.data.manifest import Decision, Manifest, PreparedData
from semiseg.data.task import Intensity


def with_split(manifest: Manifest) -> Manifest:
    split = manifest.split.model_copy(update={"labelled_order": ("p2", "p1")})
    return manifest.model_copy(update={"split": split})


def with_another_shape(manifest: Manifest) -> Manifest:
    first, *rest = manifest.cases
    return manifest.model_copy(
        update={"cases": (first.model_copy(update={"shape": (2, 1, 40, 40)}), *rest)}
    )


CHANGES: dict[str, tuple[Callable[[Manifest], Manifest], str]] = {
    "labels": (lambda m: m.model_copy(update={"content": "1" * 64}), "images"),
    "size": (with_another_shape, "images"),
    "split": (with_split, "split"),
    "fewer": (lambda m: m.model_copy(update={"cases": m.cases[1:]}), "cases"),
    "decision": (
        lambda m: m.model_copy(
            update={"decisions": (Decision(option="data.size", value=64, reason="x"),)}
        ),
        "decisions",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_decides_results_changes_it(small_data: PreparedData, name: str) -> None:
    change, part = CHANGES[name]
    before = small_data.manifest.model_copy(update={"content": "0" * 64})
    changed = changed_parts(identity_of(before), identity_of(change(before)))
    assert WORDS[part] in changed
    assert set(changed) <= {WORDS[part], WORDS["images"]}


def test_notes_and_names_do_not_change_it(small_data: PreparedData) -> None:
    before = small_data.manifest
    task = before.task.model_copy(update={"name": "other"})
    after = before.model_copy(update={"notes": ("seen",), "task": task, "layout": "other"})
    assert identity_of(after) == identity_of(before)


def test_a_window_of_a_training_does_not_change_it(small_data: PreparedData) -> None:
    data = PreparedData(small_data.folder)
    view = data.with_intensity(Intensity(kind="window", low=0, high=9))
    assert view.identity == data.identity


def test_unknown_parts_are_not_compared() -> None:
    assert changed_parts({}, {"task": "a"}) == []
    assert changed_parts({"split": "a", "task": "b"}, {"split": "a", "task": "c"}) == [
        WORDS["task"]
    ]


def test_no_array_is_read(small_data: PreparedData, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(small_data.manifest.model_dump_json())
    assert PreparedData(tmp_path).identity == small_data.identity
