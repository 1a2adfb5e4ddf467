"""A folder of pictures (photographs, endoscopy, histology, microscopy) and masks.

Images and masks have the same names in sub-folders such as ``images`` and ``masks``, or the names of
masks contain a word such as mask, or there are several masks per picture
(`semiseg.datasets.structures`). If every file is a TIFF of several pages, each is a volume.
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
    refused_case,
    split_of_parts,
    with_background,
)
from semiseg.datasets.class_names import named_masks
from semiseg.datasets.mask_reader import MaskReader
from semiseg.datasets.overlaps import drawing_order
from semiseg.datasets.pairing import pair_files
from semiseg.datasets.pairs import Found, left_over
from semiseg.datasets.patients import patients_of
from semiseg.datasets.sites import notes_on_sites
from semiseg.datasets.source_files import any_of
from semiseg.errors import UserError
from semiseg.formats import is_picture
from semiseg.formats.header import Header, read_header
from semiseg.formats.mask_values import hexadecimal
from semiseg.formats.masks import colours_of, palette_of
from semiseg.formats.palettes import palettes_differ


class PictureFolder:
    """Pictures and masks."""

    name = "pictures"
    summary = "pictures: images/*.jpg and masks/*.png, or NAME.jpg and NAME_mask.png; TIFF stacks"
    where = "anybody's own pictures"

    def detect(self, folder: Path) -> str | None:
        """Look for any picture below the folder."""
        first = any_of(folder, is_picture)
        return f"it holds pictures such as {first.relative_to(folder)}" if first else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """Pair pictures with masks by their names; reads headers, and pixels of coloured masks.

        Raises:
            UserError: for an unreadable picture, and as in :func:`pair_files`.
        """
        found = pair_files(
            folder, is_picture, options.labels, options.classes, reader=options.reader
        )
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
    """The scan of paired pictures and masks.

    Args:
        folder: the source.
        found: pictures and masks.
        options: the user's options; their classes replace ``classes``.
        name: name of the data set.
        classes: names, without the background.
        parts: fractions of a drawn split.
        instances: masks are numbered objects of one class: every value above 0 is that class.

    Raises:
        UserError: for an unreadable picture, a mix of 8 bits and more or of stacks and single
            pictures, or masks whose classes are ambiguous.
    """
    if options.max_side < 1:
        raise UserError(f"--max-side {options.max_side}: give a number of pixels such as 512.")
    headers, bad = _headers(found)
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
    found, own = named_masks(found, options, folder)
    if own is not None:
        named = own
    elif classes is None and not instances:
        named, naming = _coloured_classes(found, named, naming)
    masks = MaskReader(folder, named, options.max_side, instances, naming, options.spacing)
    if own is not None and not options.classes:
        whole = [pair for pair in found.pairs if pair.image in headers]
        named, about = drawing_order(
            whole, own, lambda pair: masks.masks_of(pair, headers[pair.image])
        )
        masks.classes = named
        notes += about
    patients = patients_of(found.pairs, options.patient_pattern, pictures=True)
    notes += notes_on_sites(found.pairs, patients, options.patient_pattern)
    cases = []
    for pair, patient in zip(found.pairs, patients, strict=True):
        source, has_label = str(pair.image.relative_to(folder)), pair.label is not None
        if pair.image in bad:
            why = bad[pair.image]
            case = refused_case(
                pair.identifier, patient, source, why, has_label=has_label, part=pair.part,
                files=pair.files,
            )  # fmt: skip
        else:
            read = functools.partial(masks.read, pair, headers[pair.image], max(kinds, default=3))
            case = SourceCase(
                pair.identifier, patient, has_label, pair.part, source, pair.files, read
            )
        cases.append(case)
    split, moved = split_of_parts(cases, "the names of the source's folders")
    window = Intensity(kind="window", low=0.0, high=255.0)
    return Scan(
        name=name,
        cases=tuple(cases),
        classes=named,
        kind="volumes" if stacks else "pictures",
        intensity=Intensity(kind="percentile", low=0.5, high=99.5) if deep else window,
        colours={} if instances else _shown_colours(found, naming),
        label_colours=None if instances else naming.colours,
        channels=max(kinds, default=3),
        split=split,
        parts=parts,
        notes=(*notes, *moved, *left_over(folder, found, found.pairs)),
        afterwards=masks.notes,
    )


def _headers(found: Found) -> tuple[dict[Path, Header], dict[Path, UserError]]:
    """The headers of all pictures, and the errors of those that cannot be read.

    Raises:
        UserError: if no picture can be read.
    """
    headers: dict[Path, Header] = {}
    bad: dict[Path, UserError] = {}
    for pair in found.pairs:
        try:
            headers[pair.image] = read_header(pair.image)
        except UserError as error:
            bad[pair.image] = error
    if bad and not headers:
        raise next(iter(bad.values()))
    return headers, bad


def _alike(headers: Mapping[Path, Header]) -> tuple[bool, bool]:
    """Whether the pictures have more than 8 bits, and whether they are stacks.

    Raises:
        UserError: if that differs between pictures.
    """

    def both(kinds: Mapping[Path, bool]) -> tuple[Path, Path] | None:
        one = next((path for path, is_so in kinds.items() if is_so), None)
        other = next((path for path, is_so in kinds.items() if not is_so), None)
        return (one, other) if one is not None and other is not None else None

    depths = {path: header.deep for path, header in headers.items()}
    if pair := both(depths):
        raise UserError(
            f"{pair[0]} has more than 8 bits per pixel but {pair[1]} has 8: convert all pictures to the "
            "same depth, because their intensities have no common scale."
        )
    pages = {path: header.pages > 1 for path, header in headers.items()}
    if pair := both(pages):
        raise UserError(
            f"{pair[0]} is a stack of {headers[pair[0]].pages} pages but {pair[1]} is a single picture: "
            "prepare stacks and pictures separately."
        )
    return any(depths.values()), any(pages.values())


def _shown_colours(found: Found, naming: Naming) -> dict[int, str]:
    """Class code -> colour, from coloured masks or from the palette of the first mask."""
    if naming.colours is not None:
        of_code: dict[int, str] = {}
        for colour, code in naming.colours.items():
            if code not in (0, IGNORE_INDEX):
                of_code.setdefault(code, hexadecimal(colour))
        return of_code
    first = next((pair.label for pair in found.pairs if pair.label and not pair.classes), None)
    try:
        return palette_of(first) if first else {}
    except UserError:  # raised again when the mask is read
        return {}


def _coloured_classes(
    found: Found, named: tuple[str, ...] | None, naming: Naming
) -> tuple[tuple[str, ...] | None, Naming]:
    """Classes and colours of coloured masks: those given, or else all colours, sorted.

    Raises:
        UserError: if the given names do not define which colour is which.
    """
    labels = [pair.label for pair in found.pairs if pair.label is not None and not pair.classes]
    differ = palettes_differ(labels) if naming.colours is None else None
    if differ is not None and naming.codes is not None:
        raise UserError(
            f"{differ[0]} and {differ[1]} have different palettes, so their numbers are not class codes: "
            "name the colours, for example --classes '#ff0000=polyp'."
        )
    if naming.codes is not None:
        return named, naming
    void = {} if naming.void is None else {naming.void: IGNORE_INDEX}
    if naming.colours is not None:
        return named, dataclasses.replace(naming, colours={**naming.colours, **void})
    colours = colours_of(labels, palettes=differ is not None)
    if colours is None:
        return named, naming
    listed = [colour for colour in colours if colour not in (0, naming.void)]
    words = [hexadecimal(colour) for colour in listed]
    if not words:
        return named, naming
    if named is not None and (len(named) > 2 or len(words) > 1):
        example = f"'{words[0]}={named[1]}{',...' if len(words) > 1 else ''}'"
        raise UserError(
            f"{labels[0].parent} holds masks with the colours {', '.join(words)}: name each colour, "
            f"for example --classes {example}."
        )
    table = {colour: code for code, colour in enumerate(listed, start=1)}
    return named or with_background(words), dataclasses.replace(
        naming, colours={0: 0, **table, **void}
    )
