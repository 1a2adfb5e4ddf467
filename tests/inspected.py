"""Cases of which an inspection finds nothing, to be changed by tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.manifest import Case
from semiseg.evaluation.inspection.measure import CaseFacts, measure
from semiseg.preparation.near_duplicates import PICTURE, VOLUME

CLASSES = ("background", "left lung", "right lung")
AFFINE = ((0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 5.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def volume(number: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Image [3, 1, 32, 32] with a texture inside a dark border, and two boxes of slightly varying size."""
    rng = np.random.default_rng(number)
    label = np.zeros((3, 32, 32), np.uint8)
    low, high = rng.integers(10, 13), rng.integers(20, 23)
    label[:, low:high, 8:14] = 1
    label[:, low:high, 18:24] = 2
    image = np.zeros((3, 1, 32, 32), np.int16)
    texture = np.kron(rng.integers(60, 160, (3, 11, 11)), np.ones((2, 2)))
    image[:, 0, 5:27, 5:27] = texture + 40 * (label[:, 5:27, 5:27] > 0)
    return image, label


def facts_of(
    name: str,
    image: NDArray[Any],
    label: NDArray[np.uint8] | None,
    part: str = "train",
    **changed: Any,
) -> CaseFacts:
    fields: dict[str, Any] = {
        "identifier": name, "patient": name, "shape": image.shape, "labelled": label is not None,
        "bounds": (0.0, 200.0), "spacing": (5.0, 1.0, 1.0),
        "affine": AFFINE, "slice_axis": 2,
    }  # fmt: skip
    case = Case(**(fields | changed))
    small_shape = PICTURE if len(image) == 1 else VOLUME
    return measure(case, part, image, label, CLASSES, 32, small_shape)
