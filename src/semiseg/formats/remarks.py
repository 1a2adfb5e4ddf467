"""Remarks on files whose headers say something unusual; the notes about them are the same everywhere.

A format puts a remark into ``Volume.remarks``; ``prepare`` and ``predict`` print the notes.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from semiseg.data.volume import Volume
from semiseg.text import plural

SHEARED = "file: sheared"
UNITS = "file: units"
NO_SPACING = "file: no spacing"
NO_ORIENTATION = "file: no orientation"
TWO_GRIDS = "file: two grids"
SCALED = "file: scaled"
TRANSPARENT = "file: transparent"
STORED_POLARITY = "file: stored polarity"
OUTLINED = "outlined"  # a mask that was reduced was thin closed lines; see `semiseg.data.outlines`

SENTENCES = {
    SHEARED: "{count} on a sheared grid, as after a tilt of the CT gantry (such as {first}): "
    "distances and volumes follow the sheared axes; some viewers, such as those built on ITK, refuse "
    "NIfTI masks on such grids.",
    UNITS: "{count} in another unit of length than mm (such as {first}): lengths were converted to mm.",
    NO_SPACING: "{count} without a voxel size in the header (such as {first}): 1 mm is assumed; "
    "--spacing sets it.",
    NO_ORIENTATION: "{count} without an orientation in the header (such as {first}): left and right "
    "cannot be known, and nothing that depends on them is checked.",
    TWO_GRIDS: "{count} with two different grids in the header (such as {first}): sform is used, but "
    "some programs use qform.",
    SCALED: "{count} with an intensity scale in the header (such as {first}): stored values were "
    "scaled by it.",
    TRANSPARENT: "{count} with transparency (such as {first}): it was dropped.",
    STORED_POLARITY: "{count} stored as 'white is zero' (such as {first}): the stored values count, "
    "as in NumPy, so 0 is background even though viewers show it white.",
}  # fmt: skip


def notes_on_files(remarks: Mapping[str, Sequence[str]], what: str = "image") -> list[str]:
    """One note for each kind of remark.

    Args:
        remarks: kind -> the files that have it; other kinds are skipped.
        what: singular noun for the files.
    """
    return [
        sentence.format(count=plural(len(files), "mask" if kind == STORED_POLARITY else what),
                        first=files[0])
        for kind, sentence in SENTENCES.items()
        if (files := remarks.get(kind))
    ]  # fmt: skip


def with_remarks(volume: Volume, remarks: Mapping[str, str]) -> Volume:
    """``volume`` with further remarks."""
    if not remarks:
        return volume
    return dataclasses.replace(volume, remarks={**volume.remarks, **remarks})
