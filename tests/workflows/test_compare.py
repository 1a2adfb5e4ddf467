"""Compare folders of masks with folders of reference masks."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from semiseg.console import Console, Quiet
from semiseg.datasets.naming import read_naming
from semiseg.errors import UserError
from semiseg.workflows import compare as module
from semiseg.workflows.compare import compare
from semiseg.workflows.mask_pairs import identifier_of


class Memory(Quiet):
    """Keeps the messages."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str = "") -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"note: {text}")


AFFINE = np.diag([1.5, 2.0, 8.0, 1.0])
CLASSES = ("background", "RV", "LV")


def cube(column: int = 2, code: int = 1) -> np.ndarray:
    label = np.zeros((8, 9, 5), np.uint8)  # [X, Y, Z]
    label[column : column + 3, 2:5, 1:4] = code
    return label


def save(path: Path, label: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(label, affine), path)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for case, column in (("p1", 2), ("p2", 3)):
        save(tmp_path / "pred" / f"{case}_pred.nii.gz", cube(column))
        save(tmp_path / "ref" / f"{case}_gt.nii.gz", cube(2))
    return tmp_path / "pred", tmp_path / "ref"


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("patient001_frame01_gt.nii.gz", "patient001_frame01"),
        ("a_seg.nii", "a"),
        ("a_mask.PNG", "a"),
        ("a_Label.png", "a"),
        ("a.b_pred.nii.gz", "a.b"),
        ("a_b.nii.gz", "a_b"),
        ("_gt.nii", "_gt"),
        ("a.ome.tif", "a"),
        ("Mask of a.tif", "a"),
        ("a-labels.tif", "a"),
        ("a_prediction.nii.gz", "a"),
        ("a.nii_seg.nii.gz", "a"),
    ],
)
def test_identifiers(name: str, identifier: str) -> None:
    assert identifier_of(Path(name)) == identifier


def test_pairs_are_scored_in_the_reference_spacing(folders: tuple[Path, Path]) -> None:
    summary = compare(*folders, console=Quiet())
    assert summary.cases == 2
    assert summary.units == "mm"
    assert summary.complete
    first, second = summary.scores
    assert (first.case, first.name, first.dice, first.hd95) == ("p1", "1", 1.0, 0.0)
    # Moved by one voxel of 1.5 mm along the file's first axis.
    assert (second.dice, second.hd95) == (pytest.approx(2 / 3), pytest.approx(1.5))
    voxels = compare(*folders, protocol="paper", console=Quiet())
    assert (voxels.units, voxels.scores[1].hd95) == ("voxels", pytest.approx(1.0))
    given = compare(*folders, spacing=(1.0, 4.0, 1.0), console=Quiet())  # slice, row, column
    assert given.scores[1].hd95 == pytest.approx(4.0)


def test_results_are_written_once(folders: tuple[Path, Path], tmp_path: Path) -> None:
    out, said = tmp_path / "out", Memory()
    compare(*folders, classes=CLASSES, out=out, hd95="larger-direction", console=said)
    content = json.loads((out / "summary.json").read_text())
    assert content["hd95_definition"] == "larger-direction"
    assert content["classes"]["LV"]["cases"] == {
        "ok": 0, "missing": 0, "spurious": 0, "absent": 2,
    }  # fmt: skip
    assert len((out / "cases.csv").read_text().splitlines()) == 1 + 2 * 2
    assert any("protocol strict" in line for line in said.lines)
    before = (out / "cases.csv").read_bytes()
    with pytest.raises(UserError, match=r"cases\.csv exists"):
        compare(*folders, out=out, protocol="paper", console=Quiet())
    assert (out / "cases.csv").read_bytes() == before
    compare(*folders, out=out, protocol="paper", overwrite=True, console=Quiet())
    assert (out / "cases.csv").read_bytes() != before


