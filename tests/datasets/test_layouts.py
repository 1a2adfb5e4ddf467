"""Layouts: recognising folders, pairing images with labels, patients and parts."""

import json
import os
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image

from semiseg.console import Quiet
from semiseg.datasets import LAYOUTS, detect, named
from semiseg.datasets.base import Options, Scan, patient_of, with_background
from semiseg.datasets.roles import role_of
from semiseg.errors import UserError
from semiseg.workflows.prepare import prepare

VOXELS = np.random.default_rng(0).integers(0, 100, (6, 5, 4)).astype(np.int16)


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(VOXELS, np.eye(4)), path)


def label(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image((VOXELS % 3).astype(np.uint8), np.eye(4)), path)


def picture(path: Path, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def mask(path: Path, top: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = (np.arange(48).reshape(6, 8) % 3).astype(np.uint8)
    Image.fromarray((values > 0) * np.uint8(255) if top == 255 else values).save(path)


def scan(folder: Path, options: Options | None = None) -> Scan:
    layout, _ = detect(folder)
    return layout.scan(folder, options or Options())


def found(result: Scan) -> dict[str, bool]:
    return {case.identifier: case.has_label for case in result.cases}


def test_names_of_folders() -> None:
    assert role_of("imagesTr") == ("image", "train")
    assert role_of("labelsTs") == ("label", "test")
    assert role_of("Training_Images") == ("image", "train")
    assert role_of("ground_truth") == ("label", None)
    assert role_of("val") == (None, "validation")
    assert role_of("masks-test") == ("label", "test")
    assert role_of("patient001") == (None, None)
    assert role_of("test_site_A") == (None, None)


@pytest.mark.parametrize(
    ("identifier", "patient"),
    [
        ("patient001_frame01", "patient001"),
        ("phantom001_ED", "phantom001"),
        ("phantom001_ES", "phantom001"),
        ("case7-slice3", "case7"),
        ("case7_frame01_slice_12", "case7"),
        ("hippocampus_001", "hippocampus_001"),
        ("RED", "RED"),
        ("_ED", "_ED"),
    ],
)
def test_the_patient_in_an_identifier(identifier: str, patient: str) -> None:
    assert patient_of(identifier, None) == patient


def test_a_pattern_for_patients() -> None:
    assert patient_of("site2-007-scan1", r"^(\w+-\d+)") == "site2-007"
    assert patient_of("site2-007-scan1", r"\d{3}") == "007"
    with pytest.raises(UserError, match="finds no patient in 'abc'"):
        patient_of("abc", r"\d+")
    with pytest.raises(UserError, match="is not a regular expression"):
        patient_of("abc", "(")


def test_class_names() -> None:
    assert with_background(["RV", " Myo"]) == ("background", "RV", "Myo")
    assert with_background(["Background", "RV"]) == ("background", "RV")
    for names in (["RV", "RV"], [""], [], ["background"], ["RV", "background"]):
        with pytest.raises(UserError, match="--classes"):
            with_background(names)


@pytest.mark.parametrize(
    ("images", "labels", "ending"),
    [
        ("images", "labels", ""),
        ("imagesTr", "labelsTr", ""),
        ("img", "masks", ""),
        ("images", "labels", "_gt"),
        (".", ".", "_seg"),
        (".", ".", "_gt"),
        ("images", "images", "_label"),
        ("imagesTr", "labels", ""),
    ],
)
def test_nifti_pairs(tmp_path: Path, images: str, labels: str, ending: str) -> None:
    for name in ("a1", "a2", "b1"):
        image(tmp_path / images / f"{name}.nii.gz")
    label(tmp_path / labels / f"a1{ending}.nii.gz")
    (tmp_path / images / "._a1.nii.gz").write_bytes(b"macOS")
    result = scan(tmp_path)
    assert found(result) == {"a1": True, "a2": False, "b1": False}
    assert result.classes is None
    assert result.split is None
    assert result.kind == "volumes"
    volume = result.cases[0].read()
    np.testing.assert_array_equal(volume.image[:, 0], np.moveaxis(VOXELS, 2, 0))
    assert volume.label is not None
    np.testing.assert_array_equal(volume.label, np.moveaxis(VOXELS % 3, 2, 0))
    assert result.cases[1].read().label is None


def test_a_tree_of_patients(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        for frame in ("frame01", "frame12"):
            image(tmp_path / patient / f"{patient}_{frame}.nii.gz")
            label(tmp_path / patient / f"{patient}_{frame}_gt.nii.gz")
    result = scan(tmp_path)
    assert all(found(result).values())
    assert [case.patient for case in result.cases] == ["p1", "p1", "p2", "p2"]


def test_the_channel_ending_belongs_to_the_image(tmp_path: Path) -> None:
    for name in ("case_1", "case_2"):
        image(tmp_path / "imagesTr" / f"{name}_0000.nii.gz")
        label(tmp_path / "labelsTr" / f"{name}.nii.gz")
    assert found(scan(tmp_path)) == {"case_1": True, "case_2": True}
    image(tmp_path / "imagesTr" / "case_1_0001.nii.gz")
    with pytest.raises(UserError, match=r"case_1_0001\.nii\.gz is an additional channel"):
        scan(tmp_path)


def test_folders_tell_the_parts(tmp_path: Path) -> None:
    for part, name in (("train", "a"), ("val", "b"), ("test", "c")):
        image(tmp_path / part / "images" / f"{name}.nii.gz")
        label(tmp_path / part / "labels" / f"{name}.nii.gz")
    image(tmp_path / "train" / "images" / "d.nii.gz")
    split = scan(tmp_path).split
    assert split is not None
    assert (split.train, split.validation, split.test) == (("a", "d"), ("b",), ("c",))


def test_a_test_folder_without_labels_is_unlabelled_data(tmp_path: Path) -> None:
    image(tmp_path / "imagesTr" / "a.nii.gz")
    label(tmp_path / "labelsTr" / "a.nii.gz")
    image(tmp_path / "imagesTs" / "b.nii.gz")
    result = scan(tmp_path)
    assert result.split is None
    assert any("test folder has no labels" in note for note in result.notes)


def test_dataset_json_names_classes_and_pairs(tmp_path: Path) -> None:
    image(tmp_path / "imagesTr" / "a.nii.gz")
    label(tmp_path / "labelsTr" / "other.nii.gz")
    label(tmp_path / "labelsTr" / "a_not.nii.gz")
    description = {
        "name": "Heart",
        "labels": {"0": "background", "2": "LV", "1": "RV"},
        "training": [
            {"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/other.nii.gz"},
            {"image": "./imagesTr/._a.nii.gz", "label": "./labelsTr/._a.nii.gz"},
        ],
    }
    image(tmp_path / "imagesTr" / "b.nii.gz")
    label(tmp_path / "labelsTr" / "b.nii.gz")
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(description))
    result = scan(tmp_path)
    assert result.classes == ("background", "RV", "LV")
    assert result.name == "Heart"
    assert found(result) == {"a": True, "b": True}
    assert result.cases[0].read().label is not None
    assert any("1 label without an image" in note and "a_not" in note for note in result.notes)
    path.write_text(json.dumps({"labels": {"background": 0, "RV": 1}}))
    assert scan(tmp_path).classes == ("background", "RV")
    assert scan(tmp_path, Options(classes=("x", "y"))).classes == ("background", "x", "y")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "not readable JSON"),
        ("[]", "named entries"),
        ('{"labels": {"0": "background", "4": "RV"}}', "must name the codes"),
        ('{"labels": {"0": "background", "1": "RV", "2": "RV"}}', "must name the codes"),
        ('{"labels": {"background": 0, "heart": [1, 2]}}', "must name the codes"),
        ('{"labels": ["RV"]}', "must name the codes"),
    ],
)
def test_bad_descriptions_are_refused(tmp_path: Path, content: str, word: str) -> None:
    image(tmp_path / "imagesTr" / "a.nii.gz")
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(UserError, match=word) as raised:
        scan(tmp_path)
    assert "dataset.json" in str(raised.value)


