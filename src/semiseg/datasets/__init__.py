"""Layouts of data sets in folders. To add one, add a file here and a line to ``LAYOUTS``."""

from pathlib import Path

from semiseg.datasets.acdc import Acdc
from semiseg.datasets.acdc_hdf5 import AcdcHdf5
from semiseg.datasets.base import Layout
from semiseg.datasets.brats import Brats
from semiseg.datasets.btcv import Btcv
from semiseg.datasets.crag import Crag
from semiseg.datasets.decathlon import Decathlon
from semiseg.datasets.dicom import Dicom
from semiseg.datasets.isic2018 import Isic2018
from semiseg.datasets.kits19 import Kits19
from semiseg.datasets.kvasir import KvasirSeg
from semiseg.datasets.listed import Listed
from semiseg.datasets.nnunet import NnUnet
from semiseg.datasets.pictures import PictureFolder
from semiseg.datasets.synapse_prepared import SynapsePrepared
from semiseg.datasets.volumes import VolumeFolder
from semiseg.errors import UserError, unknown

# The first layout that recognises a folder is used, so specific ones come before general ones.
LAYOUTS: dict[str, Layout] = {
    "manifest": Listed(),
    "acdc-hdf5": AcdcHdf5(),
    "acdc": Acdc(),
    "btcv": Btcv(),
    "synapse-prepared": SynapsePrepared(),
    "brats": Brats(),
    "kits19": Kits19(),
    "nnunet": NnUnet(),
    "decathlon": Decathlon(),
    "dicom": Dicom(),
    "volumes": VolumeFolder(),
    "kvasir-seg": KvasirSeg(),
    "isic2018": Isic2018(),
    "crag": Crag(),
    "pictures": PictureFolder(),
}
LIST = "manifest"  # the only layout whose source may be a file
FORMER = {"nifti": "volumes"}
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")


def detect(folder: Path) -> tuple[Layout, str]:
    """The layout of ``folder`` and the evidence for it, as text.

    Raises:
        UserError: if the folder does not exist or no layout matches.
    """
    check_source(folder)
    for layout in LAYOUTS.values():
        evidence = None if folder.is_file() and layout.name != LIST else layout.detect(folder)
        if evidence is not None:
            return layout, evidence
    raise UserError(
        f"{folder} has no known layout: put images (NIfTI, NRRD, MHA, PNG, JPEG, TIFF) into a folder "
        "'images' and masks of the same names into 'labels', or use another layout of "
        "'semiseg datasets'."
    )


def find_layout(source: Path, name: str | None) -> tuple[Layout, str]:
    """The layout called ``name`` or else the one that recognises ``source``, and the evidence.

    Raises:
        UserError: for an unknown name, or a source without a known layout.
    """
    return detect(source) if name is None else (named(name), "as asked for")


def named(name: str) -> Layout:
    """The layout called ``name``.

    Raises:
        UserError: if there is none.
    """
    name = FORMER.get(name, name)
    if name not in LAYOUTS:
        raise unknown("layout", name, [*LAYOUTS, *FORMER])
    return LAYOUTS[name]


def check_source(folder: Path, layout: str | None = None) -> None:
    """Check that ``folder`` can be a source of images for the layout of that name.

    Raises:
        UserError: for a missing folder, a file that is not a list, or a prepared data set.
    """
    if not folder.exists():
        raise UserError(f"{folder} does not exist: check the path.")
    if not folder.is_dir() and (layout not in (None, LIST) or LAYOUTS[LIST].detect(folder) is None):
        if folder.name.lower().endswith(ARCHIVES):
            raise UserError(f"{folder} is an archive: unpack it and give the folder.")
        raise UserError(
            f"{folder} is a file: give the folder that holds the images, or a list (.csv, .json)."
        )
    if (folder / "manifest.json").is_file() and (folder / "images").is_dir():
        raise UserError(f"{folder} is already a prepared data set: continue with 'semiseg train'.")