def test_files_without_a_partner_are_said(folders: tuple[Path, Path]) -> None:
    save(folders[0] / "extra.nii.gz", cube())
    save(folders[1] / "sub" / "forgotten.nii.gz", cube())
    said = Memory()
    summary = compare(*folders, console=said)
    assert summary.cases == 2
    assert [Path(name).name for name in summary.unpaired_predictions] == ["extra.nii.gz"]
    assert [Path(name).name for name in summary.unpaired_references] == ["forgotten.nii.gz"]
    assert not summary.complete
    text = "\n".join(said.lines)
    assert "1 prediction(s) without a reference" in text
    assert "forgotten.nii.gz" in text


def test_leading_zeros_may_differ_where_that_is_unambiguous(tmp_path: Path) -> None:
    for case in (1, 2):
        save(tmp_path / "pred" / f"p{case}.nii.gz", cube(2))
        save(tmp_path / "ref" / f"p00{case}_gt.nii.gz", cube(2))
    said = Memory()
    summary = compare(tmp_path / "pred", tmp_path / "ref", console=said)
    assert (summary.cases, summary.complete) == (2, True)
    assert any("2 pairs with other leading zeros" in line for line in said.lines)
    save(tmp_path / "pred" / "p01.nii.gz", cube(2))
    summary = compare(tmp_path / "pred", tmp_path / "ref", console=said)
    assert summary.cases == 1
    assert not summary.complete


def test_the_same_failure_of_many_files_is_said_once(tmp_path: Path) -> None:
    for case in range(5):
        save(tmp_path / "pred" / f"p{case}.nii.gz", cube(2)[: 4 + min(case, 3)])
        save(tmp_path / "ref" / f"p{case}.nii.gz", cube(2))
    save(tmp_path / "pred" / "q.nii.gz", cube(2))
    save(tmp_path / "ref" / "q.nii.gz", cube(2))
    said = Memory()
    summary = compare(tmp_path / "pred", tmp_path / "ref", console=said)
    assert len(summary.failed) == 5
    lines = [line for line in said.lines if line.startswith("note: skipped")]
    assert len(lines) == 2
    assert "p0.nii.gz" in lines[0]
    assert lines[1].endswith("for the same reason as p0: 4 more (p1, p2, p3, p4).")


def test_one_bad_file_is_skipped_and_counted(folders: tuple[Path, Path]) -> None:
    predictions, references = folders
    good = (predictions / "p2_pred.nii.gz").read_bytes()
    (predictions / "p2_pred.nii.gz").write_bytes(good[:60])
    said = Memory()
    summary = compare(predictions, references, console=said)
    assert summary.cases == 1
    assert list(summary.failed) == ["p2"]
    assert "p2_pred.nii.gz cannot be read" in summary.failed["p2"]
    assert "note: 1 of 2 pairs could not be scored." in said.lines


@pytest.mark.parametrize(
    ("label", "affine", "message"),
    [
        (cube()[:7], AFFINE, "has shape 7 x 9 x 5, but its reference"),
        (cube(), AFFINE + 1e-4, ""),
        (cube(), np.diag([1.5, 2.0, 9.0, 1.0]), "lies up to 4 mm away from its reference"),
        (cube(code=7), AFFINE, r"contains the class codes \[7\]"),
        (cube().astype(np.float32) / 2, AFFINE, "not whole numbers"),
    ],
)
def test_what_cannot_be_compared_is_named(
    folders: tuple[Path, Path], label: np.ndarray, affine: np.ndarray, message: str
) -> None:
    path = save(folders[0] / "p2_pred.nii.gz", label, affine)
    summary = compare(*folders, classes=CLASSES, console=Quiet())
    if not message:  # the same grid: nothing to name
        assert not summary.failed
        return
    with pytest.raises(UserError, match=message) as caught:
        compare(path, folders[1] / "p2_gt.nii.gz", classes=CLASSES, console=Quiet())
    assert "p2_pred.nii.gz" in str(caught.value)
    assert str(caught.value).endswith(summary.failed["p2"])


def test_a_pair_of_files_needs_no_common_name(tmp_path: Path) -> None:
    one, other = save(tmp_path / "x.nii", cube(2)), save(tmp_path / "y.nii.gz", cube(2))
    summary = compare(one, other, console=Quiet())
    assert [row.case for row in summary.scores] == ["y"]
    assert summary.overall["dice"].mean == 1.0