@pytest.mark.parametrize(
    "listed",
    [
        {"image": "./imagesTr/z.nii.gz"},
        {"image": "imagesTr/b.nii.gz", "label": "labelsTr/b.nii.gz"},
    ],
)
def test_only_the_case_with_a_missing_file_cannot_be_read(
    tmp_path: Path, listed: dict[str, str]
) -> None:
    for name in "ab":
        image(tmp_path / "imagesTr" / f"{name}.nii.gz")
    label(tmp_path / "labelsTr" / "a.nii.gz")
    others = [{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": [*others, listed]}))
    cases = {case.identifier: case for case in scan(tmp_path).cases}
    assert cases.pop("a").read().label is not None
    with pytest.raises(UserError, match=r"dataset\.json names \S+, which is missing"):
        cases[Path(listed["image"]).name[0]].read()


def test_labels_that_fit_no_image_are_refused(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.nii.gz")
    label(tmp_path / "labels" / "b.nii.gz")
    with pytest.raises(UserError, match=r"none of its labels .1, for example .*matches an image"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("images", "masks", "ending"),
    [("images", "masks", ""), ("img", "gt", "_mask"), (".", ".", "_segmentation")],
)
def test_picture_pairs(tmp_path: Path, images: str, masks: str, ending: str) -> None:
    picture(tmp_path / images / "x_ED.jpg")
    picture(tmp_path / images / "y.JPG")
    mask(tmp_path / masks / f"x_ED{ending}.png")
    (tmp_path / "license.txt").write_text("free")
    result = scan(tmp_path)
    assert found(result) == {"x_ED": True, "y": False}
    assert [case.patient for case in result.cases] == ["x_ED", "y"]
    volume = result.cases[0].read()
    assert volume.image.shape == (1, 3, 6, 8)
    assert volume.label is not None
    assert volume.label.shape == (1, 6, 8)
    assert set(np.unique(volume.label)) == {0, 1}


def test_mixed_pictures_become_rgb(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "x.png")
    picture(tmp_path / "images" / "y.png", "L")
    result = scan(tmp_path)
    assert [case.read().image.shape[1] for case in result.cases] == [3, 3]
    assert any("1 of 2 pictures are grey" in note for note in result.notes)


def test_masks_written_in_two_ways_are_refused(tmp_path: Path) -> None:
    for name, top in (("x", 255), ("y", 2)):
        picture(tmp_path / "images" / f"{name}.png")
        mask(tmp_path / "masks" / f"{name}.png", top)
    result = scan(tmp_path)
    remarks = {word: [file] for c in result.cases for word, file in c.read().remarks.items()}
    with pytest.raises(UserError, match=r"x\.png is black and white but .*y\.png holds"):
        result.afterwards(remarks)
    with pytest.raises(UserError, match=r"x\.png is black and white but .*y\.png holds"):
        prepare(tmp_path, tmp_path / "data", console=Quiet())
    with pytest.raises(UserError, match="2 classes are named"):
        scan(tmp_path, Options(classes=("a", "b"))).cases[0].read()


def test_files_outside_the_image_folders_are_left_out(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "x.png")
    mask(tmp_path / "masks" / "x.png")
    picture(tmp_path / "overlay" / "x.png")
    result = scan(tmp_path)
    assert found(result) == {"x": True}
    assert any("1 file outside the image folders" in note for note in result.notes)


def hdf5(path: Path, shape: tuple[int, ...], value: float = 0.5, labelled: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        pixels = np.full(shape, value, np.float32)
        pixels.flat[0] = 0.01
        file["image"] = pixels
        if labelled:
            file["label"] = (pixels > 0.1).astype(np.uint8)


@pytest.fixture
def acdc(tmp_path: Path) -> Path:
    names = []
    for patient in ("patient009", "patient002"):
        for number in (10, 9, 11):
            names.append(f"{patient}_frame01_slice_{number}")
            hdf5(tmp_path / "data" / "slices" / f"{names[-1]}.h5", (6, 5), number / 20)
    (tmp_path / "train_slices.list").write_text("\n".join(names) + "\n\n")
    hdf5(tmp_path / "data" / "patient004_frame01.h5", (3, 6, 5))
    (tmp_path / "val.list").write_text("patient004_frame01\n")
    return tmp_path


def test_acdc_slices_are_stacked_by_number(acdc: Path) -> None:
    layout, evidence = detect(acdc)
    assert layout.name == "acdc-hdf5"
    assert "train_slices.list" in evidence
    result = scan(acdc)
    assert result.classes == ("background", "RV", "Myo", "LV")
    assert result.split is not None
    assert result.split.train == result.split.labelled_order == ("patient009", "patient002")
    assert result.split.validation == ("patient004",)
    volume = result.cases[0].read()
    assert volume.image.shape == (3, 1, 6, 5)
    np.testing.assert_allclose(volume.image[:, 0, 3, 3], [0.45, 0.5, 0.55])
    assert volume.label is not None
    assert volume.label.shape == (3, 6, 5)
    assert result.cases[2].read().image.shape == (3, 1, 6, 5)


def test_acdc_without_lists_has_no_split(acdc: Path) -> None:
    (acdc / "train_slices.list").unlink()
    (acdc / "val.list").unlink()
    result = scan(acdc)
    assert result.split is None
    assert len(result.cases) == 3


def test_acdc_faults_are_named(acdc: Path) -> None:
    middle = acdc / "data" / "slices" / "patient009_frame01_slice_10.h5"
    content = middle.read_bytes()
    middle.write_bytes(content[:500])
    with pytest.raises(UserError, match=r"slice_10\.h5 cannot be read as HDF5"):
        scan(acdc).cases[0].read()
    hdf5(middle, (7, 5))
    with pytest.raises(UserError, match="patient009_frame01 have 6 x 5 and 7 x 5 pixels"):
        scan(acdc).cases[0].read()
    hdf5(middle, (6, 5), labelled=False)
    with pytest.raises(UserError, match=r"slice_10\.h5 has no label"):
        scan(acdc).cases[0].read()
    with h5py.File(middle, "w") as file:
        file["picture"] = np.zeros((6, 5))
    with pytest.raises(UserError, match="has no array 'image'"):
        scan(acdc).cases[0].read()
    middle.unlink()
    with pytest.raises(UserError, match=r"slice_10, but .*is not in"):
        scan(acdc).cases[0].read()
    lines = (acdc / "train_slices.list").read_text().split()
    (acdc / "train_slices.list").write_text("\n".join(n for n in lines if n != middle.stem))
    with pytest.raises(UserError, match="slice 10 of patient009_frame01 is missing"):
        scan(acdc).cases[0].read()
    assert all(case.read().label is not None for case in scan(acdc).cases[1:])
    (acdc / "train_slices.list").write_text(f"{lines[1]}\n{lines[1]}\n")
    with pytest.raises(UserError, match="twice"):
        scan(acdc)


def test_a_folder_for_each_case_names_it(tmp_path: Path) -> None:
    for number in range(3):
        image(tmp_path / f"words/P{number}/image.nii.gz")
        image(tmp_path / f"names/P{number}/T1w.nii.gz")
    label(tmp_path / "words/P0/label.nii.gz")
    label(tmp_path / "words/P1/P1_seg.nii.gz")
    label(tmp_path / "names/P0/T1w_mask.nii.gz")
    label(tmp_path / "names/P2/seg.nii.gz")
    words, names = scan(tmp_path / "words"), scan(tmp_path / "names")
    assert found(words) == {"P0": True, "P1": True, "P2": False}
    assert found(names) == {"P0": True, "P1": False, "P2": True}
    assert [case.patient for case in words.cases] == ["P0", "P1", "P2"]
    assert [case.source for case in names.cases][2] == "P2/T1w.nii.gz"
    assert words.cases[0].read().label is not None


def test_the_same_parts_of_a_split_and_a_folder_a_case(tmp_path: Path) -> None:
    for part, number in (("train", 0), ("train", 1), ("test", 2)):
        image(tmp_path / part / f"P{number}" / "ct.nii.gz")
        label(tmp_path / part / f"P{number}" / "mask.nii.gz")
    result = scan(tmp_path)
    assert found(result) == {"P0": True, "P1": True, "P2": True}
    assert result.split is not None
    assert result.split.test == ("P2",)


def test_a_folder_a_case_with_two_images_or_two_labels_is_refused(tmp_path: Path) -> None:
    for number in range(2):
        for modality in ("t1", "t2"):
            image(tmp_path / f"two/P{number}/{modality}.nii.gz")
        image(tmp_path / f"labels/P{number}/t1.nii.gz")
    label(tmp_path / "two/P0/seg.nii.gz")
    for name in ("liver_mask", "tumour_mask"):
        label(tmp_path / f"labels/P0/{name}.nii.gz")
    with pytest.raises(UserError, match=r"none of its labels .1, for example seg.nii.gz. matches"):
        scan(tmp_path / "two")
    for name in ("mask", "seg"):
        label(tmp_path / f"labels/P1/{name}.nii.gz")
    with pytest.raises(
        UserError, match=r"mask\.nii.* and .*seg\.nii.* are labels of the same image"
    ):
        scan(tmp_path / "labels")


def test_pictures_and_masks_in_folders_of_other_names_are_told_apart_by_nobody(
    tmp_path: Path,
) -> None:
    for number in range(2):
        picture(tmp_path / f"data/Fotos/a{number}.png")
        mask(tmp_path / f"data/Zeichnungen/a{number}.png")
    with pytest.raises(
        UserError, match="files of Zeichnungen look like masks: --labels Zeichnungen"
    ):
        prepare(tmp_path / "data", tmp_path / "out", console=Quiet())


def test_folders_without_a_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        detect(tmp_path / "none")
    with pytest.raises(UserError, match="has no known layout"):
        detect(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        detect(tmp_path / "file")
    with pytest.raises(UserError, match="did you mean 'nifti'"):
        named("nifty")
    assert named("nifti").name == "volumes"  # its former name
    assert all(name == layout.name for name, layout in LAYOUTS.items())


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.nii.gz")
    os.symlink(tmp_path, tmp_path / "images" / "again")
    assert list(found(scan(tmp_path))) == ["a"]


def test_linked_files_are_files_and_linked_folders_stay_inside(tmp_path: Path) -> None:
    source, elsewhere = tmp_path / "source", tmp_path / "elsewhere"
    image(source / "images" / "a.nii.gz")
    image(elsewhere / "b.nii.gz")
    image(source / "more" / "c.nii.gz")
    (source / "images" / "b.nii.gz").symlink_to(elsewhere / "b.nii.gz")
    (source / "images" / "sub").symlink_to(source / "more", target_is_directory=True)
    assert set(found(scan(source))) == {"a", "b", "c"}
    (source / "images" / "all").symlink_to(elsewhere, target_is_directory=True)
    with pytest.raises(UserError, match=r"images/all is a link to .*elsewhere, outside of"):
        scan(source)


def test_archives_are_to_be_unpacked(tmp_path: Path) -> None:
    for name in ("set.zip", "set.tar.gz", "SET.TGZ"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(UserError, match="is an archive: unpack it"):
            detect(tmp_path / name)
