"""Pairs of images and labels, as the result of pairing."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from semiseg.data.manifest import Part
from semiseg.text import listed, plural


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image, its label (if any), and the part of the split that its folders name.

    ``classes``: class name and file of each mask, if an image has several; masks with the same name are
    united, and the name is empty if the source has only one class. ``label`` is then one of these masks.
    ``place``: the folders of the image that name neither a role nor a part, outermost first. ``prefix``: the
    folders that are put in front of the identifier, because images in several folders have equal names.
    """

    identifier: str
    image: Path
    label: Path | None
    part: Part | None
    classes: tuple[tuple[str, Path], ...] = ()
    place: tuple[str, ...] = ()
    prefix: str = ""

    @property
    def folder(self) -> str:
        """The innermost folder of ``place``; empty if there is none."""
        return self.place[-1] if self.place else ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The image and its masks, if any."""
        return (self.image, *self.masks)

    @property
    def masks(self) -> tuple[Path, ...]:
        """All masks of the image."""
        if self.classes:
            return tuple(mask for _, mask in self.classes)
        return () if self.label is None else (self.label,)


@dataclasses.dataclass(frozen=True)
class Found:
    """The pairs of a folder, labels without an image, and files outside the image folders.

    ``notes``: what the pairing decided, for the user.
    """

    pairs: tuple[Pair, ...]
    orphans: tuple[Path, ...]
    ignored: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def left_over(folder: Path, found: Found, pairs: Sequence[Pair]) -> list[str]:
    """Notes about the pairing and about files that no case uses."""
    used = {pair.label for pair in pairs}
    notes = list(found.notes)
    orphans = [path for path in found.orphans if path not in used]
    for paths, noun, what in (
        (orphans, "label", "without an image"),
        (found.ignored, "file", "outside the image folders or derived from images"),
    ):
        if paths:
            names = listed(str(path.relative_to(folder)) for path in paths)
            left = "is left out" if len(paths) == 1 else "are left out"
            notes.append(f"{plural(len(paths), noun)} {what} {left}: {names}.")
    return notes
