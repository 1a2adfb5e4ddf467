"""Scores of one case: protocols, their definitions, and the scores of empty masks.

A class of one case has one of four statuses:

===========  ==========  =========  ====================  =========================
status       prediction  reference  Dice, IoU             HD95, ASD
===========  ==========  =========  ====================  =========================
``ok``       yes         yes        measured              measured
``missing``  no          yes        0                     rule for missing structures
``spurious`` yes         no         0                     ``strict``: the same rule;
                                                          ``paper``: undefined, left out
``absent``   no          no         left out, counted     left out, counted
===========  ==========  =========  ====================  =========================

The rule for missing structures is ``worst`` (the image's diagonal), ``exclude`` (left out of the
mean distances, and counted) or ``zero``. The papers' evaluation code uses 0, so a missed organ
improves the mean HD95. The ``paper`` protocols do the same, to be comparable.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError, unknown
from semiseg.evaluation.classes import Classes, check_codes, foreground, without_ignored
from semiseg.evaluation.overlap import overlap, same_shape
from semiseg.evaluation.surfaces import (
    HD95,
    Spacing,
    asd_of,
    check_definition,
    hd95,
    hd95_of,
    surface_distances,
)

Status = Literal["ok", "missing", "spurious", "absent"]
Missing = Literal["worst", "exclude", "zero"]
Units = Literal["mm", "voxels", "pixels"]
MISSING: tuple[Missing, ...] = ("worst", "exclude", "zero")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The definitions of an evaluation.

    Attributes:
        name: printed with the results.
        physical: whether distances are in mm with the image's spacing, or in voxels.
        hd95: one of the three definitions in :mod:`semiseg.evaluation.surfaces`.
        symmetric_asd: whether ASD is the mean of both directions or from prediction to reference.
        missing: the rule for missing structures; None: the caller chooses.
        score_spurious: whether the rule also applies to distances of spurious structures.
        restore: what callers resample to the reference's grid.
        picture_size: side at which pictures are scored; None: on the reference's grid.
    """

    name: str
    physical: bool = True
    hd95: HD95 = "pooled"
    symmetric_asd: bool = True
    missing: Missing | None = None
    score_spurious: bool = True
    restore: Literal["probabilities", "labels"] = "probabilities"
    picture_size: int | None = None

    def rule(self, asked: Missing) -> Missing:
        """Return the rule for missing structures: the protocol's, or else ``asked``."""
        return self.missing or asked

    def units(self, spacing: Spacing | None) -> Units:
        """Return ``mm``, or ``voxels`` if the protocol ignores spacing or there is none."""
        return "mm" if self.physical and spacing is not None else "voxels"


STRICT = Protocol("strict")
PAPER = Protocol(
    "paper",
    physical=False,
    symmetric_asd=False,
    missing="zero",
    score_spurious=False,
    restore="labels",
)
PROTOCOLS = {
    "strict": STRICT,
    "paper": PAPER,  # MCSC and related papers
    "paper-plgcl": dataclasses.replace(PAPER, name="paper-plgcl", symmetric_asd=True),
    "paper-cross-level": dataclasses.replace(
        PAPER, name="paper-cross-level", picture_size=320, restore="probabilities"
    ),
}


def find_protocol(name: str, hd95: str | None = None) -> Protocol:
    """Return a protocol by name, optionally with another definition of HD95.

    Raises:
        UserError: for an unknown name or definition, with the nearest known one.
    """
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    protocol = PROTOCOLS[name]
    if hd95 is None:
        return protocol
    return dataclasses.replace(protocol, hd95=check_definition(hd95))


def check_missing(missing: str) -> Missing:
    """Validate ``missing`` as a rule for missing structures.

    Raises:
        UserError: if it is unknown.
    """
    for known in MISSING:
        if missing == known:
            return known
    raise unknown("rule for missing structures (--missing)", missing, MISSING)


@dataclasses.dataclass(frozen=True)
class CaseScore:
    """The scores of one class of one case. None: undefined, or left out by the rule for missing.

    Attributes:
        case: identifier.
        code: the class's code in the labels.
        name: the class's name.
        status: see the table above.
        predicted_voxels: voxels of the class in the prediction.
        reference_voxels: voxels of the class in the reference.
        units: unit of ``hd95`` and ``asd``.
        dice: in [0, 1].
        iou: in [0, 1].
        hd95: 95th-percentile Hausdorff distance.
        asd: average surface distance.
        mae: ``100 mean |p - y|``, pictures only.
    """

    case: str
    code: int
    name: str
    status: Status
    predicted_voxels: int
    reference_voxels: int
    units: Units
    dice: float | None = None
    iou: float | None = None
    hd95: float | None = None
    asd: float | None = None
    mae: float | None = None


