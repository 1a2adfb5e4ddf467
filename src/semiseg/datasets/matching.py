"""Matching of labels with images by the names of files and folders."""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from semiseg.datasets.roles import (
    IMAGE_ENDING,
    IMAGES,
    LABEL_ENDING,
    LABELS,
    PART_NAMES,
    SEPARATOR,
    PlacedFile,
    plain_name,
    tokens_of,
    without_words,
)
from semiseg.errors import UserError

NUMBERED = re.compile(r"(.+)[_\-. ]+\(?\d+\)?$")


@dataclasses.dataclass(frozen=True)
class Match:
    """A label and its image.

    Attributes:
        label, image: the two files.
        word: what the label's name adds to the image's name, without words such as ``mask``: a
            number, a structure, or the whole name if both names have nothing in common.
        named: whether ``word`` comes from a folder or follows the image's name, so that it is needed to
            tell masks apart.
    """

    label: PlacedFile
    image: PlacedFile
    word: str
    named: bool = False


class PathNames:
    """Images in folders, by the names that join their folders: ``P01/day1/cine`` -> ``P01_day1_cine``."""

    def __init__(self, images: Sequence[PlacedFile]) -> None:
        """Index the images that are in folders."""
        self._images: dict[str, list[PlacedFile]] = {}
        for image in images:
            for start in range(1, len(image.place)):
                joined = "_".join((*image.place[start:], image.stem))
                self._images.setdefault("_".join(tokens_of(joined)), []).append(image)

    def find(self, stem: str) -> tuple[PlacedFile, str] | None:
        """The only image whose joined name begins ``stem``, and what follows; the longest name counts."""
        tokens = tokens_of(stem)
        for end in range(len(tokens), 1, -1):
            if found := self._images.get("_".join(tokens[:end])):
                rest = [t for t in tokens[end:] if t.rstrip("0123456789") not in LABELS]
                return (found[0], "_".join(rest)) if len(found) == 1 else None
        return None


class Matcher:
    """Finds the image of a label."""

    def __init__(
        self,
        images: Sequence[PlacedFile],
        names: Mapping[Path, str],
        spelling: Callable[[str], str] = str,
    ) -> None:
        """Index the images.

        Args:
            images: the images.
            names: the name of every file for pairing, see `pairing_names`.
            spelling: converts names to a form in which they are compared.
        """
        self.names = {path: spelling(name) for path, name in names.items()}
        self._spelling = spelling
        self._exact: dict[str, list[PlacedFile]] = {}
        self._plain: dict[str, list[PlacedFile]] = {}
        self._loose: dict[str, list[PlacedFile]] = {}
        self._looser: dict[str, list[PlacedFile]] = {}
        for image in images:
            name = self.names[image.path]
            for key in dict.fromkeys((name, IMAGE_ENDING.sub("", name))):
                self._exact.setdefault(key, []).append(image)
            if (plain := plain_name(name)) != name:
                self._plain.setdefault(plain, []).append(image)
            for key in dict.fromkeys((without_words(name, IMAGES), "_".join(tokens_of(name)))):
                self._loose.setdefault(key, []).append(image)
            looser = without_words(name, IMAGES | PART_NAMES.keys())
            self._looser.setdefault(looser, []).append(image)
        self._paths = PathNames(images)
        self._subjects: dict[str, list[PlacedFile]] = {}
        for image in images:
            if subject := entities_of(spelling(image.stem)).get("sub"):
                self._subjects.setdefault(subject, []).append(image)
        places = Counter(image.place for image in images)
        separate = len(places) == len(images) and all(image.folder for image in images)
        self._alone = {image.place: image for image in images} if separate else {}
        # scan and scan_2 are two images, so that scan_2 is not the second mask of scan
        stems = set(self._exact)
        self.numbered = any((m := NUMBERED.match(stem)) and m[1] in stems for stem in stems)

    def match(self, label: PlacedFile) -> Match | None:
        """The image of ``label``, or None.

        Raises:
            UserError: if the name fits two images.
        """
        name = self.names[label.path]
        image = self._named(label, name)
        if image is not None:
            return Match(label, image, self._word(label, image))
        if found := self._of_folder(label, name):
            return found
        if found := self._of_subject(label):
            return found
        by_prefix = self._by_prefix(label, name)
        number = ""
        loose = _nearest(label, self._loose.get(without_words(name, LABELS)))
        if loose is None:
            bare = without_words(name, LABELS | PART_NAMES.keys(), numbers=False)
            loose = _nearest(label, self._looser.get(bare)) if bare else None
            number = "".join(re.findall(r"\d+", name)[-1:]) if loose else ""
        if by_prefix is not None and loose is not None and by_prefix.image != loose:
            raise UserError(
                f"{label.path} may be a mask of {by_prefix.image.path.name} or of {loose.path.name}: give "
                "each mask the name of its image, in a folder 'masks'."
            )
        if loose is not None:
            return Match(label, loose, number)
        if by_prefix is not None:
            return by_prefix
        if found := self._of_path(label):
            return found
        alone = self._alone.get(label.place) if label.role == "label" else None
        return None if alone is None else Match(label, alone, self._word(label, alone), named=True)

    def match_longer(self, file: PlacedFile) -> Match | None:
        """The image whose name begins the longer name of ``file``, or None."""
        return self._by_prefix(file, self.names[file.path])

    def _named(self, label: PlacedFile, name: str) -> PlacedFile | None:
        """The image of the name of a label, without a word for labels at its end."""
        for own in dict.fromkeys((name, plain_name(name))):
            for key in (own, LABEL_ENDING.sub("", own)):
                if image := self._of_name(label, key):
                    return image
        return None

    def _of_name(self, label: PlacedFile, name: str) -> PlacedFile | None:
        """The image of exactly this name."""
        return _nearest(label, self._exact.get(name)) or _nearest(label, self._plain.get(name))

    def _of_folder(self, label: PlacedFile, name: str) -> Match | None:
        """``masks/NAME/anything``, or ``masks/liver/NAME``."""
        if not label.folder:
            return None
        above = dataclasses.replace(label, place=label.place[:-1])
        image = self._of_name(above, label.folder)
        if image is not None:
            return Match(label, image, self._word(label, image), named=True)
        image = self._named(above, name)
        return None if image is None else Match(label, image, label.folder, named=True)

    def _of_path(self, label: PlacedFile) -> Match | None:
        """``masks/P01_day1_cine-label`` of ``P01/day1/cine``."""
        found = self._paths.find(label.stem)
        if found is None:
            return None
        image, word = found
        if image == label or (label.part and image.part and label.part != image.part):
            return None
        return Match(label, image, word, named=True)

    def _of_subject(self, label: PlacedFile) -> Match | None:
        """The only image of the same subject, session and run, by names of BIDS."""
        stem = self._spelling(label.stem)
        entities = entities_of(stem)
        if "sub" not in entities or stem in self._exact:
            return None
        wanted = {key: entities[key] for key in ("sub", "ses", "run", "acq") if key in entities}
        images = self._subjects.get(entities["sub"], [])
        chosen = [
            image for image in images
            if wanted.items() <= entities_of(self._spelling(image.stem)).items()
        ]  # fmt: skip
        image = _nearest(label, chosen)
        return None if image is None else Match(label, image, entities.get("label", ""), named=True)

    def _by_prefix(self, label: PlacedFile, name: str) -> Match | None:
        """``NAME_liver`` or ``NAME_mask_1``: the longest name of an image that begins the name."""
        name = plain_name(name)
        ended = LABEL_ENDING.sub("", name)
        for end in range(len(ended) - 1, 0, -1):
            if not SEPARATOR.match(ended[end]):
                continue
            image = self._of_name(label, ended[:end].rstrip())
            if image is None or image.path == label.path:
                continue
            word = added_word(name, [ended[:end]])
            own = ended[end + 1 :]
            if self.numbered and own.strip("() ").isdecimal() and label.role == "label":
                return None  # the mask of an image that is missing
            return Match(label, image, word, named=True)
        return None

    def _word(self, label: PlacedFile, image: PlacedFile) -> str:
        own, name = self._spelling(image.stem), self.names[image.path]
        names = [own, name, plain_name(own), image.folder]
        stem = self._spelling(label.stem)
        return added_word(stem if stem in names else plain_name(stem), names)


