"""ISIC 2018, task 1: ``ISIC2018_Task1-2_Training_Input`` beside ``ISIC2018_Task1_Training_GroundTruth``.

Codella et al., Skin lesion analysis toward melanoma detection 2018. 2,594 pictures of skin lesions with a
mask ``NAME_segmentation.png`` each; licence and attribution as text files among them; folders of the
validation (100) and test (1,000) parts alike.
"""

from pathlib import Path

from semiseg.data.manifest import Part
from semiseg.datasets.base import Options, Scan
from semiseg.datasets.pairing import Found, Pair
from semiseg.datasets.pictures import scan_pictures

PARTS: dict[str, Part] = {"Training": "train", "Validation": "validation", "Test": "test"}


class Isic2018:
    """Skin lesions; the training part alone is divided 60/20/20 as in the comparisons on this set."""

    name = "isic2018"
    summary = (
        "ISIC 2018 task 1: ISIC2018_Task1-2_Training_Input, ISIC2018_Task1_Training_GroundTruth"
    )
    where = "challenge.isic-archive.com/data (CC BY-NC 4.0)"

    def detect(self, folder: Path) -> str | None:
        """The folder of training pictures."""
        there = [p for p in PARTS if (folder / f"ISIC2018_Task1-2_{p}_Input").is_dir()]
        return f"it holds ISIC2018_Task1-2_{there[0]}_Input" if there else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """Pictures of all parts that are there.

        Raises:
            UserError: as any folder of pictures.
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
