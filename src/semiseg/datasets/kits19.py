"""KiTS19: ``data/case_00000/imaging.nii.gz`` and, for 210 of 300 cases, ``segmentation.nii.gz``.

Heller et al., The KiTS19 challenge data (2019). The first axis of the arrays is that of axial slices.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

from semiseg.data.task import Intensity
from semiseg.datasets.base import Options, Scan, SourceCase, split_of_parts, with_background
from semiseg.datasets.pairs import Pair
from semiseg.datasets.volume_reader import read_pair

CLASSES = ("kidney", "tumour")
WINDOW = (-79.0, 304.0)  # HU: Isensee and Maier-Hein, An attempt at beating the 3D U-Net (2019)


class Kits19:
    """CT scans in one folder per case."""

    name = "kits19"
    summary = "KiTS19: data/case_00000/imaging.nii.gz and segmentation.nii.gz"
    where = "github.com/neheller/kits19 (CC BY-NC-SA 4.0)"

    def detect(self, folder: Path) -> str | None:
        """Look for a case's folder with ``imaging``."""
        first = next(_images(folder), None)
        return f"it holds {first.relative_to(folder)}" if first else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """List the cases by number; those without a segmentation are unlabelled."""
        cases = []
        for image in _images(folder):
            case = image.parent.name
            mask = image.with_name(image.name.replace("imaging", "segmentation"))
            pair = Pair(case, image, mask if mask.is_file() else None, None)
            cases.append(
                SourceCase(
                    identifier=case,
                    patient=case,
                    has_label=pair.label is not None,
                    part=None,
                    source=str(image.relative_to(folder)),
                    files=pair.files,
                    read=functools.partial(read_pair, pair, 1, options.trust_grid is not None),
                )
            )
        split, notes = split_of_parts(cases, "drawn")
        return Scan(
            name="KiTS19",
            cases=tuple(cases),
            classes=with_background(options.classes or CLASSES),
            kind="volumes",
            intensity=Intensity(kind="window", low=WINDOW[0], high=WINDOW[1]),
            split=split,
            notes=notes,
        )


def _images(folder: Path) -> Iterator[Path]:
    for base in (folder / "data", folder):
        found = sorted(base.glob("case_[0-9]*/imaging.nii*"))
        if found:
            yield from found
            return