def entities_of(stem: str) -> dict[str, str]:
    """The entities in a name of BIDS: ``sub-01_ses-02_T1w`` -> sub: 01, ses: 02; {} for other names."""
    if not stem.startswith("sub-"):
        return {}
    pairs = (part.partition("-") for part in stem.split("_"))
    return {key: value for key, _, value in pairs if value}


def added_word(stem: str, names: Sequence[str]) -> str:
    """What ``stem`` adds to the first of ``names`` that begins it, without words for labels."""
    rest = stem
    for name in filter(None, names):
        if stem.lower().startswith(name.lower()) and not stem[len(name) :][:1].isalnum():
            rest = stem[len(name) :]
            break
    words = []
    for token in filter(None, SEPARATOR.split(rest)):
        bare = token.rstrip("0123456789")
        words.append(token[len(bare) :] if bare.lower() in LABELS else token)
    return "_".join(filter(None, words))


def _nearest(label: PlacedFile, images: Sequence[PlacedFile] | None) -> PlacedFile | None:
    """The image whose folders are nearest to those of the label; None if two are equally near."""
    distances = [
        (away, image) for image in images or () if (away := _away(label, image)) is not None
    ]
    if not distances:
        return None
    least = min(away for away, _ in distances)
    found = [image for away, image in distances if away == least]
    return found[0] if len(found) == 1 else None


def _away(label: PlacedFile, image: PlacedFile) -> int | None:
    """How far the folders of a label are from those of an image; None if they do not belong together.

    Folders that name a role are not counted. The image may be in further folders
    (``masks/a.png``, ``photos/a.png``), and the label in a tree of ``derivatives``, as in BIDS.
    """
    (part, *above), (own_part, *own) = label.place, image.place
    if part and own_part and part != own_part:
        return None
    other = int(part != own_part)
    if above == own:
        return other
    if own[: len(above)] == above:
        return 2 * (len(own) - len(above)) + other
    if "derivatives" in above and own and above[-1] == own[-1]:
        return 100 + other
    return None


def pairing_names(files: Sequence[PlacedFile], images: Sequence[PlacedFile]) -> dict[Path, str]:
    """The name of each file for pairing: its own, or that of its case's folder.

    The folder's name is used if the file's name is generic (``P01/image``), or if every image has its
    own folder and file names repeat (``P01/t1``, ``P02/t1``).
    """
    places = [image.place for image in images]
    separate = len(set(places)) == len(places) and all(image.folder for image in images)
    repeated = len({image.word for image in images}) < len(images)
    case_folders = set(places) if separate and repeated else set()
    names = {}
    for file in files:
        specific = file.place not in case_folders and file.word not in IMAGES | LABELS
        names[file.path] = file.stem if specific or not file.folder else file.folder
    return names
