"""Volumes in every layout and format: prepare, train, evaluate, predict, compare."""

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

import dicom_files
import replicas
from semiseg.console import Quiet
from semiseg.data.manifest import Manifest
from semiseg.datasets import detect
from semiseg.datasets.base import Options
from semiseg.errors import UserError
from semiseg.formats.dicom import series_below
from semiseg.testing.data import small_settings
from semiseg.workflows.compare import compare
from semiseg.workflows.evaluate import evaluate
from semiseg.workflows.predict import PredictResult, predict
from semiseg.workflows.prepare import prepare
from semiseg.workflows.train import train


def trained(source: Path, base: Path, layout: str) -> Path:
    manifest: Manifest = prepare(source, base / "data", console=Quiet())
    assert manifest.layout == layout
    settings = [*small_settings("supervised"), "training.iterations=3"]
    train(base / "data", base / "run", method="supervised", labelled="1", settings=settings,
          console=Quiet())  # fmt: skip
    assert evaluate(base / "run", on="test", console=Quiet()).cases > 0
    return base / "run"


def predicted(run: Path, images: Path, out: Path) -> PredictResult:
    return predict(run, [images], out, console=Quiet())


def masks_in(folder: Path) -> list[str]:
    names = {path.name for path in folder.glob("[!.]*")}
    return sorted(names - {"predictions.csv"})


@pytest.mark.parametrize(
    ("write", "layout", "images", "masks"),
    [
        (replicas.nnunet, "nnunet", "imagesTs", ["block_007.nii.gz", "block_008.nii.gz"]),
        (
            lambda folder: replicas.nnunet(folder, ending=".mha"),
            "nnunet", "imagesTs", ["block_007.mha", "block_008.mha"],
        ),
        (replicas.decathlon, "decathlon", "imagesTs", ["block_005.nii.gz"]),
        (replicas.volumes, "volumes", "images", [f"block_{n}.nrrd" for n in range(5)]),
        (
            lambda folder: replicas.volumes(folder, ".mhd"),
            "volumes", "images", [f"block_{n}.mha" for n in range(5)],
        ),
    ],
    ids=["nnunet", "nnunet-mha", "decathlon", "nrrd", "mhd"],
)  # fmt: skip
def test_the_whole_way(
    tmp_path: Path, write: Callable[[Path], None], layout: str, images: str, masks: list[str]
) -> None:
    source = tmp_path / "source"
    write(source)
    run = trained(source, tmp_path, layout)
    assert predicted(run, source / images, tmp_path / "masks").written == len(masks)
    assert masks_in(tmp_path / "masks") == masks
    inputs = sorted(p for p in (source / images).glob("[!.]*") if p.suffix not in (".raw", ".zraw"))
    step = len(inputs) // len(masks)  # files per case
    for name, image in zip(masks, inputs[::step], strict=True):
        mask, original = (
            SimpleITK.ReadImage(str(tmp_path / "masks" / name)),
            SimpleITK.ReadImage(str(image)),
        )
        assert mask.GetSize() == original.GetSize()[:3]
        np.testing.assert_allclose(mask.GetOrigin(), original.GetOrigin()[:3], atol=1e-4)
        np.testing.assert_allclose(mask.GetSpacing(), original.GetSpacing()[:3], atol=1e-4)
        if mask.GetDimension() == original.GetDimension():
            np.testing.assert_allclose(mask.GetDirection(), original.GetDirection(), atol=1e-5)


def test_masks_of_any_format_are_compared(tmp_path: Path) -> None:
    replicas.volumes(tmp_path / "set", ".nrrd", 3)
    for number in range(3):
        label = replicas.blocks(number)
        other = tmp_path / "masks" / f"block_{number}.nii.gz"
        replicas.save(other, label if number else label * 0, replicas.oblique())
    summary = compare(tmp_path / "masks", tmp_path / "set" / "labels", console=Quiet())
    assert summary.cases == 3
    of = {row.case: row.dice for row in summary.scores if row.code == 1}
    assert of == {"block_0": 0.0, "block_1": 1.0, "block_2": 1.0}
    moved = replicas.oblique()
    moved[2, 3] += 3
    replicas.write_volume(tmp_path / "masks" / "block_1.mha", replicas.blocks(1), moved)
    (tmp_path / "masks" / "block_1.nii.gz").unlink()
    summary = compare(tmp_path / "masks", tmp_path / "set" / "labels", console=Quiet())
    assert "block_1.mha lies up to 3 mm away" in summary.failed["block_1"]


def test_a_missing_channel_spoils_one_image_only(tmp_path: Path) -> None:
    replicas.nnunet(tmp_path / "set", testing=3)
    run = trained(tmp_path / "set", tmp_path, "nnunet")
    (tmp_path / "set" / "imagesTs" / "block_008_0001.nii.gz").unlink()
    result = predicted(run, tmp_path / "set" / "imagesTs", tmp_path / "masks")
    assert result.written == 2
    (problem,) = result.failed
    assert "block_008_0000.nii.gz" in problem  # one channel instead of two
    (tmp_path / "set" / "imagesTr" / "block_000_0001.nii.gz").unlink()
    with pytest.raises(UserError, match="is missing, channel 1"):
        prepare(tmp_path / "set", tmp_path / "again", console=Quiet())


