"""Palettes of masks: whether an index has the same colour in all files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semiseg.errors import UserError
from semiseg.formats.header import read_header
from semiseg.formats.pictures import load


def palettes_differ(paths: Sequence[Path]) -> tuple[Path, Path] | None:
    """Two masks in which one index has different colours, so that indices are not class codes.

    Programs that choose a palette for each file, such as converters to GIF, write such masks. Masks of
    greys and unreadable ones are skipped.
    """
    seen: dict[int, tuple[tuple[int, ...], Path]] = {}
    for path in paths:
        try:
            header = read_header(path)
            if not header.palette:
                continue
            picture = load(path)
        except UserError:  # raised again when the mask is read
            continue
        table = np.array(picture.getpalette("RGB") or [], np.int64).reshape(-1, 3)
        if not len(table) or (table == table[:, :1]).all():
            continue
        for index in np.unique(np.asarray(picture)).tolist():
            if index >= len(table):
                continue
            colour = tuple(table[index].tolist())
            known, other = seen.setdefault(index, (colour, path))
            if known != colour:
                return other, path
    return None
