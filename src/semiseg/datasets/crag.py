"""CRAG: ``train/Images/train_1.png`` with ``train/Annotation/train_1.png``, and the same in ``valid``.

Graham et al., MILD-Net (Medical Image Analysis 2019). 173 + 40 histology pictures of colon glands. The
annotations number the glands, so every value above 0 is gland. The folder ``Overlay`` is not read.
"""

from pathlib import Path

from semiseg.data.manifest import Part
from semiseg.datasets.base import Options, Scan
from semiseg.datasets.pairs import Found, Pair
from semiseg.datasets.pictures import scan_pictures

PARTS: dict[str, Part] = {"train": "train", "valid": "validation"}


class Crag:
    """Colon glands."""

    name = "crag"
    summary = "CRAG: train/Images/*.png and train/Annotation/*.png, the same in valid"
    where = "warwick.ac.uk, TIA Centre, page of MILD-Net (research)"

    def detect(self, folder: Path) -> str | None:
        """Look for the folders Images and Annotation in train."""
        found = all((folder / "train" / name).is_dir() for name in ("Images", "Annotation"))
        return "train holds Images and Annotation" if found else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """List the pictures of both parts.

        Raises:
            UserError: as in :func:`scan_pictures`.
        """
        pairs = []
        for word, part in PARTS.items():
            for image in sorted((folder / word / "Images").glob("*.png")):
                mask = folder / word / "Annotation" / image.name
                pairs.append(Pair(image.stem, image, mask if mask.is_file() else None, part))
        return scan_pictures(
            folder, Found(tuple(pairs), (), ()), options, "CRAG", ("gland",), (0.8, 0.1, 0.1),
            instances=True,
        )  # fmt: skip
