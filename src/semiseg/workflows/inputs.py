"""Images to segment: one file, one file per channel, or a DICOM series."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from semiseg.data.task import Task
from semiseg.data.volume import Volume
from semiseg.datasets.brats import case_of, channel_files
from semiseg.datasets.roles import CHANNEL, IMAGES, role_of
from semiseg.errors import UserError
from semiseg.files import cannot_enter
from semiseg.formats import DICOM, format_of, is_image, is_volume, stem_of, suffixes_of
from semiseg.formats.base import Format
from semiseg.formats.channels import read_channels
from semiseg.formats.dicom import Refused, Series, series_below
from semiseg.formats.dicom_pixels import read_series
from semiseg.formats.header import read_header
from semiseg.formats.stack import Uneven
from semiseg.workflows.image_files import image_files


@dataclasses.dataclass(frozen=True)
class Input:
    """One image: ``paths`` of its channels, or a DICOM ``series``, which may be refused.

    ``below``: its folder below the folder that was given, for the same place among the masks.
    """

    paths: tuple[Path, ...]
    series: Series | Refused | None = None
    below: Path = Path()

    def __str__(self) -> str:
        """The name in messages: the file, or the series (DICOM files may contain patients' names)."""
        return self.series.name if self.series else str(self.paths[0])

    @property
    def format(self) -> Format:
        """The format of its files."""
        return DICOM if self.series is not None else format_of(self.paths[0])

    @property
    def file(self) -> Path | None:
        """The file whose header is copied to the mask; None for a series."""
        return None if self.series is not None else self.paths[0]

    @property
    def stem(self) -> str:
        """The mask's name without its suffix: that of the file, without the number of its channel."""
        if self.series is not None:
            return self.series.name
        if len(self.paths) > 1:
            stem = stem_of(self.paths[0])
            return CHANNEL.sub("", stem) if CHANNEL.search(stem) else case_of(stem)
        own = "" if self.below.parts else _folder_stem(self.paths[0])
        return own or _bare_stem(self.paths[0])

    @property
    def suffix(self) -> str:
        """The suffix of its mask's name."""
        return self.format.mask_suffix(Path(self.stem) if self.series else self.paths[0])

    def read(self, task: Task) -> Volume:
        """Read the image with the channels of the task.

        Raises:
            UserError: if it cannot be read, or if it is a picture and the task has volumes (or the
                reverse), whose intensities are scaled differently.
        """
        if isinstance(self.series, Refused):
            raise self.series.why
        if self.format.kind == "picture":
            self._check_picture(task)
            return self.format.read_image(self.paths[0], task.channels)
        if task.kind != "volumes":
            raise self._other_kind("volume", task)
        if task.channels != 1 and not self.format.multichannel:
            raise UserError(
                f"{self} has one channel, but the run was trained on {task.channels}: "
                "convert its channels to NIfTI."
            )
        if self.series is not None:
            return read_series(self.series)
        if len(self.paths) == 1:
            return self.format.read_image(self.paths[0], task.channels)
        missing = next((path for path in self.paths if not path.is_file()), None)
        if missing is not None:
            raise UserError(
                f"{missing} is missing: add this file, since the run was trained on {task.channels} "
                "channels."
            )
        return read_channels(self.paths)

    def converted(self, task: Task) -> bool:
        """Whether :meth:`read` converts a colour picture to grey, or a grey one to colour."""
        if self.format.kind != "picture":
            return False
        return read_header(self.paths[0]).channels != task.channels

    def _check_picture(self, task: Task) -> None:
        header = read_header(self.paths[0])
        if (header.pages > 1) != (task.kind == "volumes"):
            raise self._other_kind("stack of pictures" if header.pages > 1 else "picture", task)
        # other scalings are measured on each image, whatever its depth
        fixed = task.intensity.kind == "window"
        if fixed and header.deep != (task.intensity.high > 255):
            depths = ("more than 8 bits per pixel", "8 bits per pixel")
            raise UserError(
                f"{self} has {depths[not header.deep]}, but the run was trained on images with "
                f"{depths[header.deep]}: convert it."
            )

    def _other_kind(self, what: str, task: Task) -> UserError:
        return UserError(
            f"{self} is a {what}, but the run was trained on {task.kind}: leave it out."
        )


Entry = Path | Series | Refused


def find_images(
    images: Sequence[Path | str],
    uneven_slices: Uneven = "refuse",
    note: Callable[[str], None] = lambda _: None,
    out: Path | None = None,
) -> list[Entry]:
    """Find the image files and DICOM series in ``images``.

    Folders are searched with their sub-folders, without masks and hidden files. A folder with DICOM
    files below it and without image files of its own is searched for series alone.

    Args:
        images: files and folders.
        uneven_slices: how to treat DICOM series whose slices are at uneven distances.
        note: called with each sentence about files that are left out, and about properties of series.
        out: a folder that is not searched: that of the masks.

    Returns:
        Files, series, and series that are refused, with the reason.

    Raises:
        UserError: if a path does not exist, cannot be read or is not an image, or if no image is found.
    """
    found: dict[Path | str, Entry] = {}
    empty = []
    for entry in map(Path, images):
        if entry.is_dir():
            dicom = DICOM.recognises(entry)
            # image files below a folder of series are usually labels
            if dicom and not _holds_images(entry):
                found |= _series(entry, uneven_slices, note)
                continue
            inside = image_files(entry, note, out)
            found |= {path: path for path in inside}
            if not inside:
                empty.append(entry)
            if dicom:
                note(f"{entry} also holds DICOM files, which are not read: give their folder.")
        elif not entry.exists():
            raise UserError(f"{entry} does not exist: name an image or a folder of images.")
        elif format_of(entry) is DICOM:
            raise UserError(f"{entry} is a single DICOM file: give the folder of its series.")
        else:
            found[entry] = entry
    if not found:
        raise UserError(
            f"No image found in {', '.join(map(str, images))}: give files that end in "
            f"{', '.join(suffixes_of())}."
        )
    for entry in empty:
        note(f"no image found in {entry}.")
    return list(found.values())


def _holds_images(folder: Path) -> bool:
    """Whether a folder itself, without its sub-folders, contains image files that are not hidden."""
    try:
        inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        cannot_enter(error)
    return any(path.is_file() and is_image(path) for path in inside)


def _series(
    folder: Path, uneven_slices: Uneven, note: Callable[[str], None]
) -> dict[Path | str, Entry]:
    """The DICOM series below a folder, by their names."""
    below = series_below(folder, uneven_slices)
    if not (below.series or below.refused):
        raise UserError(
            f"{folder} holds DICOM files but no series of slices: {' '.join(below.notes)}"
        )
    for sentence in below.notes:
        note(sentence)
    if below.segmentations:
        note(
            f"not predicted in {folder}: {len(below.segmentations):,} DICOM-SEG, which are labels."
        )
    entries: list[Series | Refused] = [*below.series, *below.refused]
    return {one.name: one for one in entries}


def as_inputs(
    found: Sequence[Entry], task: Task, folders: Sequence[Path | str] = ()
) -> list[Input]:
    """One input per image. With several channels, ``case_0000``, ``case_0001``, ... are one image.

    ``folders``: the folders in which the files were found, for `Input.below`.
    """
    roots = [Path(folder) for folder in folders if Path(folder).is_dir()]
    inputs: dict[tuple[Path, ...] | str, Input] = {}
    for entry in found:
        if isinstance(entry, Series | Refused):
            inputs[entry.name] = Input((), entry)
        else:
            paths = _channels(entry, task.channels)
            root = next((root for root in roots if entry.is_relative_to(root)), entry.parent)
            inputs[paths] = Input(paths, below=entry.parent.relative_to(root))
    return list(inputs.values())


def _channels(path: Path, count: int) -> tuple[Path, ...]:
    """The files of all channels of the image to which ``path`` belongs, or only ``path``."""
    stem = stem_of(path)
    if len(channels := channel_files(path)) == count:
        return channels
    if count == 1 or not is_volume(path) or not CHANNEL.search(stem):
        return (path,)
    names = (f"{CHANNEL.sub('', stem)}_{number:04d}" for number in range(count))
    files = tuple(path.with_name(name + path.name[len(stem) :]) for name in names)
    several = sum(file.is_file() for file in files) > 1 and path in files
    return files if several else (path,)  # the channels may be the fourth axis of one file


def _folder_stem(path: Path) -> str:
    """The folder's name where the file's is generic: ``P01`` for ``P01/image.nii.gz``; else empty."""
    folder = path.absolute().parent.name
    specific = stem_of(path).lower() not in IMAGES or role_of(folder) != (None, None)
    return "" if specific else folder


def _bare_stem(path: Path) -> str:
    """The name without ``_0000`` if the names of all volumes in the folder end so, as in nnU-Net.

    Otherwise ``_0000`` is the number of an image in a series.
    """
    stem = stem_of(path)
    if not stem.endswith("_0000") or not is_volume(path):
        return stem
    beside = (other for other in path.parent.iterdir() if is_volume(other))
    one_channel = all(stem_of(o).endswith("_0000") for o in beside if not o.name.startswith("."))
    return CHANNEL.sub("", stem) if one_channel else stem
