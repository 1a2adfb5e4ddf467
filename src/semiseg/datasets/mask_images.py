"""Masks among the images of a source: files that look like masks but pair with no image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.datasets.pairs import Pair
from semiseg.errors import UserError
from semiseg.text import plural

MASK_LIKE, IMAGE_LIKE = "image like a mask", "labelled image"
FEW_VALUES = 4
MOST_SAMPLED = 100_000
LEAST = 256  # pixels; smaller images have few values by chance


def kind_remark(image: NDArray[Any], pair: Pair, name: str) -> dict[str, str]:
    """The remark that an image without a label looks like a mask, or that a labelled image does not."""
    if image.size < LEAST:
        return {}
    sample = image.reshape(-1)[:: max(image.size // MOST_SAMPLED, 1)]
    few = np.unique(sample).size <= FEW_VALUES
    if pair.label is None:
        return {MASK_LIKE: name} if few else {}
    return {} if few else {IMAGE_LIKE: name}


def check_masks_among_images(remarks: Mapping[str, Sequence[str]], folder: Path) -> None:
    """Check that no unlabelled image looks like a mask, unless labelled images do.

    Raises:
        UserError: if one does.
    """
    if MASK_LIKE not in remarks or IMAGE_LIKE not in remarks:
        return
    files = remarks[MASK_LIKE]
    raise UserError(
        f"{folder / files[0]} pairs with no image and looks like a mask (at most {FEW_VALUES} values), as "
        f"{plural(len(files), 'file')} so far: name it like its image, put it into a folder of masks "
        "(--labels FOLDER), or remove it."
    )
