"""``inspect``: the same facts for a source and its prepared data set, as text, JSON, CSV and HTML."""

import csv
import json
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from semiseg.console import Console, Quiet
from semiseg.data.manifest import Case, PreparedData
from semiseg.errors import RunFailure, UserError
from semiseg.evaluation.resize_upper_bound import resize_upper_bound
from semiseg.reporting import inspection_page
from semiseg.reporting.inspection import content
from semiseg.workflows import inspect as workflow
from semiseg.workflows.inspect import inspect
from semiseg.workflows.prepare import prepare


@pytest.fixture(scope="module")
def polyps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen pictures, two per patient, twelve with a mask; the last is a copy of the first."""
    folder = tmp_path_factory.mktemp("source") / "polyps"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    rows, columns = np.mgrid[:40, :48]
    for number in range(14):
        rng = np.random.default_rng(number)
        disc = np.hypot(rows - rng.integers(14, 26), columns - rng.integers(14, 34)) < 9
        texture = np.kron(rng.integers(0, 80, (10, 12)), np.ones((4, 4)))
        picture = np.stack([disc * 60 + texture + 40 * channel for channel in range(3)], axis=2)
        name = f"polyp{chr(97 + number)}"
        if number == 13:
            picture = np.asarray(Image.open(folder / "images" / "polypa.png")) * 0.9
        Image.fromarray(picture.astype(np.uint8)).save(folder / "images" / f"{name}.png")
        if number < 12:
            Image.fromarray(255 * disc.astype(np.uint8)).save(folder / "masks" / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def prepared(polyps: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "data"
    prepare(polyps, folder, console=Quiet())
    return folder


@pytest.fixture(scope="module")
def written(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "new" / "inspection"
    inspect(prepared, folder, size=32, console=Quiet())
    return folder


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "inspect.json").read_text("utf-8"))


def test_a_source_and_its_prepared_set_give_the_same_facts(
    polyps: Path,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    of_source = content(inspect(polyps, console=Console()))
    said = capsys.readouterr().out
    assert re.match(
        rf"{polyps} is not prepared: preparing it in the temporary folder {tmp_path}/\S+", said
    )
    assert list(tmp_path.glob("semiseg*")) == []
    of_data = content(inspect(prepared, console=Quiet()))
    assert of_source.pop("data") == str(polyps)
    assert of_data.pop("data") == str(prepared)
    assert of_source == of_data


def test_what_is_found_is_what_is_there(prepared: Path, written: Path) -> None:
    data, found = PreparedData(prepared), read(written)
    assert found["counts"]["All"] == "14 pictures"
    assert found["counts"]["Labelled"] == "12 pictures"
    labels = [np.asarray(data.label(c.identifier)) for c in data.manifest.cases if c.labelled]
    upper_bound = resize_upper_bound(labels, 32, data.task.classes)
    assert found["upper_bound"]["foreground"] == pytest.approx(upper_bound["foreground"], rel=1e-5)
    (facts,) = found["classes"]
    assert (facts["cases"], facts["slices"]) == (12, 12)
    pixels = sum(int((label > 0).sum()) for label in labels)
    assert facts["share"] == pytest.approx(pixels / (12 * 40 * 48), rel=1e-5)
    case = found["cases"][3]
    image = np.asarray(data.image(case["identifier"]))
    assert (case["lowest"], case["highest"]) == (image.min(), image.max())
    assert case["median"] == pytest.approx(np.median(image))
    assert case["foreground: voxels"] == (data.label(case["identifier"]) > 0).sum()
    parts = {c["identifier"]: c["part"] for c in found["cases"]}
    assert set(parts.values()) == {"train", "validation", "test"}
    kinds = {warning["kind"]: warning for warning in found["warnings"]}
    near = [kind for kind in kinds if kind.startswith("near-duplicates")]
    assert [kinds[kind]["pairs"] for kind in near] == [[["polypa", "polypn"]]]


def test_text_json_csv_and_page_agree(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspect(prepared, tmp_path / "out", size=32, console=Console())
    said, found = capsys.readouterr().out, read(tmp_path / "out")
    page = (tmp_path / "out" / "page.html").read_text("utf-8")
    inspect(prepared, size=32, json=True, console=Console())
    assert json.loads(capsys.readouterr().out) == found
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [list(row) for row in rows] == [list(row) for row in found["cases"]]
    for row, case in zip(rows, found["cases"], strict=True):
        assert row == {key: "" if value is None else str(value) for key, value in case.items()}
        share = case["foreground: share"]
        cell = "-" if share is None else f"{100 * share:.3g}%"
        assert re.search(rf"^  {case['identifier']} .* {re.escape(cell)}$", said, re.MULTILINE)
        assert case["identifier"] in page
    assert found["warnings"]
    for warning in found["warnings"]:
        assert warning["sentence"] in said
        assert warning["sentence"].replace("'", "&#39;") in page
    for value in found["counts"].values():
        assert value in said
        assert value in page
    upper_bound = f"{found['upper_bound']['foreground']:.3f}"
    assert upper_bound in said
    assert f"<td>{upper_bound}</td>" in page
    assert "of all labelled pixels" in page  # pictures have no voxels
    assert "voxel" not in page


def test_the_page_holds_all_it_shows(written: Path) -> None:
    page = (written / "page.html").read_text("utf-8")
    assert sorted(path.name for path in written.iterdir()) == [
        "cases.csv", "inspect.json", "page.html",
    ]  # fmt: skip
    assert not re.search(r"<script|@import|https?://(?!www\.w3\.org)|url\((?!#)", page)
    # the pair next to its warning, and all 14 pictures on the contact sheet
    sheet = page[page.index('id="sheet"') :]
    assert sheet.count("<img ") == 14
    assert "12 of 12 labelled images" in sheet
    assert "2 of 2 unlabelled images" in sheet
    assert '<div class="pair">' in page[: page.index('id="sheet"')]
    assert page.count('<svg role="img"') == 2  # intensities, sizes of the only class
    assert page.index('id="warnings"') < page.index('id="task"')


def test_empty_masks_of_pictures_have_pixels(tmp_path: Path) -> None:
    for number in range(3):
        for folder, top in (("images", 200), ("masks", 1)):
            values = np.random.default_rng(number).integers(0, top, (20, 20)).astype(np.uint8)
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(values).save(tmp_path / folder / f"p{number}.png")
    with pytest.raises(UserError, match=r"no foreground \(every pixel is background\)"):
        inspect(tmp_path, console=Quiet())


def test_outlines_in_large_pictures_are_found_before_they_are_reduced(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(4):
        picture = Image.effect_noise((640, 600), 40 + number)
        mask = Image.new("L", picture.size)
        place = (100 + 20 * number, 150, 300, 380 + 10 * number)
        ImageDraw.Draw(mask).ellipse(place, outline=255, width=1)
        for folder, made in (("images", picture), ("masks", mask)):
            (source / folder).mkdir(parents=True, exist_ok=True)
            made.save(source / folder / f"p{number}.png")
    found = inspect(source, console=Quiet())
    assert found.findings[0].kind == "outlines"
    assert found.findings[0].level == "serious"
    assert any(
        note.startswith("4 masks (such as p0.png) are thin closed lines, which break")
        for note in found.manifest.notes
    )
    whole = inspect(source, max_side=640, console=Quiet())  # nothing is reduced
    assert "outlines" in {finding.kind for finding in whole.findings}
    assert not any(case.case.outlined for case in whole.cases)


def test_volumes_of_several_geometries(tmp_path: Path) -> None:
    import nibabel

    for number in range(6):
        rng = np.random.default_rng(number)
        image = rng.integers(0, 200, (20 + number, 18, 5)).astype(np.int16)
        label = np.zeros(image.shape, np.uint8)
        label[4:9, 4:9, 1:4] = 1
        affine = np.diag([-1.5 if number == 2 else 1.5, 1.5, 4 + number, 1])
        for kind, array in (("images", image), ("labels", label)):
            (tmp_path / "source" / kind).mkdir(parents=True, exist_ok=True)
            path = tmp_path / "source" / kind / f"p{number}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(array, affine), path)
    found = inspect(
        tmp_path / "source", tmp_path / "out", classes=["liver"], console=Quiet()
    )  # fmt: skip
    kinds = {finding.kind: finding.cases for finding in found.findings}
    assert kinds["mixed-orientations"] == ("p2",)
    assert found.classes[0].name == "liver"
    assert found.classes[0].unit == "ml"
    page = (tmp_path / "out" / "page.html").read_text("utf-8")
    for title in ("Spacing, slice", "Number of rows"):
        assert title in page
    assert "Number of columns" not in page
    assert "slice 2 of 5" in page
    assert "of all labelled voxels" in page


def test_a_manifest_with_a_patient_in_two_parts(prepared: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(prepared, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    twice = manifest["split"]["test"][0]
    manifest["split"]["train"].append(twice)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=f"{twice} is in train and in test: prepare the data again"):
        inspect(copy, console=Quiet())


def test_sound_data_have_no_warning(
    polyps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(polyps, tmp_path / "sound")
    (tmp_path / "sound" / "images" / "polypn.png").unlink()
    found = inspect(tmp_path / "sound", tmp_path / "out", console=Console())
    assert found.findings == ()
    assert "warnings: none" in capsys.readouterr().out
    assert "None: no duplicates" in (tmp_path / "out" / "page.html").read_text("utf-8")


# ---------------------------------------------------------------------------------------- refusals


def refuse(message: str, *args: Any, **options: Any) -> None:
    with pytest.raises(UserError, match=message) as raised:
        inspect(*args, console=Quiet(), **options)
    assert "\n" not in str(raised.value)


def test_an_inspection_is_replaced_only_where_asked(prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    inspect(prepared, out, size=32, console=Quiet())
    before = (out / "inspect.json").read_bytes()
    refuse("exists: choose another folder, or replace it with --overwrite", prepared, out, size=64)
    assert (out / "inspect.json").read_bytes() == before
    inspect(prepared, out, size=64, overwrite=True, console=Quiet())
    assert read(out)["size"] == 64
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    refuse("is not an inspection, so it is not replaced", prepared, other, overwrite=True)
    refuse("is a file", prepared, other / "mine.txt", overwrite=True)
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


def test_wrong_input_is_refused(prepared: Path, polyps: Path, tmp_path: Path) -> None:
    refuse("nowhere does not exist", tmp_path / "nowhere")
    refuse("is a file", polyps / "images" / "polypa.png")
    refuse("has no known layout", _made(tmp_path / "empty"))
    refuse("--size 7", prepared, size=7)
    refuse("--layout needs a folder of images", prepared, layout="pictures")
    refuse("--patient-pattern needs a folder of images", prepared, patient_pattern="(.)")
    refuse("Unknown layout 'pictres'", polyps, layout="pictres")
    for inside in (prepared, prepared / "report"):
        refuse("lies within the data", prepared, inside)
    assert not (prepared / "report").exists()


def test_what_fails_leaves_nothing_behind(
    polyps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(_made(tmp_path / "temporary")))
    source = tmp_path / "source"
    shutil.copytree(polyps, source)
    bad = source / "images" / "polypm.png"
    bad.write_bytes(bad.read_bytes()[:60])
    refuse("polypm.png", source, tmp_path / "deep" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "temporary"]
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["prepare", "measure", "lines"])
def test_a_signal_leaves_no_temporary_folder(
    polyps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = getattr(workflow, step)

    def disturbed(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), number)
        return before(*args, **options)

    monkeypatch.setattr(workflow, step, disturbed)
    # Ctrl-C is ignored in a background job of a shell, as the tests may be
    for signal_, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        signal.signal(signal_, usual)
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        inspect(polyps, size=32, console=Quiet())
    assert list(tmp_path.iterdir()) == []
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_damaged_prepared_set_is_refused(prepared: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(prepared, copy)
    path = copy / "images" / "polypc.npy"
    np.save(path, np.zeros((1, 3, 7, 7), np.uint8))
    refuse("does not have the shape in the manifest", copy)
    path.write_bytes(path.read_bytes()[:40])
    refuse(r"polypc\.npy is missing or damaged", copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "cases": []}))
    refuse("lists no case", copy)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_lack_of_memory_names_the_image(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = workflow.measure

    def measure(case: Case, *given: Any) -> Any:
        if case.identifier == "polypc":
            raise MemoryError
        return whole(case, *given)

    with monkeypatch.context() as patch:
        patch.setattr(workflow, "measure", measure)
        with pytest.raises(RunFailure, match=r"^polypc: not enough memory .* to inspect it"):
            inspect(prepared, tmp_path / "out", console=Quiet())

    def overlay(*given: Any, **named: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(inspection_page, "overlay", overlay)
    with pytest.raises(RunFailure, match=r"^polyp\w: not enough memory .* to draw it"):
        inspect(prepared, tmp_path / "out", console=Quiet())
    assert not list((tmp_path / "out").glob("*"))
