"""Replicas of official data sets in their downloaded form: prepare, train, evaluate, predict."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

import replicas
from semiseg.console import Quiet
from semiseg.data.manifest import Manifest, PreparedData
from semiseg.datasets import btcv, detect
from semiseg.errors import UserError
from semiseg.testing.data import small_settings
from semiseg.workflows.evaluate import evaluate
from semiseg.workflows.predict import predict
from semiseg.workflows.prepare import prepare
from semiseg.workflows.train import train


def prepared(source: Path, out: Path, **options: object) -> Manifest:
    return prepare(source, out, console=Quiet(), **options)  # type: ignore[arg-type]


def test_acdc_as_downloaded(tmp_path: Path) -> None:
    replicas.acdc(tmp_path / "ACDC" / "database")
    for source in (tmp_path / "ACDC", tmp_path / "ACDC" / "database"):
        layout, evidence = detect(source)
        assert layout.name == "acdc"
        assert "patient001 holds Info.cfg" in evidence
    manifest = prepared(tmp_path / "ACDC", tmp_path / "data")
    assert manifest.task.classes == ("background", "RV", "Myo", "LV")
    assert len(manifest.cases) == 8
    assert all(case.labelled for case in manifest.cases)
    assert manifest.split.train == ("patient001", "patient002", "patient003")
    assert manifest.split.test == ("patient101",)
    assert manifest.cases[0].shape == (3, 1, 30, 26)
    assert "--all-frames" in " ".join(manifest.notes)


def test_frames_without_annotation_are_unlabelled_images(tmp_path: Path) -> None:
    replicas.acdc(tmp_path / "ACDC")
    manifest = prepared(tmp_path / "ACDC", tmp_path / "data", all_frames=True)
    of_first = [c for c in manifest.cases if c.patient == "patient001"]
    assert {c.identifier: c.labelled for c in of_first} == {
        "patient001_frame01": True, "patient001_frame02": False, "patient001_frame03": False,
        "patient001_frame04": True, "patient001_frame05": False,
    }  # fmt: skip
    series = nibabel.load(tmp_path / "ACDC" / "training" / "patient001" / "patient001_4d.nii.gz")
    data = PreparedData(tmp_path / "data")
    for index in range(5):
        expected = np.moveaxis(np.asarray(series.dataobj)[..., index], 2, 0)[:, None]
        np.testing.assert_array_equal(data.image(f"patient001_frame{index + 1:02d}"), expected)
    affines = {c.affine for c in of_first}
    assert len(affines) == 1  # the same for the series and the frames


def test_the_papers_split_of_acdc(tmp_path: Path) -> None:
    replicas.acdc(tmp_path / "ACDC", patients=100, frames=2)
    manifest = prepared(tmp_path / "ACDC", tmp_path / "data", split="acdc-papers")
    split = manifest.split
    assert [len(split.train), len(split.validation), len(split.test)] == [70, 10, 20]
    assert split.labelled_order is not None
    assert split.labelled_order[0] == "patient099"
    assert set(split.labelled_order) == set(split.train)
    assert any("in no part of the split: 1 patient." in note for note in manifest.notes)
    with pytest.raises(UserError, match="did you mean 'acdc-papers'"):
        prepared(tmp_path / "ACDC", tmp_path / "other", split="acdc-paper")


def test_acdc_without_a_frame_says_so(tmp_path: Path) -> None:
    replicas.acdc(tmp_path / "ACDC", patients=2)
    for path in (tmp_path / "ACDC" / "training" / "patient002").glob("*frame*"):
        path.unlink()
    with pytest.raises(UserError, match="patient002 holds no frame such as patient002_frame01"):
        prepared(tmp_path / "ACDC", tmp_path / "data")


def test_kits19_as_downloaded(tmp_path: Path) -> None:
    replicas.kits19(tmp_path / "kits19")
    for source in (tmp_path / "kits19", tmp_path / "kits19" / "data"):
        assert detect(source)[0].name == "kits19"
    manifest = prepared(tmp_path / "kits19", tmp_path / "data")
    assert manifest.task.classes == ("background", "kidney", "tumour")
    assert [c.labelled for c in manifest.cases] == [True, True, True, False]
    assert manifest.cases[0].shape == (5, 1, 28, 30)  # axial slices, 3 mm apart
    assert manifest.cases[0].spacing == (3.0, 0.8, 0.8)
    assert manifest.task.intensity.kind == "window"


def test_kidney_and_tumour_become_one(tmp_path: Path) -> None:
    """PLGCL's reading of KiTS19."""
    replicas.kits19(tmp_path / "kits19")
    prepared(tmp_path / "kits19", tmp_path / "both")
    merged = prepared(tmp_path / "kits19", tmp_path / "one", classes=["1=kidney", "2=kidney"])
    assert merged.task.classes == ("background", "kidney")
    both, one = (PreparedData(tmp_path / name).label("case_00001") for name in ("both", "one"))
    np.testing.assert_array_equal(one, both > 0)


