"""Which folder holds the labels, and layouts of names that differ between images and labels."""

import re
import unicodedata
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

import mask_replicas
from semiseg.console import Quiet
from semiseg.datasets.pairing import pair_files
from semiseg.errors import UserError
from semiseg.formats import is_picture
from semiseg.workflows.prepare import prepare
from small_pictures import MASK, found, picture, scan


def test_none_of_two_folders_is_taken_silently(tmp_path: Path) -> None:
    mask_replicas.vessels(tmp_path, 3, 1)
    with pytest.raises(UserError) as raised:
        scan(tmp_path)
    words = str(raised.value)
    assert re.search(
        r"1st_manual \(4 files, \d+% marked\); mask \(4 files, \d+% marked, the same", words
    )
    assert words.endswith("for example --labels 1st_manual.")
    result = scan(tmp_path, labels="1st_manual")
    assert found(result) == dict.fromkeys(
        ("04_test", "01_training", "02_training", "03_training"), True
    )
    label = result.cases[1].read().label
    assert label is not None
    assert 0.01 < label.mean() < 0.4
    assert result.split is not None
    assert result.split.test == ("04_test",)
    fields = scan(tmp_path, labels="mask").cases[1].read().label
    assert fields is not None
    assert fields.mean() > 0.5


def test_labels_that_are_alike_are_reported(tmp_path: Path) -> None:
    mask_replicas.vessels(tmp_path / "set", 4, 1)
    notes = prepare(tmp_path / "set", tmp_path / "a", labels="mask", console=Quiet()).notes
    assert any("all 5 labelled images mark the same region" in note for note in notes)
    notes = prepare(tmp_path / "set", tmp_path / "b", labels="1st_manual", console=Quiet()).notes
    assert not any("the same region" in note for note in notes)


def test_an_unknown_folder_of_masks(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "images" / f"{number}.png", number)
        picture(tmp_path / "overlays" / f"{number}.png", number)
        mask_replicas.save_picture(tmp_path / "vessels" / f"{number}.png", MASK)
    result = scan(tmp_path)
    assert all(found(result).values())
    assert any("those of the folder 'vessels'" in note for note in result.notes)
    mask_replicas.save_picture(tmp_path / "predictions" / "0.png", MASK)
    assert all(found(scan(tmp_path)).values())  # the name says that these are no references
    mask_replicas.save_picture(tmp_path / "masks" / "0.png", ~MASK)
    with pytest.raises(UserError, match=r"masks \(1 file, .*; vessels \(3 files, .*--labels"):
        scan(tmp_path)
    assert list(found(scan(tmp_path, labels="masks")).values()) == [True, False, False]


def test_labels_by_the_ending_of_their_names(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / f"Image_{number}L.jpg", number)
        for person in ("1stHO", "2ndHO"):
            mask_replicas.save_picture(tmp_path / f"Image_{number}L_{person}.png", MASK)
    result = scan(tmp_path, labels="_1stHO")
    assert found(result) == {"Image_0L": True, "Image_1L": True}
    assert result.cases[0].files[1].name == "Image_0L_1stHO.png"
    with pytest.raises(UserError, match="has no such folder, and no name of a file ends like this"):
        scan(tmp_path, labels="manual")


@pytest.mark.parametrize(
    ("image", "label", "labels"),
    [
        ("Original/{}.tif", "Ground Truth/{}.tif", None),
        ("img_{}.png", "mask_{}.png", None),
        ("data/img{}.png", "data/mask{}.png", None),
        ("volume-{}.png", "segmentation-{}.png", None),
        ("set_img_{}.png", "set_mask_{}.png", None),
        ("photos/x{}.jpg", "masks/x{}_mask.png", None),
        ("raw/x{}.png", "GT/x{}.png", None),
        ("A/{}.png", "B/{}.png", "B"),
        ("A/{}.png", "new/B/{}.png", "new/B"),
        ("A/{}.png", "new/B/{}.png", "new\\B"),
        ("A/shot_{}.png", "B/drawn{}.png", "B"),
        ("{}_training.png", "{}_manual1.png", None),
    ],
)
def test_names_of_other_data_sets(
    tmp_path: Path, image: str, label: str, labels: str | None
) -> None:
    for number in range(4):
        picture(tmp_path / image.format(f"{number:02d}"), number)
        mask = np.roll(MASK, number, 1)
        if number < 3:
            mask_replicas.save_picture(tmp_path / label.format(f"{number:02d}"), mask)
    result = scan(tmp_path, labels=labels)
    assert [case.has_label for case in result.cases] == [True, True, True, False]
    for number, case in enumerate(result.cases[:3]):
        np.testing.assert_array_equal(case.read().label, np.roll(MASK, number, 1)[None])


