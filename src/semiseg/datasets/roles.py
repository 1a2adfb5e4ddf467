"""What the names of folders and files say: images or labels, and the part of the split."""

import dataclasses
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from semiseg.data.manifest import Part
from semiseg.datasets.source_files import OfKind, files_of
from semiseg.formats import stem_of, suffixes_of

IMAGES = {"image", "images", "img", "imgs", "imaging", "scan", "scans", "volume", "volumes", "vol",
          "picture", "pictures", "photo", "photos", "frame", "frames", "original", "originals", "orig",
          "raw", "input", "inputs", "tile", "tiles", "patch", "patches", "unlabelled", "unlabeled",
          "jpegimages", "bild", "bilder",
          "imagen", "imagenes", "imágenes", "图像"}  # fmt: skip
LABELS = {"label", "labels", "lbl", "mask", "masks", "msk", "seg", "segs", "dseg", "segmentation",
          "segmentations", "gt", "gts", "truth", "groundtruth", "groundtruths", "annotation",
          "annotations", "annot", "manual", "manuals", "segmentationclass", "maske", "masken", "masque",
          "masques", "máscara", "máscaras", "标注", "掩码"}  # fmt: skip
PART_NAMES: dict[str, Part] = {
    "tr": "train", "train": "train", "training": "train",
    "va": "validation", "val": "validation", "valid": "validation", "validation": "validation",
    "ts": "test", "test": "test", "testing": "test",
}  # fmt: skip
SEPARATOR = re.compile(r"[_\-. ()\[\]]+")
GROUND_TRUTH = re.compile(r"ground[_\-. ]+truth", re.IGNORECASE)
ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)$")
LABEL_ENDING = re.compile(
    rf"[_\-. ](?:{'|'.join(sorted({*LABELS, 'labelled', 'labeled'}, key=len, reverse=True))})$",
    re.IGNORECASE,
)
IMAGE_ENDING = re.compile(r"[_\-. ](?:img|image|imaging|0000)$", re.IGNORECASE)
CHANNEL = re.compile(r"_(\d{4})$")
OF = r"[_\-. ]+(?:of|for|von|vom|zu|für|fuer|de|du|del|della|di)[_\-. ]+(?=.)"
# ImageJ names the mask of X.tif "Mask of X.tif"; file managers and clouds name a copy "Copy of X.tif".
PHRASE = re.compile(
    rf"^(?:(?:count[_\-. ]+)?(?P<label>{'|'.join(sorted(LABELS, key=len, reverse=True))}"
    rf"|ground[_\-. ]+truth|binary|drawing|lbls)|(?P<copy>copy|kopie|copie|copia)"
    rf"(?:[_\-. ]*\(\d+\))?|(?P<image>{'|'.join(sorted(IMAGES, key=len, reverse=True))})){OF}",
    re.IGNORECASE,
)
# Programs that remove one suffix leave others: cell.ome_mask of cell.ome.tif, scan.nii_seg of scan.nii.gz.
INNER_SUFFIX = re.compile(
    rf"(?:\.ome|{'|'.join(re.escape(end) for end in sorted(suffixes_of(), key=len, reverse=True))})"
    r"(?=$|[_\-. ])",
    re.IGNORECASE,
)

Role = Literal["image", "label"]


@dataclasses.dataclass(frozen=True)
class PlacedFile:
    """A file with its role and part by the names of its folders, and its other folders.

    Names are in the composed Unicode form, in which accents are equal on all systems.
    """

    path: Path
    role: Role | None
    part: Part | None
    place: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The innermost folder that names neither role nor part; empty if there is none."""
        return self.place[-1] if len(self.place) > 1 else ""

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return composed(stem_of(self.path))

    @property
    def word(self) -> str:
        """The file's name in lower case, without its suffix."""
        return self.stem.lower()


def composed(name: str) -> str:
    """``name`` in the composed Unicode form: macOS decomposes accents, other systems do not."""
    return unicodedata.normalize("NFC", name)


def role_of(name: str) -> tuple[Role | None, Part | None]:
    """Role and part in the name of a folder: ``imagesTr`` -> image, train; else (None, None)."""
    role: Role | None = None
    part: Part | None = None
    named = GROUND_TRUTH.sub("groundtruth", name).lower()
    for token in re.split(r"[_\-. ]+", named):
        word, tail = token.rstrip("0123456789"), ""
        if (
            word != token and word not in LABELS
        ):  # manual1 is a folder of labels; images2 is another
            word = token
        if ORDINAL.match(token):  # 1st_manual
            continue
        if word not in IMAGES | LABELS | PART_NAMES.keys():
            for ending in sorted(PART_NAMES, key=len, reverse=True):
                if token.endswith(ending) and token[: -len(ending)] in IMAGES | LABELS:
                    word, tail = token[: -len(ending)], ending
                    break
            else:
                return None, None  # any other word: an ordinary folder
        if word in PART_NAMES:
            part = PART_NAMES[word]
        elif word in LABELS:
            role = "label"
        elif role is None:
            role = "image"
        part = PART_NAMES.get(tail, part)
    return role, part


def placed_files(folder: Path, of_kind: OfKind) -> list[PlacedFile]:
    """The files of `files_of` with their roles and parts."""
    return [place_file(folder, path) for path in files_of(folder, of_kind)]


def place_file(folder: Path, path: Path) -> PlacedFile:
    """Role and part of a file below ``folder`` by the folders' names; the others are its place."""
    role: Role | None = None
    part: Part | None = None
    place = []
    for name in path.relative_to(folder).parts[:-1]:
        found_role, found_part = role_of(name)
        if found_role == "label" or (found_role and role is None):
            role = found_role
        part = found_part or part
        if found_role is None and found_part is None:
            place.append(composed(name))
    return PlacedFile(path, role, part, (part or "", *place))


def plain_name(name: str) -> str:
    """The name of a file with what it is at the end, and without suffixes of images inside it.

    ``Mask of a`` -> ``a_Mask``, ``Binary of a`` -> ``a_mask``, ``Copy of a`` -> ``a_Copy``, ``Image of a`` ->
    ``a``, ``a.ome_mask`` -> ``a_mask``.
    """
    name = INNER_SUFFIX.sub("", name) or name
    while (found := PHRASE.match(name)) is not None:
        label, copy = found["label"], found["copy"]
        kind = copy or (label if (label or "").lower() in LABELS else "mask" if label else "")
        name = "_".join(filter(None, (name[found.end() :], kind)))
    return name


def tokens_of(name: str) -> list[str]:
    """The words and numbers of a name, in lower case."""
    words = SEPARATOR.split(plain_name(GROUND_TRUTH.sub("groundtruth", name)).lower())
    return [token for token in words if token]


def names_label(stem: str) -> bool:
    """Whether a word for labels is in the name of a file: ``mask_00``, ``a_mask_1``, ``seg3``."""
    return any(token.rstrip("0123456789") in LABELS for token in tokens_of(stem))


def without_words(stem: str, words: Collection[str], numbers: bool = True) -> str:
    """``stem`` in lower case without ``words``: ``mask_00`` and ``img00`` -> ``00``.

    Args:
        stem: a file's name.
        words: the words to remove.
        numbers: whether a number at the end of such a word stays (``21_manual1`` -> ``21_1``).
    """
    kept = []
    for token in tokens_of(stem):
        word = token.rstrip("0123456789")
        if word not in words:
            kept.append(token)
        elif numbers and len(word) < len(token):
            kept.append(token[len(word) :])
    return "_".join(kept)
