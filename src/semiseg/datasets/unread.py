"""Files that have the names of images and may be their labels, in formats that are not read."""

from collections import Counter
from pathlib import Path

from semiseg.datasets.base import Scan
from semiseg.datasets.roles import LABELS, composed, names_label, place_file, without_words
from semiseg.files import walk_files
from semiseg.formats import stem_of, suffix_of
from semiseg.text import joined, plural

ARRAYS = (".npy", ".npz", ".mat", ".h5", ".hdf5")  # also outside the folders of labels


def unread_labels(scan: Scan, folder: Path) -> str:
    """What may be the labels of images without a label, as a sentence without its end; empty if nothing.

    Args:
        scan: the content of the source.
        folder: the source.
    """
    bare = [case for case in scan.cases if not (case.has_label or case.private)]
    if not (bare and folder.is_dir()):
        return ""
    used = {path for case in scan.cases for path in case.files}
    keys = {_key(case.identifier) for case in bare} | {_key(_stem(Path(c.source))) for c in bare}
    found = [
        path
        for path in walk_files(folder)
        if path not in used and _may_be_label(folder, path) and _key(_stem(path)) in keys
    ]
    if not found:
        return ""
    suffixes = Counter(suffix_of(path) or path.suffix.lower() for path in found)
    kinds = joined([f"{count:,} {suffix}" for suffix, count in sorted(suffixes.items())])
    have = "has the name of an image" if len(found) == 1 else "have the names of images"
    wanted = (
        "images of voxels, which have a position, take labels in NIfTI, NRRD or MetaImage on their grid"
        if scan.kind == "volumes" and not _is_stack(scan)
        else "pictures take labels in PNG, TIFF or .npy"
    )
    first = found[0].relative_to(folder)
    return f"{plural(len(found), 'file')} ({kinds}, such as {first}) {have} but cannot be read: {wanted}"


def _is_stack(scan: Scan) -> bool:
    """Whether the volumes are stacks of pictures."""
    return suffix_of(Path(scan.cases[0].source)).endswith((".tif", ".tiff", ".npy"))


def _may_be_label(folder: Path, path: Path) -> bool:
    suffix = path.suffix.lower()
    if not suffix or path.name.lower().endswith((".gz", ".csv", ".txt")):
        return False
    labelled = place_file(folder, path).role == "label" or names_label(_stem(path))
    return labelled or suffix in ARRAYS


def _stem(path: Path) -> str:
    return composed(stem_of(path) if suffix_of(path) else path.stem)


def _key(name: str) -> str:
    return without_words(name, LABELS) or name.lower()