def test_the_same_names_in_folders_of_patients(tmp_path: Path) -> None:
    for patient in range(6):
        for number in range(2):
            seed = 2 * patient + number
            picture(tmp_path / f"p{patient}" / "images" / f"{number}.png", seed)
            mask_replicas.save_picture(tmp_path / f"p{patient}" / "masks" / f"{number}.png", MASK)
    result = scan(tmp_path)
    assert [case.identifier for case in result.cases][:3] == ["p0_0", "p0_1", "p1_0"]
    assert {case.patient for case in result.cases} == {f"p{n}" for n in range(6)}
    assert all(case.files[0].parent.parent == case.files[1].parent.parent for case in result.cases)


def test_a_label_of_another_part_is_not_taken(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "images" / "x.png", 0)
    picture(tmp_path / "train" / "images" / "y.png", 1)
    mask_replicas.save_picture(tmp_path / "train" / "labels" / "y.png", MASK)
    mask_replicas.save_picture(tmp_path / "test" / "labels" / "x.png", MASK)
    assert found(scan(tmp_path)) == {"x": False, "y": True}


def test_names_pair_in_every_form_of_unicode(tmp_path: Path) -> None:
    picture(tmp_path / "images" / unicodedata.normalize("NFD", "Käthe.png"), 0)
    mask_replicas.save_picture(tmp_path / "masks" / unicodedata.normalize("NFC", "Käthe.png"), MASK)
    (case,) = scan(tmp_path).cases
    assert case.has_label
    assert case.identifier == unicodedata.normalize("NFC", "Käthe")


def test_a_lost_header_is_named_and_may_be_ignored(tmp_path: Path) -> None:
    affine = np.diag([-1.2, 1.2, 5.0, 1.0])
    affine[:3, 3] = (40, -30, -20)
    codes = np.repeat(MASK[..., None], 3, 2).astype(np.uint8)
    for number in range(2):
        data = np.random.default_rng(number).integers(0, 99, codes.shape).astype(np.int16)
        for place, array, own in (("images", data, affine), ("labels", codes, np.eye(4))):
            path = tmp_path / place / f"{number}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, own), path)
    with pytest.raises(
        UserError, match=r"header is lost.*copy the image's header.*--trust-grid image"
    ):
        scan(tmp_path).cases[0].read()
    result = scan(tmp_path, trust_grid="image")
    volumes = [case.read() for case in result.cases]
    np.testing.assert_array_equal(volumes[0].label, np.moveaxis(codes, 2, 0))
    remarks = {word: [v.remarks[word] for v in volumes] for word in volumes[0].remarks}
    assert any("2 labels with another position" in note for note in result.afterwards(remarks))
    with pytest.raises(UserError, match="the only grid that can be trusted is image"):
        prepare(tmp_path, tmp_path / "x", trust_grid="label", console=Quiet())


def test_masks_of_objects_beside_masks_of_classes_are_no_images(tmp_path: Path) -> None:
    """The layout of Pascal VOC, which CVAT and labelme export."""
    rng = np.random.default_rng(0)
    for number in range(4):
        image = rng.integers(0, 255, (24, 24, 3)).astype(np.uint8)
        mask = np.zeros((24, 24, 3), np.uint8)
        mask[4 : 12 + 3 * number, 4:12] = (250, 50, 83)
        objects = np.zeros((24, 24, 3), np.uint8)
        objects[4 : 12 + 3 * number, 4:12] = (128, 0, number)
        for name, pixels, suffix in (
            ("JPEGImages", image, "jpg"), ("SegmentationClass", mask, "png"),
            ("SegmentationObject", objects, "png"),
        ):  # fmt: skip
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name / f"f{number}.{suffix}")
    with pytest.raises(UserError, match="--labels SegmentationClass"):
        pair_files(tmp_path, is_picture)
    found = pair_files(tmp_path, is_picture, labels="SegmentationClass")
    assert [pair.image.parent.name for pair in found.pairs] == ["JPEGImages"] * 4
    assert [pair.label.parent.name for pair in found.pairs if pair.label] == [
        "SegmentationClass"
    ] * 4
    for name in ("JPEGImages", "SegmentationClass", "SegmentationObject"):  # names that say nothing
        (tmp_path / name).rename(tmp_path / name.lower().replace("s", "z"))
    found = pair_files(tmp_path, is_picture, labels="zegmentationclazz")
    assert [pair.image.parent.name for pair in found.pairs] == ["jpegimagez"] * 4


def paths_and_flat_masks(folder: Path, ending: str, masks: str) -> None:
    """``bilder/P1/day1/cine.png`` and one flat folder of masks with the joined names."""
    for patient in ("P1", "P2", "P3"):
        for day in ("day1", "day2"):
            picture(folder / "bilder" / patient / day / "cine.png", len(patient + day))
            if day == "day1":
                mask = folder / masks / f"{patient}_{day}_cine{ending}.png"
                mask_replicas.save_picture(mask, MASK.astype(np.uint8) * 255)


