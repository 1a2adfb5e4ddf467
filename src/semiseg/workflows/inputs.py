"""What masks are predicted from: a file, a file a channel, or a DICOM series."""

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg.data.task import Task
from semiseg.data.volume import Volume
from semiseg.datasets.pairing import CHANNEL, IMAGES, role_of
from semiseg.errors import UserError
from semiseg.formats.array_files import (
    read_array_image,
    write_array_mask,
    write_array_probabilities,
)
from semiseg.formats.dicom import Series, holds_dicom, is_dicom, read_series, series_below
from semiseg.formats.grid import stored_order
from semiseg.formats.header import read_header
from semiseg.formats.names import (
    ARRAY_SUFFIXES,
    IMAGE_SUFFIXES,
    VOLUME_SUFFIXES,
    stem_of,
    suffix_of,
)
from semiseg.formats.nifti import write_nifti
from semiseg.formats.pictures import read_picture, write_picture_mask
from semiseg.formats.tiff import TIFF_SUFFIXES
from semiseg.formats.volumes import (
    mask_suffix,
    read_channels,
    read_volume,
    write_volume_mask,
    write_volume_probabilities,
)

DICOM_MASK = ".nii.gz"
STACK_MASK = ".tif"


@dataclasses.dataclass(frozen=True)
class Input:
    """One image: ``paths`` of its channels, or a DICOM ``series``."""

    paths: tuple[Path, ...]
    series: Series | None = None

    def __str__(self) -> str:
        """The name that people are told: the file, or the series (files may be named after people)."""
        return self.series.name if self.series else str(self.paths[0])

    @property
    def volumes(self) -> bool:
        """Whether its format is one of volumes, in contrast to pictures and stacks of them."""
        return self.arrays or self.series is not None or suffix_of(self.paths[0]) in VOLUME_SUFFIXES

    @property
    def arrays(self) -> bool:
        """Whether it is a file of arrays, such as HDF5."""
        return self.series is None and suffix_of(self.paths[0]) in ARRAY_SUFFIXES

    @functools.cached_property
    def stack(self) -> bool:
        """Whether it is a TIFF of several pages, which are slices of a volume."""
        if self.volumes or suffix_of(self.paths[0]) not in TIFF_SUFFIXES:
            return False
        with contextlib.suppress(UserError):  # which is said when its turn comes
            return read_header(self.paths[0]).pages > 1
        return False

    @property
    def stem(self) -> str:
        """The mask's name without its ending: the file's, without its channel's number."""
        if self.series is not None:
            return self.series.name
        if len(self.paths) > 1:
            return CHANNEL.sub("", stem_of(self.paths[0]))
        return _folder_stem(self.paths[0]) or _bare_stem(self.paths[0])

    @property
    def suffix(self) -> str:
        """How its mask's name ends."""
        if self.series is not None:
            return DICOM_MASK
        if self.arrays:
            return suffix_of(self.paths[0])
        if self.volumes:
            return mask_suffix(self.paths[0])
        return STACK_MASK if self.stack else ".png"

    def read(self, task: Task) -> Volume:
        """The image with the channels that the task has.

        Raises:
            UserError: where it cannot be read, or is a picture where volumes are meant or the
                reverse: their intensities are scaled in different ways.
        """
        if not self.volumes:
            return self._read_picture(task)
        if task.kind != "volumes":
            raise self._other_kind("volume", task)
        if (self.series is not None or self.arrays) and task.channels != 1:
            raise UserError(
                f"{self} has one channel, but the run was trained on {task.channels}: "
                "convert its channels to NIfTI."
            )
        if self.series is not None:
            return read_series(self.series)
        if self.arrays:
            return read_array_image(self.paths[0])
        missing = next((path for path in self.paths if not path.is_file()), None)
        if missing is not None:
            raise UserError(
                f"{missing} is missing, one of the {task.channels} channels that the run was trained "
                "on: copy it."
            )
        if len(self.paths) > 1:
            return read_channels(self.paths)
        return read_volume(self.paths[0], task.channels)

    def converted(self, task: Task) -> bool:
        """Whether :meth:`read` makes a coloured picture grey, or a grey one coloured."""
        return not self.volumes and read_header(self.paths[0]).channels != task.channels

    def _read_picture(self, task: Task) -> Volume:
        header = read_header(self.paths[0])
        if (header.pages > 1) != (task.kind == "volumes"):
            raise self._other_kind("stack of pictures" if header.pages > 1 else "picture", task)
        if header.deep != (task.intensity.kind != "window"):
            depths = ("more than 8 bits a pixel", "8 bits a pixel")
            raise UserError(
                f"{self} has {depths[not header.deep]}, but the run was trained on images with "
                f"{depths[header.deep]}: convert it."
            )
        return read_picture(self.paths[0], task.channels, header=header)

    def _other_kind(self, what: str, task: Task) -> UserError:
        return UserError(
            f"{self} is a {what}, but the run was trained on {task.kind}: leave it out."
        )

    def write_mask(self, path: Path, mask: NDArray[np.uint8], volume: Volume, classes: int) -> None:
        """Write [D, H, W] codes on the image's own grid; ``volume`` is what :meth:`read` gave.

        Raises:
            UserError: where the file cannot be written.
        """
        if self.series is not None:
            codes = stored_order(mask[None], volume.slice_axis)[..., 0]
            write_nifti(path, np.ascontiguousarray(codes), self.series.affine)
        elif self.arrays:
            write_array_mask(path, mask, self.paths[0])
        elif self.volumes:
            write_volume_mask(path, mask, self.paths[0])
        else:
            write_picture_mask(path, mask, classes)

    def write_probabilities(self, path: Path, values: NDArray[np.float32], volume: Volume) -> None:
        """Write [K, D, H, W] of a volume on its own grid.

        Raises:
            UserError: where the file cannot be written.
        """
        if self.series is not None:
            write_nifti(path, stored_order(values, volume.slice_axis), self.series.affine)
        elif self.arrays:
            write_array_probabilities(path, values, self.paths[0])
        else:
            write_volume_probabilities(path, values, self.paths[0])


