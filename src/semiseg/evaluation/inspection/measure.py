"""Measurements of one case: intensities, structures, loss by resizing."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.data.manifest import Case
from semiseg.data.outlines import outline_growth
from semiseg.evaluation.resize_upper_bound import resize_upper_bound
from semiseg.formats.grid import steps_of_case, voxel_volume
from semiseg.preparation.label_maps import label_map
from semiseg.preparation.near_duplicates import Fingerprint, Shape

PERCENTILES = np.linspace(0, 100, 201)  # percentiles stored for each image
LOW, MIDDLE, HIGH = 1, 100, 199  # positions of 0.5, 50 and 99.5 percent in PERCENTILES
MOST_SAMPLED = 150_000  # values of an image on a regular grid, for percentiles
FLAT = 0.01  # of the range of intensities, by which the empty rim of an image may vary
LEAST_RIM = 0.05  # smallest fraction of such pixels in a slice


@dataclasses.dataclass(frozen=True)
class Structure:
    """One class in one labelled case.

    Attributes:
        voxels: number of voxels; 0 if the case does not contain the class.
        slices: number of slices that contain it.
        components: connected components in the volume, connected also by corners.
        across: typical width in pixels at the input size: the square root of the area of the
            component within a slice that contains the median pixel.
        centre: mean (x, y, z) in mm if the case has an affine, otherwise (slice, row, column).
        upper_bound: Dice of the mask against itself, resized to the input size and back.
        outline: whether it looks like thin closed lines with background inside.
    """

    voxels: int
    slices: int = 0
    components: int = 0
    across: float | None = None
    centre: tuple[float, float, float] | None = None
    upper_bound: float | None = None
    outline: bool = False


@dataclasses.dataclass(frozen=True)
class CaseFacts:
    """The measurements of one case.

    Attributes:
        case: its entry in the manifest.
        part: part of the split, '' for none.
        percentiles: intensities at the percentiles `PERCENTILES`.
        extremes: smallest and largest intensity.
        digest: hash of the image's voxels; ``label_digest`` of the label's.
        signature: see `semiseg.preparation.near_duplicates`.
        shown: the slice with the most foreground, or the middle one.
        structures: by class, ordered by code from 1; empty for an unlabelled case.
        borders: number of a slice's four borders that the structures touch.
        enclosed: whether the background is inside of the structures, away from the borders of slices.
        labelled_share: fraction of the image whose label is a class, not ignored.
        covered: fraction of the pixels that are not ignored that the structures cover.
        outside: fraction of the structures on the empty border of the image.
        label_map: see `semiseg.preparation.label_maps`; None for an unlabelled case.
    """

    case: Case
    part: str
    percentiles: NDArray[np.float32]
    extremes: tuple[float, float]
    digest: str
    signature: NDArray[np.float32]
    shown: int
    label_digest: str = ""
    structures: tuple[Structure, ...] = ()
    borders: int = 0
    enclosed: bool = False
    labelled_share: float = 1.0
    covered: float = 0.0
    outside: float = 0.0
    label_map: NDArray[np.float32] | None = None

    @property
    def name(self) -> str:
        """The identifier."""
        return self.case.identifier

    @property
    def voxels(self) -> int:
        """D x H x W."""
        depth, _, height, width = self.case.shape
        return depth * height * width

    @property
    def millilitres(self) -> float | None:
        """Volume of one voxel in ml; None without a spacing."""
        steps = steps_of_case(self.case)
        return None if steps is None else voxel_volume(steps) / 1000


def measure(
    case: Case,
    part: str,
    image: NDArray[np.generic],
    label: NDArray[np.uint8] | None,
    classes: Sequence[str],
    size: int,
    small_shape: Shape,
) -> CaseFacts:
    """Measure one case with one slice of the image in memory at a time.

    Args:
        case: its entry in the manifest.
        part: part of the split.
        image: [D, C, H, W], may be memory-mapped.
        label: [D, H, W] class codes, or None.
        classes: names, background first; other codes in the label are unknown.
        size: side of the network's square input in pixels.
        small_shape: shape of the reduced image for comparisons.
    """
    fingerprint = Fingerprint(small_shape)
    step = max(int(np.ceil(np.sqrt(image.size / MOST_SAMPLED))), 1)
    sample, lowest, highest = [], [], []
    for plane in image:
        plane = np.asarray(plane)
        fingerprint.add(plane)
        sample.append(plane[:, ::step, ::step].ravel())
        lowest.append(plane.min())
        highest.append(plane.max())
    values = np.concatenate(sample).astype(np.float32)
    facts = CaseFacts(
        case=case, part=part, percentiles=np.percentile(values, PERCENTILES).astype(np.float32),
        extremes=(float(min(lowest)), float(max(highest))), digest=fingerprint.digest,
        signature=fingerprint.signature(), shown=len(image) // 2,
    )  # fmt: skip
    if label is None:
        return facts
    label = np.asarray(label)
    known = label < len(classes)
    marked = known & (label > 0)
    return dataclasses.replace(
        facts,
        shown=int(marked.sum(axis=(1, 2)).argmax()) if marked.any() else facts.shown,
        label_digest=_digest(label),
        structures=_structures(label, classes, size, case),
        borders=sum(bool(marked[border].any()) for border in _BORDERS),
        enclosed=_enclosed(label == 0),
        labelled_share=float(known.mean()),
        covered=float(marked.sum() / max(int(known.sum()), 1)),
        outside=_outside(image, marked, facts),
        label_map=label_map(np.where(marked, label, 0).astype(np.uint8)),
    )


_ALL = slice(None)
_BORDERS = ((_ALL, 0), (_ALL, -1), (_ALL, _ALL, 0), (_ALL, _ALL, -1))


def _enclosed(background: NDArray[np.bool_]) -> bool:
    """Return whether there is a background and it touches no border of a slice."""
    return bool(background.any()) and not any(background[border].any() for border in _BORDERS)


def _digest(label: NDArray[np.uint8]) -> str:
    import hashlib

    return hashlib.blake2b(np.ascontiguousarray(label).data, digest_size=16).hexdigest()


def _structures(
    label: NDArray[np.uint8], classes: Sequence[str], size: int, case: Case
) -> tuple[Structure, ...]:
    from scipy import ndimage

    boxes = ndimage.find_objects(label, max_label=len(classes) - 1)
    upper_bounds = resize_upper_bound([label], size, classes)
    lines = outline_growth(label, len(classes) - 1)
    scale = size * size / (label.shape[1] * label.shape[2])
    found = []
    for code, (name, box) in enumerate(zip(classes[1:], boxes, strict=True), start=1):
        if box is None:
            found.append(Structure(0))
            continue
        mask = label[box] == code
        places = np.nonzero(mask)
        _, pieces = ndimage.label(mask, np.ones((3, 3, 3)))
        within = np.zeros((3, 3, 3), bool)
        within[1] = True
        areas = np.bincount(ndimage.label(mask, within)[0].ravel())[1:]
        centre = [float(p.mean()) + b.start for p, b in zip(places, box, strict=True)]
        found.append(
            Structure(
                voxels=len(places[0]),
                slices=int(mask.any(axis=(1, 2)).sum()),
                components=int(pieces),
                across=float(np.sqrt(_typical(areas) * scale)),
                centre=_in_world(centre, case),
                upper_bound=upper_bounds[name],
                outline=code in lines,
            )
        )
    return tuple(found)


def _typical(areas: NDArray[np.int64]) -> int:
    """Return the area of the component with the median pixel, which is robust to specks."""
    ordered = np.sort(areas)
    reached = np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)
    return int(ordered[reached])


def _in_world(centre: Sequence[float], case: Case) -> tuple[float, float, float]:
    depth, row, column = centre
    if case.affine is None:
        return depth, row, column
    source = [row, column]
    source.insert(case.slice_axis, depth)
    x, y, z = (np.array(case.affine) @ [*source, 1.0])[:3].tolist()
    return x, y, z


def _outside(image: NDArray[np.generic], marked: NDArray[np.bool_], facts: CaseFacts) -> float:
    """Return the fraction of the foreground that is on the empty border of the image."""
    total = int(marked.sum())
    tolerance = FLAT * (float(facts.percentiles[HIGH]) - facts.extremes[0])
    count = 0
    for plane, mask in zip(image, marked, strict=True):
        if mask.any():
            count += int((mask & empty_rim(np.asarray(plane).max(axis=0), tolerance)).sum())
    return count / max(total, 1)


def empty_rim(grey: NDArray[np.generic], tolerance: float) -> NDArray[np.bool_]:
    """Return where a slice [H, W] is empty: a constant, darkest value in regions that touch its border.

    Args:
        grey: intensities.
        tolerance: by which values of the region may differ, as JPEG does.
    """
    from scipy import ndimage

    edge = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    values, counts = np.unique(edge, return_counts=True)
    usual = values[counts.argmax()]
    if float(usual) - float(grey.min()) > tolerance:  # brighter than other pixels: no empty rim
        return np.zeros(grey.shape, bool)
    flat = np.abs(grey.astype(np.float64) - float(usual)) <= tolerance
    if float(flat.mean()) < LEAST_RIM:
        return flat & False
    found, _ = ndimage.label(flat)
    at_border = np.unique(np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]]))
    return np.isin(found, at_border[at_border > 0])
