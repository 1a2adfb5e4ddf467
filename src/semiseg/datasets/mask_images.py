"""Masks among the images of a source: files that look like masks but pair with no image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.datasets.pairs import Pair
from semiseg.errors import UserError
from semiseg.text import plural

MASK_LIKE, IMAGE_LIKE = "image like a mask", "image unlike a mask"
LABELLED_MASK, LABELLED_IMAGE = "labelled image like a mask", "labelled image"
FEW_VALUES = 4
MOST_SAMPLED = 100_000
LEAST = 256  # pixels; smaller images have few values by chance
LARGEST_EDGE = 0.15  # of the pixels of objects: their right neighbour differs


def kind_remark(image: NDArray[Any], pair: Pair, name: str) -> dict[str, str]:
    """The remarks that an image looks like a mask or does not, with or without a label."""
    if image.size < LEAST:
        return {}
    sample = image.reshape(-1)[:: max(image.size // MOST_SAMPLED, 1)]
    masked = np.unique(sample).size <= FEW_VALUES or _numbers_objects(image)
    if pair.label is None:
        return {MASK_LIKE if masked else IMAGE_LIKE: name}
    return {LABELLED_MASK: name} if masked else {IMAGE_LIKE: name, LABELLED_IMAGE: name}


def _numbers_objects(image: NDArray[Any]) -> bool:
    """Whether an image has the values of numbered objects: equal within each, and 0 around them."""
    rows = image.reshape(-1, image.shape[-1])
    rows = rows[:: max(image.size // MOST_SAMPLED, 1)]
    if not (np.all(rows >= 0) and np.all(rows == np.rint(rows))):
        return False
    left, right = rows[:, :-1].astype(np.float64), rows[:, 1:].astype(np.float64)
    within = left > 0
    changed = within & (left != right)
    if np.all(rows > 0) or within.sum() < LEAST or changed.sum() > LARGEST_EDGE * within.sum():
        return False
    # smooth images have large equal areas too, but their values change in small steps
    jumps = changed & ((right == 0) | (np.abs(left - right) > 1))
    return bool(changed.any() and 2 * jumps.sum() > changed.sum())


def check_masks_among_images(remarks: Mapping[str, Sequence[str]], folder: Path) -> None:
    """Check that no unlabelled image looks like a mask, unless all images do.

    Raises:
        UserError: if one does.
    """
    if MASK_LIKE not in remarks or IMAGE_LIKE not in remarks:
        return
    files = remarks[MASK_LIKE]
    raise UserError(
        f"{folder / files[0]} pairs with no image and looks like a mask (few values, or numbered objects), "
        f"as {plural(len(files), 'file')} so far: name it like its image, put it into a folder of masks "
        "(--labels FOLDER), or remove it."
    )


def note_on_masks_as_images(remarks: Mapping[str, Sequence[str]]) -> list[str]:
    """A note if all labelled images look like masks, and others do not."""
    if LABELLED_MASK not in remarks or LABELLED_IMAGE in remarks or IMAGE_LIKE not in remarks:
        return []
    files = remarks[LABELLED_MASK]
    return [
        f"all {plural(len(files), 'labelled image')} look like masks (such as {files[0]}), and images "
        "without a label do not: these may be two masks of one image; name the folder or the ending of the "
        "right ones with --labels, and take the others away."
    ]
