"""A case of which a file is missing or damaged: the others are prepared."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

import mask_replicas
import replicas
from consoles import Listening
from semiseg.console import Quiet
from semiseg.errors import UserError
from semiseg.workflows.prepare import prepare


def without_frames(folder: Path) -> str:
    replicas.acdc(folder)
    for path in (folder / "training" / "patient002").glob("*_frame*"):
        path.unlink()
    return "patient002 holds no frame"


def damaged_series(folder: Path) -> str:
    replicas.acdc(folder)
    path = folder / "training" / "patient002" / "patient002_4d.nii.gz"
    path.write_bytes(b"<html>")
    return "patient002_4d.nii.gz"


def series_of_three_axes(folder: Path) -> str:
    replicas.acdc(folder)
    path = folder / "training" / "patient002" / "patient002_4d.nii.gz"
    path.write_bytes(path.with_name("patient002_frame01.nii.gz").read_bytes())
    return "patient002_4d.nii.gz has 3 axes"


def without_channel(folder: Path) -> str:
    mask_replicas.brats(folder)
    (folder / "BraTS2021_00001" / "BraTS2021_00001_t1ce.nii.gz").unlink()
    return "BraTS2021_00001_t1ce.nii.gz is missing"


def without_first_channel(folder: Path) -> str:
    mask_replicas.brats(folder)
    (folder / "BraTS2021_00000" / "BraTS2021_00000_t1.nii.gz").unlink()
    return "BraTS2021_00000_t1.nii.gz is missing"


def without_last_channel(folder: Path) -> str:
    mask_replicas.brats(folder)
    (folder / "BraTS2021_00000" / "BraTS2021_00000_flair.nii.gz").unlink()
    return "BraTS2021_00000_flair.nii.gz is missing"


def without_nnunet_channel(folder: Path) -> str:
    replicas.nnunet(folder)
    (folder / "imagesTr" / "block_000_0001.nii.gz").unlink()
    return "block_000_0001.nii.gz is missing"


def test_brats_in_the_older_form(tmp_path: Path) -> None:
    mask_replicas.brats(tmp_path / "new")
    for path in sorted((tmp_path / "new").glob("*/*.nii.gz")):
        name = path.parent.name.replace("BraTS2021", "Brats18_CBICA")
        place = tmp_path / "HGG" / name
        place.mkdir(parents=True, exist_ok=True)
        path.rename(place / path.name.replace("BraTS2021", "Brats18_CBICA"))
    found = prepare(tmp_path, tmp_path / "data", console=Quiet())
    assert len(found.cases) == 7
    assert found.task.channels == 4


def test_a_code_that_brats_does_not_define_is_refused(tmp_path: Path) -> None:
    mask_replicas.brats(tmp_path / "set")
    path = tmp_path / "set" / "BraTS2021_00000" / "BraTS2021_00000_seg.nii.gz"
    image = nibabel.load(path)
    codes = np.asarray(image.dataobj)
    nibabel.save(nibabel.Nifti1Image(np.where(codes == 4, 3, codes), image.affine), path)
    with pytest.raises(UserError, match="code 3, which BraTS of this form does not define"):
        prepare(tmp_path / "set", tmp_path / "data", console=Quiet())


@pytest.mark.parametrize(
    ("damage", "options", "kept"),
    [
        (without_frames, {}, 6),
        (damaged_series, {"all_frames": True}, 17),
        (series_of_three_axes, {"all_frames": True}, 17),
        (without_channel, {}, 6),
        (without_first_channel, {}, 6),
        (without_last_channel, {}, 6),
        (without_nnunet_channel, {}, 8),
    ],
)
def test_it_is_named_and_may_be_left_out(
    tmp_path: Path, damage: Callable[[Path], str], options: dict[str, bool], kept: int
) -> None:
    source = tmp_path / "set"
    said = damage(source)
    with pytest.raises(UserError) as raised:
        prepare(source, tmp_path / "data", console=Quiet(), **options)  # type: ignore[arg-type]
    assert said in str(raised.value)
    assert "--skip-bad" in str(raised.value)
    console = Listening()
    found = prepare(source, tmp_path / "data", console=console, skip_bad=True, **options)  # type: ignore[arg-type]
    assert len(found.cases) == kept
    assert said in " ".join(console.said)