def test_names_of_one_channel_follow_the_folder(tmp_path: Path) -> None:
    from semiseg.data.task import Intensity, Task
    from semiseg.workflows.inputs import as_inputs, find_images

    task = Task(name="x", kind="volumes", channels=1, classes=("background", "a"),
                intensity=Intensity(kind="minmax"), median_shape=(1, 1, 1))  # fmt: skip
    for name in ("a_0000.nii.gz", "b_0000.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    named = [image.stem for image in as_inputs(find_images([tmp_path]), task)]
    assert named == ["a", "b"]  # as nnU-Net names its masks
    (tmp_path / "a_0001.nii.gz").write_bytes(b"")
    named = [image.stem for image in as_inputs(find_images([tmp_path]), task)]
    assert named == ["a_0000", "a_0001", "b_0000"]  # separate numbered images


def test_a_mask_is_named_by_the_folder_where_the_file_says_nothing(tmp_path: Path) -> None:
    from semiseg.workflows.inputs import Input

    named = {
        "P1/image.nii.gz": "P1", "P1/IMG.PNG": "P1", "P1/t1.nii.gz": "t1",
        "P1/images/image.nii.gz": "image", "test/scan.png": "scan",
    }  # fmt: skip
    assert {name: Input((tmp_path / name,)).stem for name in named} == named


def test_synapse_the_whole_way(tmp_path: Path) -> None:
    replicas.synapse_prepared(tmp_path / "Synapse", (5, 6, 7, 9), (1, 2))
    run = trained(tmp_path / "Synapse", tmp_path, "synapse-prepared")
    assert evaluate(run, on="test", console=Quiet()).cases == 2


def test_cases_can_be_read_in_another_process(tmp_path: Path) -> None:
    replicas.nnunet(tmp_path / "nnunet", 2, 0)
    replicas.decathlon(tmp_path / "decathlon", 2)
    replicas.volumes(tmp_path / "volumes", cases=2)
    replicas.synapse_prepared(tmp_path / "synapse", (5,), (1,))
    dicom_files.archive(tmp_path / "dicom", "seg", 3)
    (tmp_path / "volumes" / "list.csv").write_text("image\nimages/block_0.nrrd\n")
    sources = [path for path in tmp_path.iterdir() if path.is_dir()]
    for source in (*sources, tmp_path / "volumes" / "list.csv"):
        case = detect(source)[0].scan(source, Options()).cases[0]
        again = pickle.loads(pickle.dumps(case))
        np.testing.assert_array_equal(again.read().image, case.read().image)


def test_dicom_has_one_channel(tmp_path: Path) -> None:
    replicas.decathlon(tmp_path / "set", 7)
    run = trained(tmp_path / "set", tmp_path, "decathlon")
    files = dicom_files.ct_slices(np.ones((6, 6, 3), np.int16), np.eye(4), dicom_files.person(1))
    dicom_files.write(files, tmp_path / "dicom")
    (problem,) = predicted(run, tmp_path / "dicom", tmp_path / "masks").failed
    assert "has one channel, but the run was trained on 2" in problem


def test_a_list_the_whole_way(tmp_path: Path) -> None:
    replicas.volumes(tmp_path / "set", ".nrrd", 7)
    lines = ["image,label,patient,part"]
    for number in range(7):
        label = "" if number == 4 else f"labels/block_{number}.nrrd"
        part = "test" if number > 4 else "train"
        lines.append(f"images/block_{number}.nrrd,{label},p{number},{part}")
    path = tmp_path / "set" / "cases.csv"
    path.write_text("\n".join(lines))
    run = trained(path, tmp_path, "manifest")
    assert predicted(run, tmp_path / "set" / "images", tmp_path / "masks").written == 7


@pytest.mark.parametrize("label", ["seg", "file"])
def test_dicom_the_whole_way_and_nobody_is_named(
    tmp_path: Path, label: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out, masks = tmp_path / "archive", tmp_path / "prepared", tmp_path / "masks"
    dicom_files.archive(source, label, patients=7)
    prepare(source, out)
    settings = [*small_settings("supervised"), "training.iterations=3"]
    train(out, tmp_path / "run", method="supervised", labelled="1", settings=settings)
    assert evaluate(tmp_path / "run", on="test").cases > 0
    broken = dicom_files.ct_slices(np.ones((6, 6, 3), np.int16), np.eye(4), dicom_files.person(1))
    broken[1].PixelData = b"1234"
    dicom_files.write(broken, source / dicom_files.person(1).name)
    gap = dicom_files.ct_slices(np.ones((6, 6, 9), np.int16), np.eye(4), dicom_files.person(2))
    dicom_files.write([*gap[:3], *gap[4:]], source / dicom_files.person(2).name)
    result = predict(tmp_path / "run", [source], masks)
    assert result.written == 7
    assert len(result.failed) == 2  # reported and skipped
    assert "gap of 2 mm" in "".join(result.failed)
    for series in series_below(source).series:
        written = masks / f"{series.name}.nii.gz"
        if series.uid == broken[0].SeriesInstanceUID:
            assert not written.exists()
            continue
        mask = nibabel.load(written)
        np.testing.assert_allclose(mask.affine, series.affine, atol=1e-4)
        assert mask.shape == (26, 24, 5)
    printed = capfd.readouterr()
    assert printed.out.count("left out: single slices beside series of several slices (7)") == 2
    said = printed.out + printed.err + " ".join(result.failed)
    secrets = [secret for n in range(7) for secret in dicom_files.person(n).forbidden()]
    assert "patient-001" in (out / "manifest.json").read_text()
    for folder in (out, masks, tmp_path / "run"):
        for path in folder.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            if path.name.endswith(".gz"):
                content = gzip.decompress(content)
            said += str(path.relative_to(tmp_path)) + content.decode("latin-1")
    assert not [secret for secret in secrets if secret.lower() in said.lower()]
