"""A folder of pictures (photographs, endoscopy, histology, microscopy) and masks.

Sub-folders ``images`` and ``masks`` (and their kin) with the same names, or one tree in which masks
end in _mask, _seg, _segmentation or _label; or one mask a class (`semiseg.datasets.per_class`).
Where every file is a TIFF of several pages, each is a volume of slices.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

from semiseg.data.task import IGNORE_INDEX, Intensity
from semiseg.datasets.base import (
    Naming,
    Options,
    Scan,
    SourceCase,
    patient_of,
    split_of_parts,
    with_background,
)
from semiseg.datasets.mask_reader import MaskReader
from semiseg.datasets.pairing import Found, any_of, left_over
from semiseg.datasets.per_class import pair_pictures
from semiseg.errors import UserError
from semiseg.formats import is_picture
from semiseg.formats.header import Header, read_header
from semiseg.formats.mask_values import hexadecimal
from semiseg.formats.masks import colours_of, palette_of


class PictureFolder:
    """Pictures beside masks."""

    name = "pictures"
    summary = (
        "pictures: images/*.jpg beside masks/*.png, or NAME.jpg beside NAME_mask.png; TIFF stacks"
    )
    where = "anybody's own pictures"

    def detect(self, folder: Path) -> str | None:
        """Any picture below the folder."""
        first = any_of(folder, is_picture)
        return f"it holds pictures such as {first.relative_to(folder)}" if first else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """Pair pictures with masks by their names; reads headers, and pixels of coloured masks alone.

        Raises:
            UserError: for an unreadable picture, and as :func:`pair_files`.
        """
        found = pair_pictures(folder, is_picture)
        return scan_pictures(folder, found, options, folder.resolve().name)


def scan_pictures(
    folder: Path,
    found: Found,
    options: Options,
    name: str,
    classes: tuple[str, ...] | None = None,
    parts: tuple[float, float, float] = (0.7, 0.1, 0.2),
    instances: bool = False,
) -> Scan:
    """The cases of pictures and masks that have been paired.

    Args:
        folder: the source.
        found: pictures and masks.
        options: as a person gives them; their classes come before ``classes``.
        name: of the data set.
        classes: names, without the background.
        parts: of a drawn split.
        instances: masks number single objects: every value above 0 is the one class.

    Raises:
        UserError: for an unreadable picture, pictures of 8 bits beside deeper ones, stacks beside
            single pictures, or masks whose classes cannot be told.
    """
    if options.max_side < 1:
        raise UserError(f"--max-side {options.max_side}: give a number of pixels such as 512.")
    headers = {pair.image: read_header(pair.image) for pair in found.pairs}
    deep, stacks = _alike(headers)
    channels = {path: header.channels for path, header in headers.items()}
    kinds = set(channels.values())
    notes = []
    if len(kinds) > 1:
        grey = sum(count == 1 for count in channels.values())
        notes.append(f"{grey:,} of {len(channels):,} pictures are grey: all are stored as RGB.")
    chosen = options.classes or classes
    named = with_background(chosen) if chosen else None
    naming = options.naming
    if any(pair.classes for pair in found.pairs):
        named = _class_names(found, named, naming, options.classes is not None, folder)
    elif classes is None and not instances:
        named, naming = _coloured_classes(found, named, naming)
    masks = MaskReader(folder, named, options.max_side, instances, naming, options.spacing)
    cases = tuple(
        SourceCase(
            identifier=pair.identifier,
            # A name tells a picture's patient only where somebody says how.
            patient=patient_of(pair.identifier, options.patient_pattern or ".+"),
            has_label=pair.label is not None,
            part=pair.part,
            source=str(pair.image.relative_to(folder)),
            files=pair.files,
            read=functools.partial(
                masks.read, pair, headers[pair.image], max(kinds, default=3)
            ),
        )
        for pair in found.pairs
    )  # fmt: skip
    split, moved = split_of_parts(cases, "the names of the source's folders")
    window = Intensity(kind="window", low=0.0, high=255.0)
    return Scan(
        name=name,
        cases=cases,
        classes=named,
        kind="volumes" if stacks else "pictures",
        intensity=Intensity(kind="percentile", low=0.5, high=99.5) if deep else window,
        colours={} if instances else _shown_colours(found, naming),
        channels=max(kinds, default=3),
        split=split,
        parts=parts,
        notes=(*notes, *moved, *left_over(folder, found, found.pairs)),
        afterwards=masks.notes,
    )


def _alike(headers: Mapping[Path, Header]) -> tuple[bool, bool]:
    """Whether the pictures have more than 8 bits, and whether they are stacks.

    Raises:
        UserError: if some are and some are not, naming two.
    """

    def both(kinds: Mapping[Path, bool]) -> tuple[Path, Path] | None:
        one = next((path for path, is_so in kinds.items() if is_so), None)
        other = next((path for path, is_so in kinds.items() if not is_so), None)
        return (one, other) if one is not None and other is not None else None

    depths = {path: header.deep for path, header in headers.items()}
    if pair := both(depths):
        raise UserError(
            f"{pair[0]} has more than 8 bits a pixel but {pair[1]} has 8: their intensities have no common "
            "scale, so convert all pictures to one depth."
        )
    pages = {path: header.pages > 1 for path, header in headers.items()}
    if pair := both(pages):
        raise UserError(
            f"{pair[0]} is a stack of {headers[pair[0]].pages} pages but {pair[1]} is a single picture: "
            "prepare stacks and pictures apart."
        )
    return any(depths.values()), any(pages.values())


def _class_names(
    found: Found, named: tuple[str, ...] | None, naming: Naming, given: bool, folder: Path
) -> tuple[str, ...]:
    """Names of classes that have a mask each: as given, which is also their order, else sorted."""
    names = sorted({name for pair in found.pairs for name, _ in pair.classes})
    if naming.codes is not None or naming.colours is not None:
        raise UserError(
            f"{folder} has one mask a class ({', '.join(names)}): give --classes the names alone, in the "
            "order in which later ones cover earlier ones."
        )
    if not given or named is None:
        return with_background(names)
    unknown = [name for name in named[1:] if name not in names]
    if unknown:
        raise UserError(
            f"--classes names '{unknown[0]}', but the masks of {folder} are of {', '.join(names)}: take "
            "these names."
        )
    return named


def _shown_colours(found: Found, naming: Naming) -> dict[int, str]:
    """Code -> colour, of coloured masks or by the first mask's palette."""
    if naming.colours is not None:
        of_code: dict[int, str] = {}
        for colour, code in naming.colours.items():
            if code not in (0, IGNORE_INDEX):
                of_code.setdefault(code, hexadecimal(colour))
        return of_code
    first = next((pair.label for pair in found.pairs if pair.label and not pair.classes), None)
    return palette_of(first) if first else {}


