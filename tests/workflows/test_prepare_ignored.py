"""``prepare`` with partly labelled images: stored labels, counts and messages."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from semiseg.console import Quiet
from semiseg.data.check import check_data
from semiseg.data.manifest import Manifest, PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError
from semiseg.workflows.inspect import inspect
from semiseg.workflows.pack import pack, unpack
from semiseg.workflows.prepare import prepare

SHAPE = (10, 9, 4)


def save(path: Path, data: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, np.diag([1.5, 1.5, 8.0, 1.0])), path)


def label(number: int, void: int = IGNORE_INDEX) -> NDArray[np.uint8]:
    codes = np.random.default_rng(number).integers(0, 3, SHAPE).astype(np.uint8)
    codes[5:] = void
    codes[..., 3] = void  # a completely ignored slice
    return codes


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Six volumes; the label of the last is completely ignored."""
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 900, SHAPE).astype(np.int16)
        save(tmp_path / "source" / "images" / f"n{number}.nii.gz", noise)
        codes = label(number) if number < 5 else np.full(SHAPE, IGNORE_INDEX, np.uint8)
        save(tmp_path / "source" / "labels" / f"n{number}.nii.gz", codes)
    return tmp_path / "source"


def run(source: Path, out: Path, **options: Any) -> Manifest:
    return prepare(source, out, console=Quiet(), **options)


def test_what_is_stored_counted_and_said(source: Path, tmp_path: Path) -> None:
    manifest = run(source, tmp_path / "data")
    data = PreparedData(tmp_path / "data")
    assert manifest.task.classes == ("background", "class 1", "class 2")
    np.testing.assert_array_equal(data.label("n0"), np.moveaxis(label(0), 2, 0))
    assert [case.labelled for case in manifest.cases] == [True] * 5 + [False]
    assert [case.unlabelled_slices for case in manifest.cases] == [(3,)] * 5 + [()]
    assert not (tmp_path / "data" / "labels" / "n5.npy").exists()
    assert "62.5% of the labelled voxels are ignored: losses and metrics exclude them." in (
        manifest.notes
    )
    assert any(note.startswith("5 slices of labelled volumes have no") for note in manifest.notes)


def test_named_codes_and_another_value(source: Path, tmp_path: Path) -> None:
    manifest = run(source, tmp_path / "one", classes=["2=liver"])
    stored = np.array(PreparedData(tmp_path / "one").label("n0"))
    expected = np.moveaxis(label(0), 2, 0)
    np.testing.assert_array_equal(stored == 1, expected == 2)
    np.testing.assert_array_equal(stored == IGNORE_INDEX, expected == IGNORE_INDEX)
    assert "codes without a class count as background: 1." in manifest.notes
    for number in range(6):
        save(source / "labels" / f"n{number}.nii.gz", label(number, 9))
    run(source, tmp_path / "two", ignore_value=9)
    np.testing.assert_array_equal(PreparedData(tmp_path / "two").label("n0"), expected)
    run(source, tmp_path / "three", classes=["1=a", "2=b"], ignore_value="9")
    np.testing.assert_array_equal(PreparedData(tmp_path / "three").label("n0"), expected)


def test_255_as_a_class(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="class code 255, which is reserved for ignored pixels"):
        run(source, tmp_path / "data", ignore_value="none")
    assert not (tmp_path / "data").exists()
    manifest = run(source, tmp_path / "data", classes=["1=a", "2=a", "255=b"])
    assert manifest.task.foreground == ("a", "b")
    assert not any(case.unlabelled_slices for case in manifest.cases)
    assert PreparedData(tmp_path / "data").label("n5").min() == 2
    for path in (source / "labels").iterdir():
        codes = np.asanyarray(nibabel.load(path).dataobj)
        save(path, np.where(codes > 0, IGNORE_INDEX, 0).astype(np.uint8))
    with pytest.raises(UserError, match=r"or ignored with the value 255.*--classes 255=NAME"):
        run(source, tmp_path / "other")


def test_slices_without_structures_are_declared_unlabelled(source: Path, tmp_path: Path) -> None:
    codes = label(0)
    codes[..., 1] = 0
    save(source / "labels" / "n0.nii.gz", codes)
    kept = run(source, tmp_path / "kept")
    declared = run(source, tmp_path / "declared", empty_slices="unlabelled")
    assert (kept.cases[0].unlabelled_slices, declared.cases[0].unlabelled_slices) == ((3,), (1, 3))
    assert (np.array(PreparedData(tmp_path / "declared").label("n0"))[1] == IGNORE_INDEX).all()
    assert not (np.array(PreparedData(tmp_path / "kept").label("n0"))[1] == IGNORE_INDEX).all()


def test_the_spacing_of_reduced_pictures(tmp_path: Path) -> None:
    for number, side in enumerate((32, 64)):
        noise = np.random.default_rng(number).integers(0, 256, (side, side)).astype(np.uint8)
        folder = tmp_path / "source"
        folder.mkdir(exist_ok=True)
        Image.fromarray(noise).save(folder / f"n{number}.png")
        Image.fromarray((noise > 128) * np.uint8(255)).save(folder / f"n{number}_mask.png")
    cases = run(tmp_path / "source", tmp_path / "data", spacing=(1.0, 0.5, 0.25), max_side=32).cases
    assert [case.spacing for case in cases] == [(1.0, 0.5, 0.25), (1.0, 1.0, 0.5)]


def test_cases_that_are_taken_over_keep_what_is_ignored(source: Path, tmp_path: Path) -> None:
    first = run(source, tmp_path / "data")
    codes = label(0)
    codes[..., 2] = IGNORE_INDEX
    save(source / "labels" / "n0.nii.gz", codes)
    changed = run(source, tmp_path / "data", overwrite=True)
    assert [case.unlabelled_slices for case in changed.cases] == [(2, 3), *[(3,)] * 4, ()]
    assert [case.labelled for case in changed.cases] == [case.labelled for case in first.cases]
    assert any(note.startswith("6 slices of labelled") for note in changed.notes)
    assert run(source, tmp_path / "data") == changed  # nothing to do
    for options in ({"ignore_value": "none"}, {"ignore_value": 9}, {"empty_slices": "unlabelled"}):
        with pytest.raises(UserError, match="made with other options"):
            run(source, tmp_path / "data", **options)


def test_it_is_checked_packed_and_inspected(source: Path, tmp_path: Path) -> None:
    manifest = run(source, tmp_path / "data")
    data = check_data(tmp_path / "data")
    pack(data.folder, tmp_path / "x.semiseg", console=Quiet())
    unpack(tmp_path / "x.semiseg", tmp_path / "back", console=Quiet())
    back = check_data(tmp_path / "back")
    assert [case.unlabelled_slices for case in back.manifest.cases] == [
        c.unlabelled_slices for c in manifest.cases
    ]
    for case in manifest.cases[:5]:
        name = case.identifier
        np.testing.assert_array_equal(back.label(name), data.label(name))
    found = inspect(tmp_path / "data", console=Quiet())
    assert [case.labelled_share for case in found.cases[:5]] == pytest.approx([0.375] * 5)
    counts = [structure.voxels for structure in found.cases[0].structures]
    assert counts == [int((label(0) == code).sum()) for code in (1, 2)]
    wrong = np.array(data.label("n1"))
    wrong[0, 0, 0] = 3
    np.save(tmp_path / "data" / "labels" / "n1.npy", wrong)
    with pytest.raises(UserError, match="holds class code 3"):
        check_data(tmp_path / "data")