@pytest.mark.parametrize("ending", ["", "-label", "_label_v2", ".seg", "-gt-final"])
@pytest.mark.parametrize("masks", ["masks", "segmentations_JM", "drawn"])
def test_masks_in_a_flat_folder_have_joined_names(tmp_path: Path, ending: str, masks: str) -> None:
    paths_and_flat_masks(tmp_path, ending, masks)
    result = scan(tmp_path)
    assert found(result) == {
        f"P{n}_{day}": day == "day1" for n in (1, 2, 3) for day in ("day1", "day2")
    }
    assert {case.patient for case in result.cases} == {"P1", "P2", "P3"}
    label = result.cases[0].read().label
    assert label is not None
    np.testing.assert_array_equal(label[0] != 0, MASK)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        ("ManualMask/left", "ManualMask/right", "--labels ManualMask takes all of them"),
        ("disc", "cup", "--labels names one of them, or put them into one folder 'masks'"),
        ("drawn/2021", "drawn/2022", "--labels drawn takes all of them"),
    ],
)
def test_every_folder_that_may_hold_the_labels_is_shown(
    tmp_path: Path, left: str, right: str, words: str
) -> None:
    for number in range(6):
        picture(tmp_path / "cxr" / f"{number}.png", number)
        for place, move in ((left, 0), (right, 3)):
            mask = np.roll(MASK, move + number, 0).astype(np.uint8) * 255
            mask_replicas.save_picture(tmp_path / place / f"{number}.png", mask)
    with pytest.raises(UserError, match="has no folder of labels by name") as raised:
        scan(tmp_path)
    said = str(raised.value)
    assert words in said
    assert f"{Path(left).name} (6 files, " in said
    assert f"{Path(right).name} (6 files, " in said


@pytest.mark.parametrize(
    ("first", "second", "label", "refused"),
    [
        ("a_ch00", "a_ch01", "a", True),
        ("a_ch00", "a_ch01", "a_ch00", True),
        ("a-channel1", "a-channel2", "a_mask", True),
        ("a_c1", "a_c2", "a", True),
        ("a_c1", "a_c2", "a_c1", False),  # cells, crops
        ("a_1", "a_2", "a_1", False),
    ],
)
def test_channels_are_not_images(
    tmp_path: Path, first: str, second: str, label: str, refused: bool
) -> None:
    for name in (first, second):
        picture(tmp_path / "images" / f"{name}.png", len(name))
    mask_replicas.save_picture(tmp_path / "masks" / f"{label}.png", MASK.astype(np.uint8) * 255)
    if refused:
        with pytest.raises(UserError, match=f"{first}.png and {second}.png look like channels"):
            scan(tmp_path)
    else:
        assert found(scan(tmp_path)) == {first: True, second: False}


def test_two_labelled_views_are_not_channels(tmp_path: Path) -> None:
    for name in ("a_ch2", "a_ch4"):  # two and four chambers
        picture(tmp_path / "images" / f"{name}.png", len(name))
        mask_replicas.save_picture(tmp_path / "masks" / f"{name}.png", MASK.astype(np.uint8) * 255)
    assert found(scan(tmp_path)) == {"a_ch2": True, "a_ch4": True}


def twins(folder: Path, masks: str = ".png") -> None:
    for number in range(3):
        picture(folder / f"{number}.jpg", number)
        if number < 2:
            mask_replicas.save_picture(folder / f"{number}{masks}", MASK.astype(np.uint8) * 255)


@pytest.mark.parametrize("options", [{}, {"labels": ".png"}, {"labels": ".PNG"}])
def test_labels_of_another_suffix(tmp_path: Path, options: dict[str, str]) -> None:
    twins(tmp_path)
    result = scan(tmp_path, **options)
    assert found(result) == {"0": True, "1": True, "2": False}
    assert bool(options) != any("the labels are the .png files" in note for note in result.notes)
    label = result.cases[0].read().label
    assert label is not None
    np.testing.assert_array_equal(label[0] != 0, MASK)


