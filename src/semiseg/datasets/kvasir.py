"""Kvasir-SEG: ``images/NAME.jpg`` and ``masks/NAME.jpg``, black and white with grey JPEG edges.

Jha et al., Kvasir-SEG: a segmented polyp dataset (MMM 2020). 1,000 pictures. ``kavsir_bboxes.json``
(spelt this way) contains bounding boxes, which segmentation does not need.
"""

import dataclasses
import re
from pathlib import Path

from semiseg.datasets.base import Options, Scan
from semiseg.datasets.pictures import PictureFolder

NAME = re.compile(r"c[jk][a-z0-9]{23}\.jpg")


class KvasirSeg(PictureFolder):
    """Polyps, divided 60/20/20 as in the papers."""

    name = "kvasir-seg"
    summary = "Kvasir-SEG: images/*.jpg, masks/*.jpg, kavsir_bboxes.json"
    where = "datasets.simula.no/kvasir-seg (research and education)"

    def detect(self, folder: Path) -> str | None:
        """Look for the file of boxes, or for file names of this data set."""
        if not ((folder / "images").is_dir() and (folder / "masks").is_dir()):
            return None
        if (folder / "kavsir_bboxes.json").is_file():
            return "it holds images, masks and kavsir_bboxes.json"
        first = next(iter(sorted(path.name for path in (folder / "images").glob("*.jpg"))), "")
        return f"names such as {first} are those of Kvasir-SEG" if NAME.fullmatch(first) else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """List the pictures with the class ``polyp``."""
        named = dataclasses.replace(options, classes=options.classes or ("polyp",))
        return dataclasses.replace(
            super().scan(folder, named), name="Kvasir-SEG", parts=(0.6, 0.2, 0.2)
        )
