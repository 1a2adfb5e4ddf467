"""BraTS as downloaded: ``BraTS2021_00000/BraTS2021_00000_flair.nii.gz`` and ``..._seg.nii.gz``.

There are four channels, one file each. Baid et al., The RSNA-ASNR-MICCAI BraTS 2021 benchmark. From
2023 on the names are ``BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz`` with the number of the
visit at their end, and the enhancing tumour has the code 3 instead of 4.
"""

import dataclasses
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from semiseg.datasets.base import Options, Scan, patient_of
from semiseg.datasets.pairs import Found, Pair
from semiseg.datasets.volumes import scan_volumes
from semiseg.errors import UserError
from semiseg.formats import stem_of, suffix_of

# channels in the older and in the newer names
CHANNELS = (("t1", "t1ce", "t2", "flair"), ("t1n", "t1c", "t2w", "t2f"))
NAME = "[Bb]ra[Tt][Ss]"  # Brats18 until 2018
CLASSES = ("necrotic core", "oedema", "enhancing tumour")
VISIT = re.compile(r"^(BraTS-\w+-\d+)-\d+$")


class Brats:
    """Brain tumours in four channels, one folder per case."""

    name = "brats"
    summary = "BraTS as downloaded: BraTS2021_00000/BraTS2021_00000_flair.nii.gz (t1, t1ce, t2, flair, seg)"
    where = "synapse.org (registration; its own terms of use)"

    def detect(self, folder: Path) -> str | None:
        """Look for a case's folder with its last channel."""
        first = next(_cases(folder), None)
        return f"it holds {first[0].relative_to(folder)} with four channels" if first else None

    def scan(self, folder: Path, options: Options) -> Scan:
        """List the cases; those without a segmentation are unlabelled.

        A case without one of its channels raises the reason when it is read.
        """
        pairs, files, codes = [], {}, {1: 1, 2: 2, 3: 3}
        for case, separator, names in _cases(folder):
            found = {stem_of(path): path for path in sorted(case.glob("*.nii*"))}
            ending = suffix_of(next(iter(found.values())))
            stems = [f"{case.name}{separator}{name}" for name in names]
            channels = tuple(found.get(stem, case / f"{stem}{ending}") for stem in stems)
            label = found.get(f"{case.name}{separator}seg")
            pairs.append(Pair(case.name, channels[0], label, None))
            files[channels[0]] = channels
            if names is CHANNELS[0]:
                codes = {1: 1, 2: 2, 4: 3}
        scan = scan_volumes(
            folder, Found(tuple(pairs), (), ()), options, name="BraTS",
            classes=("background", *CLASSES), images=functools.partial(_files, files),
        )  # fmt: skip
        return _with_visits(scan, options, None if options.classes else codes)


def channel_files(path: Path) -> tuple[Path, ...]:
    """The four channels of the case whose channel ``path`` is, in their order; () for other files."""
    stem, ending = stem_of(path), suffix_of(path)
    for names in CHANNELS:
        name = next((n for n in names if stem.endswith((f"_{n}", f"-{n}"))), None)
        if name is None:
            continue
        files = tuple(path.with_name(f"{stem[: -len(name)]}{other}{ending}") for other in names)
        if all(file.is_file() for file in files):
            return files
    return ()


def case_of(stem: str) -> str:
    """The name of a case in that of its channel: ``BraTS2021_00000_t1`` -> ``BraTS2021_00000``."""
    return re.sub(rf"[_\-](?:{'|'.join(name for names in CHANNELS for name in names)})$", "", stem)


def _files(files: dict[Path, tuple[Path, ...]], pair: Pair) -> tuple[Path, ...]:
    missing = next((path for path in files[pair.image] if not path.is_file()), None)
    if missing is not None:
        raise UserError(f"{missing} is missing: copy it, or leave that case out.")
    return files[pair.image]


def _with_visits(scan: Scan, options: Options, codes: dict[int, int] | None) -> Scan:
    """The scan with the visits of a patient as one patient, and the codes of the classes."""
    cases = []
    for case in scan.cases:
        visit = VISIT.match(case.identifier)
        patient = visit[1] if visit and options.patient_pattern is None else patient_of(
            case.identifier, options.patient_pattern
        )  # fmt: skip
        cases.append(dataclasses.replace(case, patient=patient))
    return dataclasses.replace(scan, cases=tuple(cases), codes=codes, every_code=codes is not None)


def _cases(folder: Path) -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    """The folders of cases, the separator in the names of their files, and the channels."""
    for case in sorted({path.parent for path in folder.glob(f"**/{NAME}*/{NAME}*.nii*")}):
        stems = {stem_of(path) for path in case.glob("*.nii*")}
        counts = {
            (separator, names): sum(f"{case.name}{separator}{name}" in stems for name in names)
            for names in CHANNELS
            for separator in "_-"
        }
        (separator, names), count = max(counts.items(), key=lambda item: item[1])
        if count > 1:  # one alone may be missing too; a single file is another layout
            yield case, separator, names
