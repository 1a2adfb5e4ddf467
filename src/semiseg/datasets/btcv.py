"""Synapse / BTCV as downloaded: ``RawData/Training/`` with ``img/img0001.nii.gz`` and labels.

Landman et al., MICCAI multi-atlas labeling beyond the cranial vault (2015). 30 abdominal CT scans with
labels of 13 organs, of which published comparisons use eight, and 20 scans without labels.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

from semiseg.data.manifest import Split
from semiseg.data.task import Intensity
from semiseg.datasets.base import Options, Scan, SourceCase, with_background
from semiseg.datasets.pairs import Pair
from semiseg.datasets.volume_reader import read_pair
from semiseg.formats import stem_of

# name -> code in the files, in the order of the papers' class codes
ORGANS = {
    "aorta": 8, "gallbladder": 4, "left kidney": 3, "right kidney": 2, "liver": 6, "pancreas": 11,
    "spleen": 1, "stomach": 7,
}  # fmt: skip
WINDOW = (-125.0, 275.0)  # HU, as in TransUNet's preprocessed data
TRAIN = (5, 6, 7, 9, 10, 21, 23, 24, 26, 27, 28, 30, 31, 33, 34, 37, 39, 40)
TEST = (1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38)


class Btcv:
    """Numbered CT scans and labels."""

    name = "btcv"
    summary = (
        "Synapse/BTCV as downloaded: RawData/Training/img/img0001.nii.gz, label/label0001.nii.gz"
    )
    where = "synapse.org, project syn3193805 (registration; its own terms of use)"

    def detect(self, folder: Path) -> str | None:
        """Look for ``img0001`` with ``label0001``."""
        first = next((pair.image for pair in _pairs(folder) if pair.label), None)
        return f"it holds {first.relative_to(folder)} and its label" if first else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """List the scans; the split is that of the papers if all 30 labelled scans exist."""
        pairs = list(_pairs(folder))
        cases = tuple(
            SourceCase(
                identifier=pair.identifier,
                patient=pair.identifier,
                has_label=pair.label is not None,
                part=None,
                source=str(pair.image.relative_to(folder)),
                files=pair.files,
                read=functools.partial(read_pair, pair, 1, options.trust_grid is not None),
            )
            for pair in pairs
        )
        labelled = {case.identifier for case in cases if case.has_label}
        split = None
        train, test = (tuple(f"case{n:04d}" for n in numbers) for numbers in (TRAIN, TEST))
        unlabelled = tuple(case.identifier for case in cases if not case.has_label)
        notes = [
            "the classes are the papers' eight of the 13 organs (--classes CODE=NAME changes them)."
        ]
        if labelled == {*train, *test}:
            split = Split(train=(*train, *unlabelled), test=test, origin="the papers' 18 and 12")
            if unlabelled:
                notes.append(
                    f"{len(unlabelled)} scans without labels serve as unlabelled training images, which "
                    "the papers do not use (move them away to match the papers)."
                )
        return Scan(
            name="BTCV",
            cases=cases,
            classes=with_background(options.classes or tuple(ORGANS)),
            kind="volumes",
            intensity=Intensity(kind="window", low=WINDOW[0], high=WINDOW[1]),
            codes=None
            if options.classes
            else {code: i for i, code in enumerate(ORGANS.values(), 1)},
            split=split,
            notes=tuple(notes),
        )


def _pairs(folder: Path) -> Iterator[Pair]:
    for image in sorted(folder.glob("**/img/img[0-9][0-9][0-9][0-9].nii*")):
        number = stem_of(image)[3:]
        label = image.parent.parent / "label" / image.name.replace("img", "label", 1)
        yield Pair(f"case{number}", image, label if label.is_file() else None, None)
