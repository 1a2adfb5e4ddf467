"""Small DICOM files with all fields that identify a patient, as from a clinical archive."""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

import replicas

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
SHOWN = ((220, 40, 60), (30, 200, 90))  # colours of segments
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclasses.dataclass(frozen=True)
class Person:
    """A patient whose data must not occur in any output."""

    name: str
    identifier: str
    birth: str
    accession: str

    def forbidden(self) -> list[str]:
        """Strings that must not occur."""
        return [*self.name.split("^"), self.identifier, self.birth, self.accession, "Gregory",
                "Princeton"]  # fmt: skip


def person(number: int) -> Person:
    family = ("Quimby", "Muntz", "Lovejoy", "Wiggum", "Flanders", "Szyslak", "Burns")[number % 7]
    return Person(
        f"{family}^Xaver{number}", f"MRN47110815{number}", f"194802{10 + number}",
        f"ACC998877{number}",
    )  # fmt: skip


def ct_slices(
    voxels: NDArray[np.integer], affine: NDArray[np.float64], who: Person, series: str = "",
    study: str = "",
) -> list[FileDataset]:  # fmt: skip
    """A CT series of [X, Y, Z] in HU with the affine (RAS); stored with slope 2, intercept -1024."""
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    series, study = series or generate_uid(), study or generate_uid()
    frame_of_reference = generate_uid()
    files = []
    for index in range(voxels.shape[2]):
        one = _base(who, CT, series, study)
        one.FrameOfReferenceUID = frame_of_reference
        one.InstanceNumber = index + 1
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        one.ImagePositionPatient = [f"{v:.8g}" for v in (lps @ (0, 0, index, 1))[:3]]
        cosines = [*(lps[:3, 0] / spacing[0]), *(lps[:3, 1] / spacing[1])]
        one.ImageOrientationPatient = [f"{v:.8g}" for v in cosines]
        one.PixelSpacing = [f"{spacing[1]:.8g}", f"{spacing[0]:.8g}"]
        one.SliceThickness = f"{spacing[2]:.8g}"
        one.RescaleSlope, one.RescaleIntercept, one.RescaleType = "2", "-1024", "HU"
        _pixels(one, ((voxels[..., index].T + 1024) // 2).astype(np.uint16))
        files.append(one)
    return files


def enhanced(files: list[FileDataset]) -> FileDataset:
    """The same slices as the frames of one enhanced object, in a shuffled order."""
    order = np.random.default_rng(0).permutation(len(files))
    first = files[0]
    one = _base(person(0), ENHANCED_CT, first.SeriesInstanceUID, first.StudyInstanceUID)
    one.PatientName, one.PatientID = first.PatientName, first.PatientID
    one.NumberOfFrames = len(files)
    one.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    measures, turned, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    turned.ImageOrientationPatient = first.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turned]
    one.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for index in order:
        place, values, frame = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = files[index].ImagePositionPatient
        values.RescaleSlope, values.RescaleIntercept = "2", "-1024"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [place], [values]
        frames.append(frame)
    one.PerFrameFunctionalGroupsSequence = frames
    _pixels(one, np.stack([files[index].pixel_array for index in order]))
    return one


def write(files: list[FileDataset], folder: Path, names: str = "IM{:04d}") -> None:
    """Write files in an order that differs from the order of the slices."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, index in enumerate(np.random.default_rng(1).permutation(len(files))):
        files[index].save_as(folder / names.format(number), enforce_file_format=True)


def segmentation(
    files: list[FileDataset], label: NDArray[np.uint8], names: tuple[str, ...], path: Path,
    kind: str = "BINARY",
) -> None:  # fmt: skip
    """A DICOM-SEG of [X, Y, Z] codes, one segment per name."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    described = [
        hd.seg.SegmentDescription(
            number, name, codes.SCT.Organ, codes.SCT.Liver,
            hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            display_color=hd.color.CIELabColor.from_rgb(*SHOWN[number - 1]),
        )
        for number, name in enumerate(names, 1)
    ]  # fmt: skip
    pixels = label.transpose(2, 1, 0)
    if kind == "FRACTIONAL":
        pixels = np.stack([pixels == n for n in range(1, len(names) + 1)], 3).astype(np.float32) / 2
    made = hd.seg.Segmentation(
        files, pixels, kind, described, generate_uid(), 100, generate_uid(), 1, "us", "m", "1", "1"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path)


def archive(folder: Path, label: str, patients: int = 6, ending: str = ".nii.gz") -> None:
    """One series and one localiser per patient, in folders of their names; two patients have no label.

    Args:
        folder: the folder to write.
        label: "seg" for DICOM-SEG, "file" for a label file next to the folder of the series.
        patients: number of patients.
        ending: suffix of label files; the rows of NIfTI files are mirrored, as converters do.
    """
    for number in range(patients):
        who = person(number)
        codes, affine = replicas.blocks(number), replicas.oblique(mirrored=number % 2 == 1)
        affine[:3, 2] *= -1 if number % 2 == 1 else 1  # slices are stacked in right-handed order
        files = ct_slices(2 * replicas.scan_of(codes, number), affine, who)
        place = folder / who.name.replace("^", "_") / f"CT_{who.identifier}"
        write(files, place, "IM{:04d}" if number % 2 else "slice {}.dcm")
        scout = ct_slices(np.zeros((8, 8, 1), np.int16) + 4, np.eye(4), who)
        write(scout, place.parent / "scout")
        if number >= patients - 2:
            continue
        if label == "seg":
            segmentation(files, codes, ("large", "small"), place.parent / "seg" / "1.dcm")
            continue
        mirrored = affine @ np.array(
            [[1, 0, 0, 0], [0, -1, 0, codes.shape[1] - 1], [0, 0, 1, 0], [0, 0, 0, 1]]
        )
        path = place.parent / f"{place.name}{ending}"
        write_label = replicas.save if ending.startswith(".nii") else replicas.write_volume
        write_label(path, np.flip(codes, 1), mirrored)
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "readme.txt").write_text("Exported.")


def _base(who: Person, kind: str, series: str, study: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(kind)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    one.SeriesInstanceUID, one.StudyInstanceUID = UID(series), UID(study)
    one.PatientName, one.PatientID = who.name, who.identifier
    one.PatientBirthDate, one.PatientSex = who.birth, "O"
    one.AccessionNumber, one.StudyID = who.accession, "1"
    one.ReferringPhysicianName, one.InstitutionName = "House^Gregory", "Princeton"
    one.StudyDate, one.StudyTime, one.Modality = "20200101", "120000", "CT"
    one.SeriesNumber, one.Manufacturer = 1, "us"
    return one


def _pixels(one: FileDataset, stored: NDArray[np.uint16]) -> None:
    one.Rows, one.Columns = stored.shape[-2:]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    one.PixelData = stored.tobytes()
