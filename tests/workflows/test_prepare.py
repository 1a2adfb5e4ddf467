"""``prepare``: its result, its errors, and existing files that it must not change."""

import contextlib
import json
import os
import resource
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from semiseg.console import Console, Quiet
from semiseg.data.manifest import Manifest, PreparedData
from semiseg.errors import UserError
from semiseg.workflows.prepare import prepare


def codes(seed: int, shape: tuple[int, ...] = (10, 9, 4)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint8)


def save(path: Path, data: NDArray[Any], spacing: float = 8.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, np.diag([1.5, 1.5, spacing, 1.0])), path)


@pytest.fixture
def hearts(tmp_path: Path) -> Path:
    """Six labelled patients of two phases and two unlabelled ones."""
    source = tmp_path / "hearts"
    for number in range(1, 9):
        for phase in ("ED", "ES"):
            name = f"phantom{number:03d}_{phase}.nii.gz"
            label = codes(10 * number + len(phase))
            noise = np.random.default_rng(number).integers(0, 20, label.shape)
            save(source / "images" / name, (100 * label + noise).astype(np.int16))
            if number <= 6:
                save(source / "labels" / name, label)
    names = {"0": "background", "1": "RV", "2": "Myo", "3": "LV"}
    (source / "dataset.json").write_text(json.dumps({"labels": names}))
    return source


def run(source: Path, out: Path, **options: Any) -> Manifest:
    return prepare(source, out, console=Quiet(), **options)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def test_what_is_prepared_can_be_opened(hearts: Path, tmp_path: Path) -> None:
    written = run(hearts, tmp_path / "new" / "data")
    data = PreparedData(tmp_path / "new" / "data")
    assert data.manifest == written
    assert data.task.classes == ("background", "RV", "Myo", "LV")
    assert data.task.spacing == (8.0, 1.5, 1.5)
    assert data.task.median_shape == (4, 10, 9)
    assert data.task.intensity.kind == "percentile"
    assert len(data.cases) == 16
    case = data.cases["phantom002_ES"]
    assert (case.patient, case.shape, case.labelled) == ("phantom002", (4, 1, 10, 9), True)
    source = nibabel.load(hearts / "images" / "phantom002_ES.nii.gz")
    voxels = np.asanyarray(source.dataobj)
    np.testing.assert_array_equal(data.image(case.identifier)[:, 0], np.moveaxis(voxels, 2, 0))
    assert data.image(case.identifier).dtype == np.int16
    assert case.bounds == pytest.approx(np.percentile(voxels, [0.5, 99.5]))
    assert case.affine is not None
    np.testing.assert_allclose(case.affine, source.affine)
    np.testing.assert_array_equal(data.label(case.identifier), np.moveaxis(codes(22), 2, 0))
    assert not (data.folder / "labels" / "phantom007_ED.npy").exists()
    split = data.manifest.split
    assert {"phantom007", "phantom008"} <= set(split.train)
    assert (len(split.validation), len(split.test)) == (1, 1)
    assert not [path for path in (tmp_path / "new").iterdir() if path.name.startswith(".")]