def test_btcv_as_downloaded(tmp_path: Path) -> None:
    numbers = tuple(sorted((*btcv.TRAIN, *btcv.TEST)))
    assert numbers == (*range(1, 11), *range(21, 41))
    replicas.btcv(tmp_path / "BTCV", numbers, testing=(61, 62))
    assert detect(tmp_path / "BTCV")[0].name == "btcv"
    manifest = prepared(tmp_path / "BTCV", tmp_path / "data")
    assert manifest.task.classes == ("background", *btcv.ORGANS)
    assert len(manifest.split.train) == 18 + 2
    assert manifest.split.test[:2] == ("case0001", "case0002")
    assert any("5, 9, 10, 12, 13" in note for note in manifest.notes)
    source = nibabel.load(tmp_path / "BTCV/RawData/Training/label/label0005.nii.gz")
    codes = np.moveaxis(np.asarray(source.dataobj), 2, 0)
    label = PreparedData(tmp_path / "data").label("case0005")
    for code, organ in enumerate(manifest.task.foreground, 1):
        np.testing.assert_array_equal(label == code, codes == btcv.ORGANS[organ])


def test_a_part_of_btcv_is_split_anew(tmp_path: Path) -> None:
    replicas.btcv(tmp_path / "BTCV", (1, 2, 3, 5, 6, 7))
    manifest = prepared(tmp_path / "BTCV", tmp_path / "data", classes=["6=liver"])
    assert manifest.task.classes == ("background", "liver")
    assert sorted((*manifest.split.train, *manifest.split.validation, *manifest.split.test)) == [
        "case0001", "case0002", "case0003", "case0005", "case0006", "case0007"
    ]  # fmt: skip


def test_kvasir_as_downloaded(tmp_path: Path) -> None:
    replicas.kvasir(tmp_path / "Kvasir-SEG")
    assert detect(tmp_path / "Kvasir-SEG")[0].name == "kvasir-seg"
    manifest = prepared(tmp_path / "Kvasir-SEG", tmp_path / "data")
    assert manifest.task.classes == ("background", "polyp")
    assert [len(part) for part in (manifest.split.train, manifest.split.validation,
                                   manifest.split.test)] == [6, 2, 2]  # fmt: skip
    data = PreparedData(tmp_path / "data")
    for number in range(10):
        _, disc = replicas.photograph(number, 40 + number, 52)
        label = data.label(f"cju0qkwl35piu0993l0dewe{number:02d}")[0]
        assert np.mean((label > 0) == disc) > 0.98  # lossy edges, thresholded at half
    (tmp_path / "Kvasir-SEG" / "kavsir_bboxes.json").unlink()
    layout, evidence = detect(tmp_path / "Kvasir-SEG")
    assert layout.name == "kvasir-seg"
    assert "cju0qkwl35piu0993l0dewe00.jpg" in evidence


def test_isic_as_downloaded(tmp_path: Path) -> None:
    replicas.isic2018(tmp_path / "isic")
    manifest = prepared(tmp_path / "isic", tmp_path / "data")
    assert manifest.layout == "isic2018"
    assert manifest.task.classes == ("background", "lesion")
    assert len(manifest.cases) == 10
    assert (len(manifest.split.train), len(manifest.split.test)) == (6, 2)
    np.testing.assert_array_equal(
        PreparedData(tmp_path / "data").label("ISIC_0000003")[0] > 0, replicas.photograph(3)[1]
    )
    halves = prepared(tmp_path / "isic", tmp_path / "halves", parts=(0.5, 0.2, 0.3))
    assert [len(halves.split.train), len(halves.split.test)] == [5, 3]


def test_isic_with_its_own_parts(tmp_path: Path) -> None:
    replicas.isic2018(tmp_path / "isic", testing=3)
    manifest = prepared(tmp_path / "isic", tmp_path / "data")
    assert manifest.split.test == ("ISIC_0000100", "ISIC_0000101", "ISIC_0000102")
    assert len(manifest.split.train) == 10


