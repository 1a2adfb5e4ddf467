"""Pictures of an image with its reference and its predictions."""

import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import memory_for
from semiseg.reporting.figures import CLASSES, rgb


@dataclasses.dataclass(frozen=True)
class Shown:
    """One case for the pictures.

    Attributes:
        section: its comparison, such as '3 labelled, seed 0'.
        case: identifier.
        why: the reason why it was chosen.
        image: [D, C, H, W].
        reference: [D, H, W] class codes (``IGNORE_INDEX`` is shown darker), or None.
        predictions: name of a method or network -> [D, H, W] class codes.
        scores: name of a method or network -> Dice of the case, mean over its classes.
        spacing: (slice, row, column) in mm, or None.
    """

    section: str
    case: str
    why: str
    image: NDArray[np.generic]
    reference: NDArray[np.generic] | None
    predictions: Mapping[str, NDArray[np.generic]]
    scores: Mapping[str, float]
    spacing: tuple[float, float, float] | None = None


MOST_SAMPLED = 4_000_000  # values of an image for the range of its intensities
Box = tuple[int, int, int, int]  # first row, last row + 1, first column, last column + 1
Pixels = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Sheet:
    """The pictures of a case, its reference and its predictions.

    Attributes:
        item: the case.
        heads: a name and a score (or '') for each column.
        rows: the slice ('' for a picture), then the pixels and their description for each column.
    """

    item: Shown
    heads: list[tuple[str, str]]
    rows: list[tuple[str, list[tuple[Pixels, str]]]]


