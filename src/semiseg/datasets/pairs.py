"""Pairs of images and labels, as the result of pairing."""

import dataclasses
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from semiseg.data.manifest import Part
from semiseg.datasets.roles import composed, tokens_of
from semiseg.formats import stem_of
from semiseg.text import MOST_NAMED, listed, plural

MOST_LABELS = 20  # that a note names
MOST_COMPARED = 5000  # images, with whose names those of labels are compared
SIMILAR = 0.75  # ratio of equal letters


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
    nearest = _nearest(orphans, [pair.image for pair in pairs if pair.label is None])
    alone = [
        f"{path.relative_to(folder)}{f' (the nearest name is {near})' if near else ''}"
        for path, near in zip(orphans, nearest, strict=True)
    ]
    ignored = [str(path.relative_to(folder)) for path in found.ignored]
    for names, most, noun, what in (
        (alone, MOST_LABELS, "label", "without an image"),
        (ignored, MOST_NAMED, "file", "outside the image folders or derived from images"),
    ):
        if names:
            left = "is left out" if len(names) == 1 else "are left out"
            notes.append(f"{plural(len(names), noun)} {what} {left}: {listed(names, most)}.")
    return notes


def _nearest(labels: Sequence[Path], images: Sequence[Path]) -> list[str]:
    """For each label the image without a label that has the most similar name; empty if none is similar."""
    names = {_words(path): path.name for path in images[:MOST_COMPARED]}
    shown = []
    for path in labels[:MOST_LABELS]:
        key = _words(path)
        found = get_close_matches(key, names, 5, SIMILAR)
        longer = [name for name in found if name.startswith(key) or key.startswith(name)]
        shown.append(names[(longer or found)[0]] if found else "")
    return shown + [""] * (len(labels) - len(shown))


def _words(path: Path) -> str:
    return "_".join(tokens_of(composed(stem_of(path))))