def test_a_file_against_a_folder(folders: tuple[Path, Path]) -> None:
    summary = compare(folders[0] / "p1_pred.nii.gz", folders[1], console=Quiet())
    assert (summary.cases, summary.unpaired_references) == (1, ())


def test_masks_beside_their_images(folders: tuple[Path, Path]) -> None:
    save(folders[1] / "p1.nii.gz", np.full((8, 9, 5), 200, np.int16))  # the image
    assert compare(*folders, console=Quiet()).scores[0].dice == 1.0
    save(folders[1] / "p1_seg.nii.gz", cube())
    with pytest.raises(UserError, match="have the same name 'p1'"):
        compare(*folders, console=Quiet())


def test_one_pair_that_needs_too_much_memory_is_skipped(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = module.score_files

    def score(prediction: Path, *rest: Any, **named: Any) -> Any:
        if prediction == first:
            raise MemoryError
        return whole(prediction, *rest, **named)

    first, *others = sorted(folders[0].glob("*.nii.gz"))
    monkeypatch.setattr(module, "score_files", score)
    summary = compare(*folders, console=Quiet())
    assert list(summary.failed.values()) == [
        f"{first}: not enough memory (CPU or GPU) to score it."
    ]
    assert summary.cases == len(others) == 1


def test_empty_masks_are_scored_not_skipped(folders: tuple[Path, Path]) -> None:
    save(folders[0] / "p2_pred.nii.gz", cube() * 0)
    summary = compare(*folders, missing="exclude", console=Quiet())
    assert [row.status for row in summary.scores] == ["ok", "missing"]
    save(folders[1] / "p2_gt.nii.gz", cube() * 0)
    summary = compare(*folders, console=Quiet())
    assert [(row.case, row.status) for row in summary.scores] == [("p1", "ok"), ("p2", "absent")]
    with pytest.raises(UserError, match="both masks of every pair are empty"):
        compare(folders[0] / "p2_pred.nii.gz", folders[1], console=Quiet())


def test_pictures_get_mae_per_image(tmp_path: Path) -> None:
    truth = np.zeros((4, 5), np.uint8)
    truth[:2] = 255
    guess = truth // 255
    guess[0, 0] = 0
    for folder, mask in (("pred", guess), ("ref", truth)):
        (tmp_path / folder).mkdir()
        Image.fromarray(mask).save(tmp_path / folder / "one.png")
    summary = compare(tmp_path / "pred", tmp_path / "ref", console=Quiet())
    (row,) = summary.scores
    assert summary.units == "pixels"
    assert row.mae == pytest.approx(5.0)
    assert row.iou == pytest.approx(0.9)


def test_references_of_colours_and_of_other_codes(tmp_path: Path) -> None:
    codes = np.zeros((8, 9), np.uint8)
    codes[1:4, 1:4], codes[5:7, 2:8] = 1, 2
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)[codes]
    for name, pixels in (("pred", codes), ("grey", codes * 7), ("coloured", colours)):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "a.png")
    for reference, words in (
        ("grey", ["7=liver", "14=tumour"]), ("coloured", ["#ff0000=liver", "#0000ff=tumour"]),
    ):  # fmt: skip
        names, naming = read_naming(words, None)
        summary = compare(
            tmp_path / "pred", tmp_path / reference, classes=names, naming=naming, console=Quiet()
        )
        assert [(s.name, s.metrics["dice"].mean) for s in summary.classes] == [
            ("liver", 1.0), ("tumour", 1.0),
        ]  # fmt: skip
    names, naming = read_naming(["#0000ff=liver", "#ff0000=tumour"], None)
    summary = compare(
        tmp_path / "pred", tmp_path / "coloured", classes=names, naming=naming, console=Quiet()
    )
    assert summary.overall["dice"].mean == 0.0