def choose_cases(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """Cases to show and why: the one nearest to the median score, the best and the worst.

    Args:
        scores: case -> Dice.
    """
    if not scores:
        return []
    ranked = sorted(scores, key=lambda case: (scores[case], case))
    median = float(np.median(list(scores.values())))
    typical = min(ranked, key=lambda case: (abs(scores[case] - median), case))
    reasons: dict[str, list[str]] = {}
    for case, why in (
        (typical, "nearest to the median"),
        (ranked[-1], "best"),
        (ranked[0], "worst"),
    ):
        reasons.setdefault(case, []).append(why)
    return [(case, ", ".join([*why[:-2], " and ".join(why[-2:])])) for case, why in reasons.items()]


def choose_slices(reference: NDArray[np.generic], count: int = 3) -> list[int]:
    """Evenly spaced slices of [D, H, W] among those with a structure, or among all if none has one."""
    filled = np.flatnonzero(_marked(reference).reshape(len(reference), -1).any(axis=1))
    if not len(filled):
        filled = np.arange(len(reference))
    if len(filled) <= count:
        return [int(index) for index in filled]
    # in the middle of equal parts: neither the first nor the last slice of the structure
    at = ((np.arange(count) + 0.5) * len(filled) / count).astype(int)
    return [int(filled[index]) for index in at]


def crop_box(
    masks: Sequence[NDArray[np.generic]], spacing: tuple[float, float], margin: float = 0.3
) -> Box:
    """A box around the structures of all masks, square in mm if the image is large enough.

    Args:
        masks: [N, H, W] each, reference and predictions, so that no false positive is cut off.
        spacing: (row, column) in mm or any unit.
        margin: margin as a fraction of the side.
    """
    height, width = masks[0].shape[-2:]
    union = np.zeros((height, width), bool)
    for mask in masks:
        union |= _marked(mask).reshape(-1, height, width).any(axis=0)
    if not union.any():
        return 0, height, 0, width
    spans = []
    for axis, step in ((1, spacing[0]), (0, spacing[1])):
        filled = np.flatnonzero(union.any(axis=axis))
        spans.append((filled[0] * step, (filled[-1] + 1) * step))
    longest = max(high - low for low, high in spans)
    side = max(longest * (1 + 2 * margin), 0.3 * max(height * spacing[0], width * spacing[1]))
    box: list[int] = []
    for (low, high), step, size in zip(spans, spacing, (height, width), strict=True):
        length = min(round(side / step), size)
        start = round((low + high) / 2 / step - length / 2)
        start = min(max(start, 0), size - length)
        box += [start, start + length]
    return box[0], box[1], box[2], box[3]


def grey_range(image: NDArray[np.generic]) -> tuple[float, float]:
    """The intensities shown as black and white: percentiles 0.5 and 99.5 of [..., H, W].

    Of a large image they are measured on a regular grid, so that no second array of its size is needed.
    """
    step = max(int(np.ceil(np.sqrt(image.size / MOST_SAMPLED))), 1)
    low, high = np.percentile(np.asarray(image[..., ::step, ::step], np.float32), [0.5, 99.5])
    return float(low), float(high if high > low else low + 1)


def overlay(
    image: NDArray[np.generic],
    label: NDArray[np.generic] | None,
    spacing: tuple[float, float],
    box: Box,
    grey: tuple[float, float],
    truth: NDArray[np.generic] | None = None,
    side: int = 300,
    fill: float = 0.42,
    colours: Sequence[str] = CLASSES,
) -> Pixels:
    """Draw one slice with translucent structures, in its physical proportions.

    Args:
        image: [C, H, W]. Three channels are shown in colour, otherwise only the first is shown.
        label: [H, W] class codes, or None for only the image. Ignored pixels are darkened.
        spacing: (row, column), for the proportions.
        box: the part of the image to show.
        grey: intensities that become black and white.
        truth: [H, W], drawn as white outlines.
        side: the longer side in pixels.
        fill: opacity of the structures; 0 draws only their outlines.
        colours: colours of the classes 1, 2, ..., repeated if there are more classes.

    Returns:
        [h, w, 3], uint8.
    """
    rows, columns = slice(box[0], box[1]), slice(box[2], box[3])
    extent = ((box[1] - box[0]) * spacing[0], (box[3] - box[2]) * spacing[1])
    scale = side / max(extent)
    height, width = (max(round(length * scale), 1) for length in extent)
    channels = image[:3] if image.shape[0] == 3 else np.repeat(image[:1], 3, axis=0)
    pixels = np.asarray(channels[:, rows, columns], np.float32)
    pixels = np.clip((pixels - grey[0]) / (grey[1] - grey[0]), 0, 1)
    eight_bit = (255 * pixels.transpose(1, 2, 0)).astype(np.uint8)
    resized = Image.fromarray(eight_bit).resize((width, height), Image.Resampling.BICUBIC)
    canvas = np.asarray(resized, np.float32)

    def grown(codes: NDArray[np.generic]) -> NDArray[np.uint8]:
        part = Image.fromarray(np.ascontiguousarray(codes[rows, columns], np.uint8))
        return np.asarray(part.resize((width, height), Image.Resampling.NEAREST))

    if label is not None:
        codes = grown(label)
        canvas[codes == IGNORE_INDEX] *= 0.4
        codes = np.where(_marked(codes), codes, 0)
        for code in np.unique(codes[codes > 0]):
            mask = codes == code
            colour = np.array(rgb(colours[(int(code) - 1) % len(colours)]), np.float32)
            canvas[mask] += fill * (colour - canvas[mask])
            canvas[_outline(mask)] = colour
    if truth is not None:
        codes = grown(truth)
        codes = np.where(_marked(codes), codes, 0)
        for code in np.unique(codes[codes > 0]):
            canvas[_outline(codes == code, 1)] = 255
    return canvas.astype(np.uint8)


def _marked(codes: NDArray[np.generic]) -> NDArray[np.bool_]:
    """The pixels of structures: neither background nor ignored."""
    return (codes != 0) & (codes != IGNORE_INDEX)


def _outline(mask: NDArray[np.bool_], thickness: int = 2) -> NDArray[np.bool_]:
    """The inner boundary of a mask."""
    return mask & ~ndimage.binary_erosion(mask, iterations=thickness, border_value=1)


def picture_sections(
    shown: Sequence[Shown], colours: Sequence[str] = CLASSES, slices: int = 3
) -> list[dict[str, Any]]:
    """The input of the page's template: sections of cases, with rows of slices and columns of masks.

    Args:
        shown: the cases.
        colours: colours of the classes 1, 2, ...
        slices: number of rows for a volume.
    """
    sections: dict[str, list[dict[str, Any]]] = {}
    for item in shown:
        made = sheet(item, colours, slices)
        rows = [
            (where, [(data_uri(pixels), text) for pixels, text in cells])
            for where, cells in made.rows
        ]
        sections.setdefault(item.section, []).append(
            {"case": item.case, "why": item.why, "rows": rows, "heads": made.heads}
        )
    return [{"title": title, "cases": cases} for title, cases in sections.items()]


def sheet(item: Shown, colours: Sequence[str] = CLASSES, slices: int = 3) -> Sheet:
    """Draw the pictures of one case.

    Args:
        item: the case.
        colours: colours of the classes 1, 2, ...
        slices: number of rows for a volume.

    Raises:
        RunFailure: if the memory does not suffice.
    """
    with memory_for(item.case, "draw it"):
        return _drawn(item, colours, slices)


def _drawn(item: Shown, colours: Sequence[str], slices: int) -> Sheet:
    reference = item.reference
    masks = [m for m in (reference, *item.predictions.values()) if m is not None]
    depth = item.image.shape[0]
    guide = reference if reference is not None else masks[0] if masks else item.image[:, 0]
    spacing = (item.spacing[1], item.spacing[2]) if item.spacing else (1.0, 1.0)
    chosen = choose_slices(guide, slices)
    box = crop_box([mask[chosen] for mask in masks] or [guide[chosen]], spacing)
    grey = grey_range(item.image)
    rows = []
    for index in chosen:
        image = item.image[index]
        truth = None if reference is None else reference[index]
        place = f"slice {index + 1} of {depth}" if depth > 1 else ""
        where = f"{item.case}, {place}" if place else item.case
        cells = [(overlay(image, None, spacing, box, grey), f"{where}: image")]
        if truth is not None:
            picture = overlay(image, truth, spacing, box, grey, colours=colours)
            cells.append((picture, f"{where}: reference segmentation"))
        for name, labels in item.predictions.items():
            picture = overlay(image, labels[index], spacing, box, grey, truth, colours=colours)
            cells.append((picture, f"{where}: prediction of {name}"))
        rows.append((place, cells))
    heads = [("image", ""), *([("reference", "")] if reference is not None else [])]
    heads += [
        (name, f"Dice {item.scores[name]:.3f}" if name in item.scores else "")
        for name in item.predictions
    ]
    return Sheet(item, heads, rows)


def data_uri(pixels: Pixels) -> str:
    """Encode a picture for embedding in a page."""
    buffer = io.BytesIO()
    # a sixth of the size of a PNG; 4:4:4 keeps thin coloured outlines sharp
    Image.fromarray(pixels).save(buffer, "JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
