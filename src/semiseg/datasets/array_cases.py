"""Cases of files with named arrays, as in the preprocessed data sets of benchmarks."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from semiseg.data.manifest import Part
from semiseg.data.volume import Volume
from semiseg.datasets.base import SourceCase, refused_case
from semiseg.errors import UserError
from semiseg.formats.array_format import ArrayFormat
from semiseg.formats.arrays import stack


def array_case(
    folder: Path,
    identifier: str,
    patient: str,
    part: Part | None,
    files: tuple[Path, ...],
    file_format: ArrayFormat,
    check: Callable[[], None],
) -> SourceCase:
    """A case of one file or several slices; the error of a wrong one is raised when it is read.

    Args:
        folder: the source.
        identifier, patient, part: see `SourceCase`.
        files: its files, in the order of the slices; they need not exist.
        file_format: their format.
        check: raises UserError if the files are not those of a whole case.
    """
    source = str(files[0].relative_to(folder)) if files else identifier
    try:
        check()
        has_label = file_format.has_label(files[0])
    except UserError as error:
        existing = tuple(path for path in files if path.is_file())
        return refused_case(
            identifier, patient, source, error, has_label=True, part=part, files=existing
        )
    read = functools.partial(read_stack, file_format, files, identifier)
    return SourceCase(identifier, patient, has_label, part, source, files, read)


def read_stack(file_format: ArrayFormat, paths: Sequence[Path], identifier: str) -> Volume:
    """Read one volume from its slices, or from a single file.

    Raises:
        UserError: for slices of different shapes, some slices without a label, or invalid values.
    """
    return stack([file_format.read_slices(path) for path in paths], paths, identifier)