def test_volumes_of_other_codes(folders: tuple[Path, Path]) -> None:
    for case in ("p1", "p2"):
        save(folders[1] / f"{case}_gt.nii.gz", cube(2, code=205))
    names, naming = read_naming(["205=RV"], None)
    summary = compare(*folders, classes=names, naming=naming, console=Quiet())
    assert summary.classes[0].metrics["dice"].count == 2
    assert summary.scores[0].dice == 1.0


def test_a_mask_a_class_is_told_apart_from_masks_twice(tmp_path: Path) -> None:
    for name in ("pred/a", "ref/liver/a", "ref/tumour/a"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 9), 255, np.uint8)).save(path)
    with pytest.raises(UserError, match=r"have the same name 'a'.*one mask per class"):
        compare(tmp_path / "pred", tmp_path / "ref", console=Quiet())


def test_what_is_not_there(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="does not exist"):
        compare(tmp_path / "gone", folders[1], console=Quiet())
    with pytest.raises(UserError, match="contains no masks"):
        compare(folders[0], tmp_path / "nothing", console=Quiet())
    save(tmp_path / "other" / "q.nii.gz", cube())
    with pytest.raises(UserError, match="has a partner"):
        compare(folders[0], tmp_path / "other", console=Quiet())
    with pytest.raises(UserError, match="is a file"):
        compare(*folders, out=save(tmp_path / "o.nii", cube()), console=Quiet())


def test_the_terminal_gets_the_table(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    compare(*folders, console=Console())
    assert "mean of class means" in capsys.readouterr().out


def test_several_references_of_one_image_are_united(tmp_path: Path) -> None:
    masks, references = tmp_path / "masks", tmp_path / "references"
    for folder in (masks, references):
        folder.mkdir()
    whole = np.zeros((12, 16), np.uint8)
    whole[1:5, 1:5] = whole[7:11, 8:14] = 255

    def picture(path: Path, pixels: np.ndarray) -> None:
        Image.fromarray(pixels).save(path)

    picture(masks / "x.png", whole)
    picture(masks / "y.png", whole)
    picture(masks / "scan_1.png", whole)
    first, second = whole.copy(), whole.copy()
    first[6:], second[:6] = 0, 0
    picture(references / "x_mask.png", first)
    picture(references / "x_mask_1.png", second)
    picture(references / "y_mask_1.png", first)
    picture(references / "y_mask_2.png", second)
    picture(references / "scan_1_mask.png", whole)  # a number of the image
    summary = compare(masks, references, console=Quiet())
    assert summary.complete
    assert {row.case: row.dice for row in summary.scores} == {"x": 1.0, "y": 1.0, "scan_1": 1.0}

    # what cannot be united is not scored with a part of its references
    picture(references / "x_mask_1.png", np.where(second > 0, 2, 0).astype(np.uint8))
    picture(references / "y_mask_2.png", second[:, :-1])
    summary = compare(masks, references, console=Quiet())
    assert "number all masks of a class alike" in summary.failed["x"]
    assert "save both on the grid of the image" in summary.failed["y"]


def test_masks_of_equal_names_in_folders_are_paired_by_their_folders(tmp_path: Path) -> None:
    for patient in ("P01", "P02"):
        for visit in ("t0", "t1"):
            code = cube(2 + int(patient[-1]))
            save(tmp_path / "masks" / patient / visit / "cine.nii.gz", code)
            save(tmp_path / "references" / patient / visit / "cine_seg.nii.gz", code)
    summary = compare(tmp_path / "masks", tmp_path / "references", console=Quiet())
    assert summary.complete
    assert {row.case for row in summary.scores} == {
        f"{p}/{v}/cine" for p in ("P01", "P02") for v in ("t0", "t1")
    }
    assert {row.dice for row in summary.scores} == {1.0}
    named = compare(
        tmp_path / "masks", tmp_path / "references", patient_pattern="P[0-9]+", console=Quiet()
    )
    assert (named.cases, named.patients) == (4, 2)


def test_frames_of_one_patient_count_once(tmp_path: Path) -> None:
    for number in range(3):
        for frame in ("frame01", "frame12"):
            for folder in ("masks", "references"):
                save(tmp_path / folder / f"patient{number}_{frame}.nii.gz", cube(number))
    summary = compare(tmp_path / "masks", tmp_path / "references", console=Quiet())
    assert (summary.cases, summary.patients) == (6, 3)


def test_accents_in_any_unicode_form_are_paired(tmp_path: Path) -> None:
    save(tmp_path / "masks" / (unicodedata.normalize("NFD", "Özdemir") + ".nii.gz"), cube())
    save(tmp_path / "references" / "Özdemir.nii.gz", cube())
    assert compare(tmp_path / "masks", tmp_path / "references", console=Quiet()).complete


def test_masks_in_colours_or_in_grey_codes(tmp_path: Path) -> None:
    for folder in ("masks", "references"):
        (tmp_path / folder).mkdir()
    codes = np.zeros((12, 12), np.uint8)
    codes[1:5, 1:5], codes[7:10, 7:10] = 1, 2
    table = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0)], np.uint8)
    named, naming = read_naming(("#ff0000=a", "#00ff00=b"), None)

    def dice(mask: np.ndarray) -> float | None:
        Image.fromarray(mask).save(tmp_path / "masks/x.png")
        Image.fromarray(table[codes]).save(tmp_path / "references/x.png")
        return (
            compare(
                tmp_path / "masks",
                tmp_path / "references",
                classes=named,
                naming=naming,
                console=Quiet(),
            )
            .overall["dice"]
            .mean
        )

    assert dice(table[codes]) == 1.0
    assert dice(codes) == 1.0
    assert dice(np.repeat(codes[..., None], 3, -1)) == 1.0  # saved as RGB
    other = table.copy()
    other[1] = (254, 0, 0)
    with pytest.raises(UserError, match="has colours without a class"):
        dice(other[codes])


