"""Which files are images, by their names."""

from pathlib import Path

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
VOLUME_SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
ARRAY_SUFFIXES = (".h5", ".npy.h5", ".npz")  # as this field's own sets come: without geometry
IMAGE_SUFFIXES = VOLUME_SUFFIXES + PICTURE_SUFFIXES + ARRAY_SUFFIXES


def suffix_of(path: Path) -> str:
    """The image suffix in lower case (``.nii.gz`` as a whole), or an empty string."""
    name = path.name.lower()
    return next((s for s in sorted(IMAGE_SUFFIXES, key=len, reverse=True) if name.endswith(s)), "")


def stem_of(path: Path) -> str:
    """The file's name without its image suffix."""
    return path.name[: len(path.name) - len(suffix_of(path))]