def test_images_of_two_suffixes_and_one_name_are_refused(tmp_path: Path) -> None:
    twins(tmp_path)
    for number in range(2):
        picture(tmp_path / f"{number}.png", 5 + number)
    with pytest.raises(UserError, match=r"same identifier '0'.* use --labels \.png"):
        prepare(tmp_path, tmp_path / "data", console=Quiet())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("labels/x{n}_liver", "masks/x{n}_liver"),
        ("manual/x{n}_liver", "gt/x{n}_liver"),
        ("labels/liver/x{n}", "masks/liver/x{n}"),
        ("manual/x{n}/liver", "segmentations/x{n}/liver"),
    ],
)
def test_two_folders_that_draw_one_structure_are_not_united(
    tmp_path: Path, one: str, other: str
) -> None:
    for n in range(3):
        picture(tmp_path / "images" / f"x{n}.png", n)
        for shift, place in enumerate((one, other)):
            path = tmp_path / f"{place.format(n=n)}.png"
            mask_replicas.save_picture(path, np.roll(MASK, shift, 1).astype(np.uint8) * 255)
    with pytest.raises(UserError, match="several folders that may hold the labels"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("one", "other", "noted"),
    [("labels", "masks", True), ("labelsTr", "labelsTs", False), ("manual1", "gt", True)],
)
def test_labels_in_folders_of_other_names_are_noted(
    tmp_path: Path, one: str, other: str, noted: bool
) -> None:
    for n in range(4):
        picture(tmp_path / "images" / f"x{n}.png", n)
        place = tmp_path / (one if n < 3 else other)
        mask_replicas.save_picture(place / f"x{n}.png", MASK.astype(np.uint8) * 255)
    result = scan(tmp_path)
    assert all(found(result).values())
    notes = [note for note in result.notes if "in several folders" in note]
    assert bool(notes) == noted
    if noted:
        assert f"{one} (3 files, 12% marked, the same region in all" in notes[0]
        assert f"{other} (1 file" in notes[0]


def test_files_derived_from_images_are_not_images(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.png", ord(name))
        mask_replicas.save_picture(tmp_path / f"{name}_mask.png", MASK.astype(np.uint8) * 255)
        picture(tmp_path / f"{name}_overlay.png", 5)
    picture(tmp_path / "a_2.png", 9)  # another image
    result = scan(tmp_path)
    assert found(result) == {"a": True, "a_2": False, "b": True, "c": True}
    assert any("3 files outside the image folders or derived" in note for note in result.notes)


def test_a_label_map_beside_a_labelled_volume_is_no_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(3):
        image = rng.integers(0, 900, (12, 12, 6)).astype(np.int16)
        organs = np.kron(rng.integers(0, 9, (3, 3, 3)), np.ones((4, 4, 2))).astype(np.uint8)
        for ending, voxels in (("", image), ("_seg", organs // 5), ("_totalseg", organs)):
            path = tmp_path / f"P{number}{ending}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1, 1, 5, 1])), path)
    words = r"P0_totalseg\.nii\.gz pairs with no image and looks like a mask of P0\.nii\.gz"
    with pytest.raises(UserError, match=words):
        scan(tmp_path)


@pytest.mark.parametrize(("one", "other"), [(128, 255), (170, 255)])
def test_grey_levels_of_other_pictures_are_not_one_class(
    tmp_path: Path, one: int, other: int
) -> None:
    for number in range(4):
        picture(tmp_path / "set" / "images" / f"{number}.png", number)
        level = one if number % 2 else other
        mask_replicas.save_picture(
            tmp_path / "set" / "masks" / f"{number}.png", MASK.astype(np.uint8) * level
        )
    with pytest.raises(UserError, match=f"holds 0 and {one}, but .* 0 and {other}"):
        prepare(tmp_path / "set", tmp_path / "data", console=Quiet())
    classes = [f"{one}=a", f"{other}=b"]
    made = prepare(tmp_path / "set", tmp_path / "data", classes=classes, console=Quiet())
    assert made.task.classes == ("background", "a", "b")


@pytest.mark.parametrize("names", [("run.json", "round.json"), ("manifest.json", "records.jsonl")])
def test_outputs_in_the_source_are_no_part_of_it(tmp_path: Path, names: tuple[str, str]) -> None:
    for number in range(3):
        picture(tmp_path / "images" / f"{number}.png", number)
        for place in (tmp_path / "masks", tmp_path / "out" / "masks"):
            mask_replicas.save_picture(place / f"{number}.png", MASK.astype(np.uint8) * 255)
    for name in names:
        (tmp_path / "out" / name).write_text("{}")
    picture(tmp_path / "out" / "figures" / "x.png", 4)
    assert found(scan(tmp_path)) == {"0": True, "1": True, "2": True}


def test_overviews_of_slides_are_no_images(tmp_path: Path) -> None:
    slides = [f"H21-10{number}" for number in range(44, 49)]
    for slide in slides:
        for name in ("t0.png", "t1.png"):
            picture(tmp_path / slide / "tiles" / name, len(name))
            mask_replicas.save_picture(
                tmp_path / slide / "masks" / name, MASK.astype(np.uint8) * 255
            )
        for name in ("thumbnail", "macro"):
            picture(tmp_path / slide / f"{name}.png", 9)
    result = scan(tmp_path)
    assert len(result.cases) == 10
    assert all(case.has_label for case in result.cases)
    assert {case.patient for case in result.cases} == set(slides)
    assert any("macro.png" in note for note in result.notes)