def test_the_coding_of_masks_is_that_of_all_of_them(folders: tuple[Path, Path]) -> None:
    masks, references = folders
    named, naming = read_naming(("2=liver", "3=tumour"), None)
    for path in [*masks.glob("*"), *references.glob("*")]:
        path.unlink()
    both = cube(1, 1) + cube(5, 2)
    save(masks / "a.nii.gz", both)
    save(masks / "b.nii.gz", cube(5, 2))  # tumour alone: 2 is also the value of the liver
    save(references / "a.nii.gz", np.array([0, 2, 3], np.uint8)[both])
    save(references / "b.nii.gz", 3 * (cube(5, 2) > 0).astype(np.uint8))
    summary = compare(masks, references, classes=named, naming=naming, console=Quiet())
    assert summary.overall["dice"].mean == 1.0
    # swapped values fit both codings: the references' values count, and it is said
    swapped, order = read_naming(("2=liver", "1=tumour"), None)
    for folder in (masks, references):
        for name in ("a", "b"):
            save(folder / f"{name}.nii.gz", both if name == "a" else cube(5, 2))
    memory = Memory()
    summary = compare(masks, references, classes=swapped, naming=order, console=memory)
    assert summary.overall["dice"].mean == 1.0
    assert any(
        "fit the values of the references and the class codes" in line for line in memory.lines
    )


def test_an_unreadable_mask_does_not_decide_the_coding(folders: tuple[Path, Path]) -> None:
    masks, references = folders
    for path in [*masks.glob("*"), *references.glob("*")]:
        path.unlink()
    named, naming = read_naming(("2=liver", "3=tumour"), None)
    label = np.array([0, 2, 3], np.uint8)[cube(1, 1) + cube(5, 2)]
    for name in ("a", "b"):
        save(masks / f"{name}.nii.gz", label)
        save(references / f"{name}.nii.gz", label)
    (masks / "b.nii.gz").write_bytes((masks / "b.nii.gz").read_bytes()[:60])
    summary = compare(masks, references, classes=named, naming=naming, console=Quiet())
    assert set(summary.failed) == {"b"}
    assert summary.overall["dice"].mean == 1.0