def find_images(images: Sequence[Path | str]) -> list[Path | Series]:
    """Image files and DICOM series among ``images``.

    Folders are searched without their sub-folders; where one holds no image, for DICOM series at
    every depth.

    Raises:
        UserError: for a path that does not exist, a file of another kind, or nothing at all.
    """
    found: dict[Path | str, Path | Series] = {}
    for entry in map(Path, images):
        if entry.is_dir():
            inside = sorted(p for p in entry.iterdir() if p.is_file() and suffix_of(p))
            files = [p for p in inside if not p.name.startswith(".")]
            found |= {path: path for path in files}
            if not files and holds_dicom(entry):
                found |= {series.name: series for series in series_below(entry).series}
        elif not entry.exists():
            raise UserError(f"{entry} does not exist: name an image or a folder of images.")
        elif suffix_of(entry):
            found[entry] = entry
        elif is_dicom(entry):
            raise UserError(f"{entry} is a DICOM file: give the folder of its series.")
        else:
            raise UserError(f"{entry} is no image that can be read ({', '.join(IMAGE_SUFFIXES)}).")
    if not found:
        raise UserError(
            f"No image found in {', '.join(map(str, images))}: files must end in "
            f"{', '.join(IMAGE_SUFFIXES)}, and sub-folders are not searched{_hint(images)}."
        )
    return list(found.values())


def as_inputs(found: Sequence[Path | Series], task: Task) -> list[Input]:
    """One input an image: a task of several channels joins ``case_0000``, ``case_0001``, ..."""
    inputs: dict[tuple[Path, ...] | str, Input] = {}
    for entry in found:
        if isinstance(entry, Series):
            inputs[entry.name] = Input((), entry)
        else:
            paths = _channels(entry, task.channels)
            inputs[paths] = Input(paths)
    return list(inputs.values())


def _channels(path: Path, count: int) -> tuple[Path, ...]:
    """The files of all channels of the image that ``path`` is of; ``path`` alone where it is all."""
    stem = stem_of(path)
    if count == 1 or suffix_of(path) not in VOLUME_SUFFIXES or not CHANNEL.search(stem):
        return (path,)
    names = (f"{CHANNEL.sub('', stem)}_{number:04d}" for number in range(count))
    files = tuple(path.with_name(name + path.name[len(stem) :]) for name in names)
    several = sum(file.is_file() for file in files) > 1 and path in files
    return files if several else (path,)  # else the channels may be the fourth axis of one file


def _folder_stem(path: Path) -> str:
    """The folder's name where the file's says nothing: of ``P01/image.nii.gz`` ``P01``; else empty."""
    folder = path.absolute().parent.name
    told = stem_of(path).lower() not in IMAGES or role_of(folder) != (None, None)
    return "" if told else folder


def _bare_stem(path: Path) -> str:
    """The name without ``_0000`` where all volumes beside it are numbered so, as nnU-Net writes it.

    In a series of numbered images it is a number like the others.
    """
    stem = stem_of(path)
    if not stem.endswith("_0000") or suffix_of(path) not in VOLUME_SUFFIXES:
        return stem
    beside = (other for other in path.parent.iterdir() if suffix_of(other) in VOLUME_SUFFIXES)
    one_channel = all(stem_of(o).endswith("_0000") for o in beside if not o.name.startswith("."))
    return CHANNEL.sub("", stem) if one_channel else stem


def _hint(images: Sequence[Path | str]) -> str:
    """The sub-folder that was probably meant."""
    folders = [Path(entry) / "images" for entry in images]
    there = next((folder for folder in folders if folder.is_dir()), None)
    return f" (did you mean {there}?)" if there else ""