def score_case(
    prediction: NDArray[np.generic],
    reference: NDArray[np.generic],
    classes: Classes,
    spacing: Spacing | None = None,
    protocol: Protocol = STRICT,
    missing: Missing = "worst",
    case: str = "",
) -> list[CaseScore]:
    """Score every foreground class of one case on the reference's grid.

    Distances ignore an axis with a single voxel, because otherwise every voxel of a single slice would
    be a surface voxel.

    Args:
        prediction: [D, H, W] class codes on the reference's grid.
        reference: [D, H, W] class codes; voxels that are ``IGNORE_INDEX`` are excluded from both masks
            (unless 255 is one of ``classes``).
        classes: names by position, background first, or code -> name.
        spacing: (slice, row, column) in mm, or [3, 3] the steps along slices, rows and columns in mm,
            one in each column (a sheared grid); None if unknown.
        protocol: definitions.
        missing: the rule for missing structures, unless the protocol has its own.
        case: identifier, for the result and messages.

    Raises:
        UserError: if shapes differ, a code is not a class or ``spacing`` does not fit.
    """
    same_shape(prediction, reference)
    named = foreground(classes)
    label = f" of {case}" if case else ""
    check_codes(prediction, named, f"The prediction{label}")
    if IGNORE_INDEX not in named:
        prediction, reference = without_ignored(prediction, reference)
    check_codes(reference, named, f"The reference{label}")
    check_spacing(spacing, reference.ndim)
    if not protocol.physical:
        spacing = None
    rule = protocol.rule(check_missing(missing))
    kept = [axis for axis, size in enumerate(reference.shape) if size > 1] or [0]
    units = protocol.units(spacing)
    steps = None if spacing is None else np.asarray(spacing, np.float64)[..., kept]
    flat_shape = tuple(reference.shape[axis] for axis in kept)
    p, r = prediction.reshape(flat_shape), reference.reshape(flat_shape)
    worst = diagonal(flat_shape, steps)
    scores: list[CaseScore] = []
    for code, name in named.items():
        blank = CaseScore(case, code, name, "absent", 0, 0, units)
        scores.append(_score_class(blank, p == code, r == code, steps, protocol, rule, worst))
    return scores


def diagonal(shape: Sequence[int], spacing: Spacing | None) -> float:
    """Return the image's diagonal in mm (voxels without ``spacing``), without axes of one voxel.

    It includes whole voxels, so no distance between two voxels' centres exceeds it.
    """
    steps = np.ones(len(shape)) if spacing is None else np.asarray(spacing, np.float64)
    long = [axis for axis, size in enumerate(shape) if size > 1]
    sides = (steps if steps.ndim == 2 else np.diag(steps))[:, long] * np.array(shape)[long]
    corners = np.array(list(itertools.product((-1, 1), repeat=len(long))))
    return float(np.linalg.norm(corners @ sides.T, axis=1).max()) if long else 0.0


def check_spacing(spacing: Spacing | None, axes: int = 3) -> None:
    """Check that a spacing has one positive number per axis, or is a matrix of steps.

    Raises:
        UserError: if not.
    """
    if np.ndim(spacing) == 2:  # type: ignore[arg-type]
        return
    if spacing is not None and not (
        len(spacing) == axes and all(np.isfinite(step) and step > 0 for step in spacing)
    ):
        raise UserError(
            f"spacing needs {axes} positive numbers (mm along slices, rows and columns), "
            f"got {list(spacing)}."
        )


def _score_class(
    blank: CaseScore,
    prediction: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    steps: NDArray[np.float64] | None,
    protocol: Protocol,
    rule: Missing,
    worst: float,
) -> CaseScore:
    counts = overlap(prediction, reference)
    scored = dataclasses.replace(
        blank,
        predicted_voxels=counts.predicted,
        reference_voxels=counts.reference,
        dice=counts.dice,
        iou=counts.iou,
    )
    if counts.predicted and counts.reference:
        distances = surface_distances(prediction, reference, steps)
        if protocol.hd95 == "surfel-weighted":
            far = hd95(prediction, reference, steps, protocol.hd95)
        else:
            far = hd95_of(distances, protocol.hd95)
        average = asd_of(distances, protocol.symmetric_asd)
        return dataclasses.replace(scored, status="ok", hd95=far, asd=average)
    if not (counts.predicted or counts.reference):
        return scored
    status: Status = "missing" if counts.reference else "spurious"
    distance: float | None = {"worst": worst, "zero": 0.0, "exclude": None}[rule]
    if status == "spurious" and not protocol.score_spurious:
        distance = None
    return dataclasses.replace(scored, status=status, hd95=distance, asd=distance)
