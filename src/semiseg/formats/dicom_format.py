"""The DICOM format: a folder with one series, labels as DICOM-SEG, results as NIfTI."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.formats.base import Format, Mask, Reference
from semiseg.formats.dicom import Found, Series, series_below
from semiseg.formats.dicom_files import holds_dicom, is_dicom
from semiseg.formats.dicom_match import match_segmentations
from semiseg.formats.dicom_pixels import read_series
from semiseg.formats.dicom_seg import read_segmentations
from semiseg.formats.mask_values import USUAL, MaskValues
from semiseg.formats.nifti import NIFTI


class Dicom(Format):
    """DICOM files through pydicom and highdicom (the extra ``dicom``), recognised by their content.

    The methods that read take a folder with one series. For several series, use
    :func:`semiseg.formats.dicom.series_below` and :func:`semiseg.formats.dicom_pixels.read_series`.
    """

    name = "DICOM"
    suffixes = ()
    kind = "volume"
    multichannel = False

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` is a DICOM file, or a folder that contains one."""
        return holds_dicom(path) if path.is_dir() else is_dicom(path)

    def files(self, path: Path) -> tuple[Path, ...]:
        """The files of the series below ``path``."""
        return _only_series(path)[0].files

    def read_image(self, path: Path, channels: int = 1) -> Volume:
        """Read the series below ``path``, rescaled (to HU for CT)."""
        return read_series(_only_series(path)[0])

    def read_label(self, path: Path, like: Volume) -> NDArray[np.uint8]:
        """Read the DICOM-SEG files below ``path``; the numbers of segments are the class codes."""
        series, found = _only_series(path)
        drawn = match_segmentations(found.segmentations, found.series).labels.get(series.uid)
        if not drawn:
            raise UserError(
                f"{path} contains no DICOM-SEG of its series: add one, or check the path."
            )
        codes = {name: number for one in drawn for number, name in one.segments}
        return read_segmentations(drawn, codes, series, like)

    def read_mask(self, path: Path, values: MaskValues = USUAL) -> Mask:
        """Read the DICOM-SEG files below ``path`` on the grid of their series."""
        image = self.read_image(path)
        codes = self.read_label(path, image)
        shape = np.moveaxis(codes, 0, image.slice_axis).shape
        return Mask(codes, shape, image.spacing, image.affine, image.slice_axis)

    def mask_suffix(self, path: Path) -> str:
        """Results are NIfTI files."""
        return NIFTI.mask_suffix(path)

    def write_mask(self, path: Path, mask: NDArray[np.integer[Any]], like: Reference) -> None:
        """Write NIfTI on the grid of the series."""
        NIFTI.write_mask(path, mask, like)

    def write_probabilities(
        self, path: Path, probabilities: NDArray[np.floating[Any]], like: Reference
    ) -> None:
        """Write NIfTI on the grid of the series, with the classes as the last axis."""
        NIFTI.write_probabilities(path, probabilities, like)


DICOM = Dicom()


def _only_series(folder: Path) -> tuple[Series, Found]:
    found = series_below(folder)
    if found.refused:
        raise found.refused[0].why
    if len(found.series) != 1:
        raise UserError(
            f"{folder} contains {len(found.series)} series of slices instead of one: give the folder "
            "of one series."
        )
    return found.series[0], found