def test_it_says_what_it_found(
    hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(hearts, tmp_path / "data", console=Console())
    said = capsys.readouterr().out
    assert "layout 'volumes'" in said
    assert "found: 8 patients = 16 volumes = 64 slices" in said
    assert "unlabelled: 2 patients = 4 volumes = 16 slices" in said
    assert "spacing: 8 x 1.5 x 1.5 mm" in said
    counts = np.bincount(np.concatenate([codes(10 * n + 2).ravel() for n in range(1, 7)]))
    assert f"RV {100 * counts[1] / counts.sum():.3g}%" in said
    assert "train: 6 patients = 12 volumes = 48 slices, 4 of them unlabelled" in said


def test_a_dry_run_says_the_same_and_writes_nothing(
    hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dry = prepare(hearts, tmp_path / "data", dry_run=True)
    dry_said = capsys.readouterr().out.splitlines()
    assert not (tmp_path / "data").exists()
    assert dry == prepare(hearts, tmp_path / "data")
    assert capsys.readouterr().out.splitlines()[:-1] == dry_said[:-1]
    assert "was not written" in dry_said[-1]


def _unlabelled(source: Path) -> None:
    for path in (source / "labels").iterdir():
        path.unlink()


def _constant(source: Path) -> None:
    save(source / "images" / "phantom003_ED.nii.gz", np.full((10, 9, 4), 7, np.int16))


def _not_a_number(source: Path) -> None:
    voxels = codes(1).astype(np.float32)
    voxels[2, 2, 2] = np.nan
    save(source / "images" / "phantom003_ED.nii.gz", voxels)


def _series(source: Path) -> None:
    save(source / "images" / "phantom003_ED.nii.gz", codes(1, (10, 9, 4, 5)))


def _truncated(source: Path) -> None:
    path = source / "images" / "phantom003_ED.nii.gz"
    path.write_bytes(path.read_bytes()[:-60])


def _other_code(source: Path) -> None:
    save(source / "labels" / "phantom003_ED.nii.gz", codes(1) * 2)


def _other_shape(source: Path) -> None:
    save(source / "labels" / "phantom003_ED.nii.gz", codes(1, (9, 10, 4)))


def _other_grid(source: Path) -> None:
    save(
        source / "labels" / "phantom003_ED.nii.gz", codes(1), spacing=10.0
    )  # no origin: a lost header


def _duplicate(source: Path) -> None:
    save(source / "more" / "images" / "phantom003_ED.nii.gz", codes(1))


def _two_parts(source: Path) -> None:
    for part, phase in (("train", "ED"), ("test", "ES")):
        for kind in ("images", "labels"):
            save(source / part / kind / f"phantom020_{phase}.nii.gz", codes(1))


def _nothing_marked(source: Path) -> None:
    for path in (source / "labels").iterdir():
        save(path, np.zeros((10, 9, 4), np.uint8))


FAULTS = {
    _unlabelled: "no label",
    _constant: r"phantom003_ED\.nii\.gz is constant",
    _not_a_number: r"phantom003_ED\.nii\.gz contains NaN",
    _series: r"phantom003_ED\.nii\.gz has 4 axes",
    _truncated: r"phantom003_ED\.nii\.gz cannot be read",
    _other_code: r"phantom003_ED\.nii\.gz holds class code 6, but there are only 4",
    _other_shape: r"phantom003_ED\.nii\.gz has shape 9 x 10 x 4",
    _other_grid: "affines differ",
    _duplicate: "same identifier 'phantom003_ED'",
    _two_parts: "'phantom020' is in train and in test",
    _nothing_marked: "labels have no foreground",
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__.strip("_"))
@pytest.mark.parametrize("dry_run", [False, True])
def test_nonsense_is_refused_and_what_existed_stays(
    hearts: Path, tmp_path: Path, spoil: Any, dry_run: bool
) -> None:
    out = tmp_path / "data"
    run(hearts, out)
    before = tree(out)
    spoil(hearts)
    with pytest.raises(UserError, match=FAULTS[spoil]) as raised:
        run(hearts, out, overwrite=True, dry_run=dry_run)
    assert "\n" not in str(raised.value)
    assert tree(out) == before
    assert {path.name for path in tmp_path.iterdir()} - {".data.partial"} == {"data", "hearts"}
    with pytest.raises(UserError, match=FAULTS[spoil]):
        run(hearts, tmp_path / "deep" / "other", dry_run=dry_run)
    deep = [path.name for path in tmp_path.glob("deep/*")]
    assert deep in ([], [".other.partial"])  # the cases that could be read, for the next try
    assert not (dry_run and deep)


def test_other_options_need_overwrite(hearts: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    run(hearts, out)
    before = tree(out)
    with pytest.raises(UserError, match=r"other options \(classes\): use --overwrite"):
        run(hearts, out, classes=["a", "b", "c"])
    assert tree(out) == before
    again = run(hearts, out, overwrite=True, classes=["a", "b", "c"])
    assert PreparedData(out).manifest == again
    assert again.task.classes == ("background", "a", "b", "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "hearts"]


def test_only_prepared_data_is_ever_replaced(hearts: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter1").write_text("dear")
    for out, word in (
        (thesis, "is not a prepared data set"),
        (hearts, "contains the source"),
        (tmp_path, "contains the source"),
        (thesis / "chapter1", "is a file"),
    ):
        before = tree(tmp_path)
        with pytest.raises(UserError, match=word):
            run(hearts, out, overwrite=True)
        assert tree(tmp_path) == before
    (tmp_path / "empty").mkdir()
    run(hearts, tmp_path / "empty")
    assert len(PreparedData(tmp_path / "empty").cases) == 16


def test_wrong_options_are_refused_before_anything(hearts: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["phantom001"], "test": ["phantom01"]}))
    bad: list[tuple[dict[str, Any], str]] = [
        ({"layout": "niftii"}, "did you mean 'nifti'"),
        ({"layout": "pictures"}, "holds no image of this layout"),
        ({"classes": ["RV", "RV"]}, "--classes"),
        ({"classes": ["RV"]}, "only 2 classes"),
        ({"patient_pattern": "x(.*)"}, "--patient-pattern"),
        ({"spacing": (0.0, 1.0, 1.0)}, "--spacing"),
        ({"split": split}, "'phantom01' in test is not among"),
    ]
    for options, word in bad:
        with pytest.raises(UserError, match=word):
            run(hearts, tmp_path / "data", **options)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["hearts", "split.json"]
    split.write_text(json.dumps({"train": ["phantom007"], "test": ["phantom001"]}))
    with pytest.raises(UserError, match="no labelled patient for training"):
        run(hearts, tmp_path / "data", split=split)


def test_a_given_split_and_spacing_are_kept(hearts: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["phantom002"], "validation": ["phantom001"]}))
    manifest = run(hearts, tmp_path / "data", split=split, spacing=(5.0, 2.0, 2.0))
    assert manifest.split.train == ("phantom002", "phantom007", "phantom008")
    assert manifest.split.validation == ("phantom001",)
    assert manifest.task.spacing == (5.0, 2.0, 2.0)
    assert any(
        "unused because in no part of the split: 4 patients" in note for note in manifest.notes
    )


def test_unnamed_classes_are_counted(hearts: Path, tmp_path: Path) -> None:
    (hearts / "dataset.json").unlink()
    manifest = run(hearts, tmp_path / "data")
    assert manifest.task.classes == ("background", "class 1", "class 2", "class 3")
    for path in (hearts / "labels").iterdir():
        save(path, (codes(1) > 1) * np.uint8(200))
    with pytest.raises(UserError, match="holds class code 200, but code 1 does not occur"):
        run(hearts, tmp_path / "other")


def test_differences_among_the_images_are_said(hearts: Path, tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        path = hearts / kind / "phantom001_ED.nii.gz"
        voxels = np.asanyarray(nibabel.load(path).dataobj)
        mirrored = nibabel.Nifti1Image(voxels, np.diag([8.0, -1.5, 1.5, 1.0]))
        nibabel.save(mirrored, path)
    notes = run(hearts, tmp_path / "data", classes=["a", "b", "c", "d"]).notes
    assert any("have different orientations (RAS 15, RPS 1)" in note for note in notes)
    assert "the slice axis differs between files: axis 0 in 1, axis 2 in 15." in notes
    assert "class 'd' (code 4) occurs in no label." in notes


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """Simulate a full disk: no file may exceed 600 bytes.

    Only within the block, since the test runner also writes files.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(hearts: Path, tmp_path: Path) -> None:
    refusal = pytest.raises(UserError, match=r"data cannot be written \(.*\): free space")
    with refusal, small_files():
        run(hearts, tmp_path / "deep" / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["hearts"]


def test_a_folder_that_cannot_be_made_is_one_sentence(hearts: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written"):
        run(hearts, tmp_path / "file" / "data")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if not os.access(locked, os.W_OK):  # not if the user may write everywhere
        with pytest.raises(UserError, match="cannot be written"):
            run(hearts, locked / "data")
    assert list(locked.iterdir()) == []


def test_pictures(tmp_path: Path) -> None:
    source = tmp_path / "polyps"
    disc = np.hypot(*np.mgrid[-32:32, -48:48]) < 20
    for number in range(6):
        for kind in ("images", "masks"):
            (source / kind).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (64, 96, 3)).astype(np.uint8)
        Image.fromarray(noise).save(source / "images" / f"n{number}.jpg")
        Image.fromarray(disc * np.uint8(255)).save(source / "masks" / f"n{number}.jpg")
    manifest = run(source, tmp_path / "data", max_side=48)
    assert manifest.task.classes == ("background", "foreground")
    assert manifest.task.kind == "pictures"
    assert manifest.task.median_shape == (1, 32, 48)
    assert any("6 masks have grey edges" in note for note in manifest.notes)
    assert any("6 pictures were reduced" in note for note in manifest.notes)
    data = PreparedData(tmp_path / "data")
    assert data.image("n0").dtype == np.uint8
    assert data.image("n0").shape == (1, 3, 32, 48)
    assert data.cases["n0"].bounds == (0.0, 255.0)
    assert data.label("n0").mean() == pytest.approx(disc.mean(), rel=0.05)


@pytest.mark.parametrize("jobs", [1, 2])
def test_memory_holds_as_many_cases_as_jobs(tmp_path: Path, jobs: int) -> None:
    source = tmp_path / "many"
    for number in range(12):
        voxels = np.random.default_rng(number).integers(0, 50, (64, 64, 40)).astype(np.int16)
        for kind in ("images", "labels"):
            data = voxels if kind == "images" else (voxels > 40).astype(np.uint8)
            path = source / kind / f"c{number}.nii"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)
    run(source, tmp_path / "warm", jobs=jobs)
    peaks = []
    for count in (12, 4):  # many cases by several threads, few by one
        for number in range(count, 12):
            for kind in ("images", "labels"):
                (source / kind / f"c{number}.nii").unlink()
        tracemalloc.start()
        run(source, tmp_path / f"out{count}", jobs=jobs if count == 12 else 1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 1.2 * jobs * peaks[1]


def real(name: str) -> Path:
    here = Path(os.environ.get("SEMISEG_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (here / name).is_dir():
        pytest.skip(f"{name} is not there: set SEMISEG_DATA to the folder that holds it")
    return here / name


def test_the_real_acdc(tmp_path: Path) -> None:
    manifest = run(real("acdc"), tmp_path / "data")
    data = PreparedData(tmp_path / "data")
    train = data.of_patients(manifest.split.train)
    assert (len(manifest.split.train), len(train)) == (70, 140)
    assert sum(case.slices for case in train) == 1312
    validation = data.of_patients(manifest.split.validation)
    assert (len(manifest.split.validation), len(validation)) == (10, 20)
    order = manifest.split.labelled_order
    assert order is not None
    assert order[:7] == tuple(f"patient{n:03d}" for n in (99, 38, 50, 100, 58, 21, 49))
    for budget, slices in ((1, 32), (3, 68), (7, 136)):
        assert sum(case.slices for case in data.of_patients(order[:budget])) == slices


def test_the_real_hippocampus(tmp_path: Path) -> None:
    manifest = run(real("hippocampus"), tmp_path / "data")
    assert len(manifest.cases) == 195
    assert manifest.task.classes == ("background", "Anterior", "Posterior")
    assert {case.slice_axis for case in manifest.cases} == {2}


def test_the_real_polyps(tmp_path: Path) -> None:
    manifest = run(real("kvasir-seg"), tmp_path / "data", dry_run=True, classes=["polyp"])
    assert len(manifest.cases) == 799
    assert manifest.task.classes == ("background", "polyp")
