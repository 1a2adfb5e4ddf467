"""What masks of several names show: structures within others, or one structure drawn by several readers."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.datasets.pairs import Pair
from semiseg.datasets.readers import choices, looks_like_initials
from semiseg.errors import UserError
from semiseg.text import listed, plural

PER_PAIR = 6  # images in which two names are compared
MOST_IMAGES = 24  # that are read to compare names
WITHIN = 0.9  # of the smaller mask must be in the larger one
OUTSIDE = 0.2  # of what the larger mask has alone: the smaller one has at most this alone
ALMOST_ALL = 0.8  # of the images
TWICE = 0.5  # Dice above which two masks are rather two drawings of one structure

Mask = NDArray[np.bool_]
ReadMasks = Callable[[Pair], Iterable[tuple[str, Mask]]]
"""Reads the masks of an image: the name and the foreground of each, all of one shape."""


@dataclasses.dataclass(frozen=True)
class Region:
    """The foreground of a mask within its bounding box."""

    box: tuple[slice, ...]
    mask: Mask

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    def common(self, other: "Region") -> int:
        """Number of pixels in both."""
        low = [max(a.start, b.start) for a, b in zip(self.box, other.box, strict=True)]
        high = [min(a.stop, b.stop) for a, b in zip(self.box, other.box, strict=True)]
        if any(start >= stop for start, stop in zip(low, high, strict=True)):
            return 0

        def part(region: Region) -> Mask:
            begins = [axis.start for axis in region.box]
            own = zip(low, high, begins, strict=True)
            return region.mask[tuple(slice(a - begin, b - begin) for a, b, begin in own)]

        return int(np.count_nonzero(part(self) & part(other)))


@dataclasses.dataclass(frozen=True)
class Overlap:
    """Two masks of an image: the pixels of each, and of both."""

    sizes: tuple[int, int]
    both: int

    @property
    def dice(self) -> float:
        """The Dice coefficient."""
        return 2 * self.both / sum(self.sizes)

    def within(self, inner: int) -> bool:
        """Whether the mask ``inner`` (0 or 1) lies almost wholly in the other one.

        Two drawings of one structure have pixels of their own on both sides; a structure within another
        has almost none of its own.
        """
        alone, around = self.sizes[inner] - self.both, self.sizes[1 - inner] - self.both
        return self.both >= WITHIN * self.sizes[inner] and around > 0 and alone <= OUTSIDE * around


Overlaps = Mapping[tuple[str, str], Sequence[Overlap]]


def drawing_order(
    pairs: Sequence[Pair], classes: Sequence[str], read: ReadMasks
) -> tuple[tuple[str, ...], list[str]]:
    """The order of classes in which structures within others come later, and a note about them.

    Later classes cover earlier ones. A sample of the images that have several names is read.

    Args:
        pairs: images with named masks.
        classes: names, background first.
        read: reads the masks of an image; an image for which it raises `UserError` does not count.

    Raises:
        UserError: if two names mark mostly the same pixels and none lies within the other.
    """
    overlaps = _overlaps(_sample(pairs), read)
    nested = {names: inner for names, own in overlaps.items() if (inner := _inner(own)) is not None}
    _check_readers(overlaps, nested, classes, pairs)
    inside = {(names[inner], names[1 - inner]) for names, inner in nested.items()}
    if not inside:
        return tuple(classes), []
    words = listed((f"{one} in {other}" for one, other in sorted(inside)), 4)
    note = (
        f"a structure that lies within another one covers it ({words}), as seen in "
        f"{plural(max(map(len, overlaps.values())), 'image')} (--classes sets another order)."
    )
    return (classes[0], *_sorted(classes[1:], inside)), [note]


def _sample(pairs: Sequence[Pair]) -> list[Pair]:
    """Images with several names, so that two names occur together in up to `PER_PAIR` of them."""
    several = [pair for pair in pairs if len({name for name, _ in pair.classes if name}) > 1]
    step = max(len(several) // PER_PAIR, 1)
    spread = [pair for start in range(step) for pair in several[start::step]]
    counts: Counter[tuple[str, str]] = Counter()
    chosen: list[Pair] = []
    for pair in spread:
        both = list(itertools.combinations(sorted({name for name, _ in pair.classes}), 2))
        if any(counts[names] < PER_PAIR for names in both):
            chosen.append(pair)
            counts.update(both)
        if len(chosen) == MOST_IMAGES:
            break
    return chosen


def _overlaps(pairs: Iterable[Pair], read: ReadMasks) -> Overlaps:
    """The overlaps of every two names in the images where both are drawn."""
    found: dict[tuple[str, str], list[Overlap]] = {}
    for pair in pairs:
        try:
            regions = _regions(read(pair))
        except UserError:  # raised again when the case is read
            continue
        sizes = {name: region.size for name, region in regions.items()}
        for one, other in itertools.combinations(sorted(regions), 2):
            both = regions[one].common(regions[other])
            found.setdefault((one, other), []).append(Overlap((sizes[one], sizes[other]), both))
    return found


def _regions(masks: Iterable[tuple[str, Mask]]) -> dict[str, Region]:
    """The united foreground of each name that has any; masks of a name follow each other."""
    found = {}
    for name, own in itertools.groupby(masks, key=lambda mask: mask[0]):
        whole: Mask | None = None
        for _, mask in own:
            whole = mask if whole is None else whole | mask
        assert whole is not None  # a group has a member
        if not whole.any():
            continue
        box = []
        for axis in range(whole.ndim):
            others = tuple(other for other in range(whole.ndim) if other != axis)
            marked = np.flatnonzero(whole.any(axis=others))
            box.append(slice(int(marked[0]), int(marked[-1]) + 1))
        found[name] = Region(tuple(box), whole[tuple(box)].copy())
    return found


def _inner(own: Sequence[Overlap]) -> int | None:
    """Which of two names lies within the other in almost all images where they overlap."""
    touching = [overlap for overlap in own if overlap.both]
    for inner in (0, 1):
        inside = sum(overlap.within(inner) for overlap in touching)
        if touching and inside >= ALMOST_ALL * len(touching):
            return inner
    return None


def _check_readers(
    overlaps: Overlaps,
    nested: Mapping[tuple[str, str], int],
    classes: Sequence[str],
    pairs: Sequence[Pair],
) -> None:
    """Check that no two names are readers of one structure.

    Initials count as readers even if one always draws inside of the other.

    Raises:
        UserError: if two are.
    """
    for names, own in overlaps.items():
        alike = [overlap for overlap in own if overlap.dice > TWICE]
        if 2 * len(alike) <= len(own) or (names in nested and not looks_like_initials(*names)):
            continue
        dice = np.mean([overlap.dice for overlap in own])
        files = [[p for pair in pairs for n, p in pair.classes if n == name] for name in names]
        choice = " or ".join(choices(names, files))
        order = ",".join(classes[1:]) if len(classes) < 8 else "NAME,NAME,..."
        raise UserError(
            f"The masks '{names[0]}' and '{names[1]}' mark mostly the same pixels (Dice {dice:.2f} in "
            f"{plural(len(own), 'image')} with both): if several readers drew one structure, choose one "
            f"({choice}); if these are different structures, give --classes {order}, in which later ones "
            "cover earlier ones."
        )


def _sorted(names: Sequence[str], inside: set[tuple[str, str]]) -> list[str]:
    """``names`` in their order, but each after all that contain it."""
    left, out = list(names), list[str]()
    while left:
        free = (name for name in left if not any((name, other) in inside for other in left))
        name = next(free, left[0])  # a circle is possible only if the images differ
        out.append(name)
        left.remove(name)
    return out
