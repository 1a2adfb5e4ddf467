"""Headers of MetaImage and NRRD: fields that SimpleITK ignores, and where the voxels lie.

SimpleITK reads numbers, axes and directions. It ignores units of length and intensity scales, and it
takes 1 mm where a header gives no voxel size.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError
from semiseg.formats import remarks
from semiseg.formats.units import MILLIMETRES

HEADER = 2**20  # bytes, far more than a header needs
NRRD_ENDINGS = (".nrrd", ".nhdr")
SPACES = ("left-posterior-superior", "lps", "right-anterior-superior", "ras",
          "left-anterior-superior", "las")  # fmt: skip
BYTES = {
    "char": 1, "uchar": 1, "signed char": 1, "unsigned char": 1, "int8": 1, "uint8": 1, "int8_t": 1,
    "uint8_t": 1, "short": 2, "ushort": 2, "short int": 2, "signed short": 2, "unsigned short": 2,
    "signed short int": 2, "unsigned short int": 2, "int16": 2, "uint16": 2, "int16_t": 2,
    "uint16_t": 2, "int": 4, "uint": 4, "signed int": 4, "unsigned int": 4, "int32": 4, "uint32": 4,
    "int32_t": 4, "uint32_t": 4, "long": 4, "ulong": 4, "long_long": 8, "ulong_long": 8,
    "longlong": 8, "ulonglong": 8, "long long": 8, "unsigned long long": 8, "long long int": 8,
    "signed long long": 8, "signed long long int": 8, "unsigned long long int": 8, "int64": 8,
    "uint64": 8, "int64_t": 8, "uint64_t": 8, "float": 4, "double": 8,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ItkHeader:
    """The fields of a MetaImage or NRRD header, with names in lower case.

    Attributes:
        path: the file.
        fields: name -> value, both without surrounding spaces.
        end: the byte after the header, where the voxels begin if they are in the same file.
    """

    path: Path
    fields: Mapping[str, str]
    end: int

    @property
    def nrrd(self) -> bool:
        """Whether the file is NRRD; else it is MetaImage."""
        return self.path.name.lower().endswith(NRRD_ENDINGS)

    def get(self, name: str) -> str:
        """The value of a field; empty if it is absent."""
        return self.fields.get(name, "")

    def true(self, name: str) -> bool:
        """Whether a field of MetaImage is true."""
        return self.get(name).lower() in ("true", "1")

    def numbers(self, name: str) -> list[float]:
        """The numbers of a field; [] if it is absent or holds anything else."""
        try:
            return [float(word) for word in self.get(name).split()]
        except ValueError:
            return []

    @property
    def sizes(self) -> list[int]:
        """The sizes of all axes, and for MetaImage that of the components of a voxel."""
        found = self.numbers("sizes" if self.nrrd else "dimsize")
        if not self.nrrd:
            found += self.numbers("elementnumberofchannels")
        return [int(size) for size in found if abs(size) < 2**62]

    @property
    def itemsize(self) -> int | None:
        """Bytes per value; None for an unknown type."""
        word = self.get("type" if self.nrrd else "elementtype").lower().removeprefix("met_")
        return BYTES.get(word.removesuffix("_array"))

    @property
    def scale(self) -> tuple[float, float]:
        """Slope and offset of intensities."""
        slope = self.numbers("elementtointensityfunctionslope") or [1.0]
        offset = self.numbers("elementtointensityfunctionoffset") or [0.0]
        return slope[0], offset[0]

    def lengths(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The unit of each world axis [3], and of each axis of the array [3], in mm.

        Raises:
            UserError: for an unknown unit.
        """
        world, own = np.ones(3), np.ones(3)
        if not self.nrrd:
            return world * self._length(self.get("distanceunits")), own
        if self.get("space directions"):
            words = re.findall(r'"([^"]*)"', self.get("space units"))
            world[: len(words[:3])] = [self._length(word) for word in words[:3]]
        else:
            words = re.findall(r'"([^"]*)"', self.get("units"))
            steps = self.numbers("spacings")
            spatial = [w for i, w in enumerate(words) if i >= len(steps) or np.isfinite(steps[i])]
            own[: len(spatial[:3])] = [self._length(word) for word in spatial[:3]]
        return world, own

    def _length(self, word: str) -> float:
        plain = word.strip().lower()
        if plain in ("", "?", "???", "none", "unknown"):
            return 1.0
        if plain not in MILLIMETRES:
            raise UserError(
                f"{self.path} gives lengths in the unknown unit '{word}': export it in mm."
            )
        return MILLIMETRES[plain]