def _coloured_classes(
    found: Found, named: tuple[str, ...] | None, naming: Naming
) -> tuple[tuple[str, ...] | None, Naming]:
    """Classes and colours where the masks are coloured: as named, else all colours, sorted.

    Raises:
        UserError: if names are given that say nothing of several colours.
    """
    if naming.codes is not None:
        return named, naming
    void = {} if naming.void is None else {naming.void: IGNORE_INDEX}
    if naming.colours is not None:
        return named, dataclasses.replace(naming, colours={**naming.colours, **void})
    labels = [pair.label for pair in found.pairs if pair.label is not None]
    colours = colours_of(labels)
    if colours is None:
        return named, naming
    listed = [colour for colour in colours if colour not in (0, naming.void)]
    words = [hexadecimal(colour) for colour in listed]
    if not words:
        return named, naming
    if named is not None and (len(named) > 2 or len(words) > 1):
        example = f"'{words[0]}={named[1]}{',...' if len(words) > 1 else ''}'"
        raise UserError(
            f"{labels[0].parent} holds masks with the colours {', '.join(words)}: say which is which, "
            f"such as --classes {example}."
        )
    table = {colour: code for code, colour in enumerate(listed, start=1)}
    return named or with_background(words), dataclasses.replace(
        naming, colours={0: 0, **table, **void}
    )
