"""The identity of prepared data: digests by which a training notices that they were prepared again.

They are made from the manifest alone, so that large arrays are not read. The manifest holds a digest of the
source files (``Manifest.content``), which stands for the voxels.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from semiseg.digests import text_digest

if TYPE_CHECKING:
    from semiseg.data.manifest import Manifest

WORDS = {
    "task": "the classes or the scaling of intensities",
    "cases": "the cases",
    "images": "the images or labels",
    "split": "the split",
    "decisions": "the settings that the data suggest",
}
"""The parts of an identity, and what differs if their digests do."""

OF_CASE = {"identifier", "patient", "labelled"}


def identity_of(manifest: "Manifest") -> dict[str, str]:
    """The digest of each part of a manifest that decides results, without names and notes for readers."""
    dump = manifest.model_dump(
        mode="json", include={"task", "cases", "split", "decisions", "content"}
    )
    task, split = dump["task"], dump["split"]
    del task["name"], split["origin"]
    cases = [{key: case[key] for key in sorted(OF_CASE)} for case in dump["cases"]]
    images = [
        {key: value for key, value in case.items() if key not in {*OF_CASE, "source"}}
        for case in dump["cases"]
    ]
    parts: dict[str, Any] = {
        "task": task,
        "cases": cases,
        "images": [dump["content"], images],
        "split": split,
        "decisions": [(one["option"], one["value"]) for one in dump["decisions"]],
    }
    return {name: text_digest(json.dumps(parts[name], sort_keys=True)) for name in WORDS}


def changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between two identities, in words; parts that one of them lacks are not compared."""
    return [WORDS[name] for name in WORDS if name in before and before[name] != now.get(name)]