def read_itk_header(path: Path) -> ItkHeader | None:
    """The header of a MetaImage or NRRD file; None if the file does not begin with one."""
    with path.open("rb") as file:
        start = file.read(HEADER)
    nrrd = path.name.lower().endswith(NRRD_ENDINGS)
    if nrrd and not start.startswith(b"NRRD"):
        return None
    fields: dict[str, str] = {}
    end = 0
    for line in start.splitlines(keepends=True):
        end += len(line)
        text = line.decode("utf-8", "replace").strip()
        if nrrd and not text:
            break
        if nrrd and (text.startswith("#") or ":=" in text):
            continue
        name, mark, value = text.partition(":" if nrrd else "=")
        if mark:
            fields.setdefault(_plain(name, nrrd), value.strip())
        if mark and not nrrd and name.strip().lower() == "elementdatafile":
            break
    return ItkHeader(path, fields, end) if fields else None


def _plain(name: str, nrrd: bool) -> str:
    plain = name.strip().lower()
    spaced = {"datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip",
              "oldmin": "old min", "oldmax": "old max", "blocksize": "block size"}  # fmt: skip
    return spaced.get(plain, plain) if nrrd else plain


def check_itk_fields(header: ItkHeader) -> None:
    """Check fields that SimpleITK ignores or whose error it does not explain.

    Raises:
        UserError: for fields that change the meaning of the voxels and cannot be honoured.
    """
    path = header.path
    header.lengths()  # an unknown unit
    if header.nrrd:
        steps = header.numbers("spacings")
        if header.get("old min") or header.get("old max"):
            raise UserError(
                f"{path} holds quantised values (its header has 'old min' or 'old max'): export the "
                "intensities themselves."
            )
        if header.get("type").lower() == "block":
            raise UserError(f"{path} holds blocks of bytes: save one number per voxel.")
        if header.get("encoding").lower() in ("bz2", "bzip2"):
            raise UserError(f"{path} is compressed with bzip2: save it with gzip or raw.")
    else:
        steps = header.numbers("elementspacing") or header.numbers("elementsize")
        orientation = header.get("anatomicalorientation").upper()
        placed = any(header.get(key) for key in ("transformmatrix", "rotation", "orientation"))
        if orientation.strip("?") and orientation != "RAI" and not placed:
            raise UserError(
                f"{path} gives its orientation only as AnatomicalOrientation = {orientation}, which "
                "programs ignore: export it with a TransformMatrix."
            )
        if header.get("binarydata").lower() in ("false", "0"):
            raise UserError(f"{path} holds its voxels as text: save it as binary.")
        slope, offset = header.scale
        if not (slope and np.isfinite(slope) and np.isfinite(offset)):
            raise UserError(
                f"{path} has the intensity scale {slope:g} x + {offset:g}, which loses all values: "
                "repair the header."
            )
        skip = header.get("headersize")
        local = header.get("elementdatafile").upper() == "LOCAL"
        if local and skip not in ("", "0", "-1", str(header.end)):
            raise UserError(
                f"{path} has a HeaderSize of {skip}, although its voxels follow the header: remove "
                "this line."
            )
    if any(step == 0 for step in steps):
        raise UserError(f"{path} has a voxel size of 0 mm: repair the header.")


def itk_remarks(header: ItkHeader) -> dict[str, str]:
    """Remarks on a header (see `semiseg.formats.remarks`)."""
    found = {}
    world, own = header.lengths()
    if not ((world == 1).all() and (own == 1).all()):
        found[remarks.UNITS] = header.path.name
    if header.scale != (1.0, 0.0):
        found[remarks.SCALED] = header.path.name
    if header.nrrd:
        sized = header.get("space directions") or header.get("spacings")
        space = header.get("space").lower().removesuffix("-time").removesuffix("t")
        if sized and space not in SPACES:
            found[remarks.NO_ORIENTATION] = header.path.name
    else:
        sized = header.get("elementspacing") or header.get("elementsize")
    steps = header.numbers("spacings") if header.nrrd else []
    if not sized or (len(steps) <= 3 and not np.isfinite(steps).all()):
        found[remarks.NO_SPACING] = header.path.name
    return found