def test_crag_as_downloaded(tmp_path: Path) -> None:
    replicas.crag(tmp_path / "CRAG")
    manifest = prepared(tmp_path / "CRAG", tmp_path / "data")
    assert manifest.layout == "crag"
    assert manifest.task.classes == ("background", "gland")
    assert manifest.split.validation == ("valid_1", "valid_2")
    assert len(manifest.cases) == 8  # no overlays
    data = PreparedData(tmp_path / "data")
    for number in (1, 2):
        _, disc = replicas.photograph(600 + number)
        label = data.label(f"train_{number}")[0]
        assert set(np.unique(label)) == {0, 1}
        np.testing.assert_array_equal(label[8:-6, 8:-6] > 0, disc[8:-6, 8:-6])
        assert label[2, 2] == label[-2, -2] == 1  # other values are glands too


@pytest.mark.parametrize("write", [replicas.kvasir, replicas.isic2018, replicas.crag])
def test_pictures_the_whole_way(tmp_path: Path, write: Callable[[Path], None]) -> None:
    source, run = tmp_path / "source", tmp_path / "run"
    write(source)
    prepared(source, tmp_path / "data")
    settings = [*small_settings("supervised"), "training.iterations=3"]
    train(tmp_path / "data", run, method="supervised", labelled="2", settings=settings,
          console=Quiet())  # fmt: skip
    assert evaluate(run, on="validation", console=Quiet()).cases == 2
    image = source / PreparedData(tmp_path / "data").manifest.cases[0].source
    assert predict(run, [image], tmp_path / "masks", console=Quiet()).written == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["3=liver", "tumour"], "every class as CODE=NAME"),
        (["3=liver", "3=tumour"], "unique codes"),
        (["0=liver"], "from 1 to 255"),
        (["300=liver"], "from 1 to 255"),
        (["2="], "CODE=NAME"),
    ],
)
def test_codes_that_cannot_be_meant(tmp_path: Path, words: list[str], message: str) -> None:
    replicas.kits19(tmp_path / "kits19", 2)
    with pytest.raises(UserError, match=message):
        prepared(tmp_path / "kits19", tmp_path / "data", classes=words)
    assert not (tmp_path / "data").exists()


def test_codes_with_gaps_are_told_how_to_be_named(tmp_path: Path) -> None:
    replicas.kits19(tmp_path / "kits19", 3)
    mask = tmp_path / "kits19" / "data" / "case_00000" / "segmentation.nii.gz"
    found = nibabel.load(mask)
    gaps = np.array([0, 3, 7], np.uint8)[np.asarray(found.dataobj)]
    nibabel.save(nibabel.Nifti1Image(gaps, found.affine), mask)
    with pytest.raises(UserError, match=r"code 7.*for example 3=liver,7=tumour"):
        prepared(tmp_path / "kits19", tmp_path / "data")


@pytest.mark.parametrize(
    ("write", "test"),
    [
        (replicas.acdc, "acdc/testing/patient101/patient101_frame01.nii.gz"),
        (lambda folder: replicas.kits19(folder, 9), "kits19/data/case_00003/imaging.nii.gz"),
        (
            lambda folder: replicas.btcv(folder, tuple(range(1, 9))),
            "RawData/Training/img/img0001.nii.gz",
        ),
    ],
    ids=["acdc", "kits19", "btcv"],
)
def test_the_whole_way(tmp_path: Path, write: Callable[[Path], None], test: str) -> None:
    source = tmp_path / test.split("/")[0] if not test.startswith("RawData") else tmp_path
    write(source)
    prepared(source, tmp_path / "data")
    run = tmp_path / "run"
    settings = [*small_settings("supervised"), "training.iterations=3"]
    train(tmp_path / "data", run, method="supervised", labelled="1", settings=settings,
          console=Quiet())  # fmt: skip
    summary = evaluate(run, on="test", console=Quiet())
    assert summary.cases > 0
    image = tmp_path / test
    assert predict(run, [image], tmp_path / "masks", console=Quiet()).written == 1
    (mask,) = (tmp_path / "masks").glob("[!.]*.nii.gz")
    one, other = nibabel.load(mask), nibabel.load(image)
    assert one.shape == other.shape
    np.testing.assert_array_equal(one.affine, other.affine)
