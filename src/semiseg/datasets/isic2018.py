"""ISIC 2018, task 1: ``ISIC2018_Task1-2_Training_Input`` and ``ISIC2018_Task1_Training_GroundTruth``.

Codella et al., Skin lesion analysis toward melanoma detection 2018. 2,594 pictures of skin lesions,
each with a mask ``NAME_segmentation.png``, and text files of licence and attribution. The folders of
the validation (100) and test (1,000) parts have the same structure.
"""

from pathlib import Path

from semiseg.data.manifest import Part
from semiseg.datasets.base import Options, Scan
from semiseg.datasets.pairs import Found, Pair
from semiseg.datasets.pictures import scan_pictures

PARTS: dict[str, Part] = {"Training": "train", "Validation": "validation", "Test": "test"}


class Isic2018:
    """Skin lesions. If only the training part exists, it is divided 60/20/20 as in the papers."""

    name = "isic2018"
    summary = (
        "ISIC 2018 task 1: ISIC2018_Task1-2_Training_Input, ISIC2018_Task1_Training_GroundTruth"
    )
    where = "challenge.isic-archive.com/data (CC BY-NC 4.0)"

    def detect(self, folder: Path) -> str | None:
        """Look for the folder of pictures of any part."""
        found = [p for p in PARTS if (folder / f"ISIC2018_Task1-2_{p}_Input").is_dir()]
        return f"it holds ISIC2018_Task1-2_{found[0]}_Input" if found else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """List the pictures of all existing parts.

        Raises:
            UserError: as in :func:`scan_pictures`.
        """
        pairs = []
        for word, part in PARTS.items():
            masks = folder / f"ISIC2018_Task1_{word}_GroundTruth"
            for image in sorted((folder / f"ISIC2018_Task1-2_{word}_Input").glob("ISIC_*.jpg")):
                mask = masks / f"{image.stem}_segmentation.png"
                pairs.append(Pair(image.stem, image, mask if mask.is_file() else None, part))
        return scan_pictures(
            folder, Found(tuple(pairs), (), ()), options, "ISIC 2018 task 1", ("lesion",),
            (0.6, 0.2, 0.2),
        )  # fmt: skip
