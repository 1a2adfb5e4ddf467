"""prepare, train, evaluate, predict and report, with volumes and with pictures."""

import csv
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from commandline import call, process, refused, small, tree, well
from PIL import Image
from scipy import ndimage

from semiseg.csv_files import read_csv
from semiseg.data.manifest import PreparedData


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_explains_itself(run: Path, data: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    assert facts["data"] == str(data)
    assert "train" in facts["command"]
    assert facts["origins"]["training.iterations"] == "--set"
    assert json.loads((run / "finished.json").read_text())["iterations"] == 6
    assert [row["step"] for row in rows(run / "metrics.csv")] == list("123456")
    assert [row["step"] for row in rows(run / "validation.csv")] == ["3", "6"]
    assert len(json.loads((run / "split.json").read_text())["labelled"]) == 2
    assert {path.name for path in (run / "weights").iterdir()} == {
        "best.safetensors", "last.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize("network", ["unet", "swin"])
@pytest.mark.parametrize(("part", "cases"), [("validation", 2), ("test", 4)])
@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_evaluate(
    run: Path, tmp_path: Path, network: str, part: str, cases: int, protocol: str
) -> None:
    said = well(
        call(
            "evaluate", run, "--on", part, "--network", network, "--protocol", protocol,
            "-o", tmp_path / "scores",
        )
    )  # fmt: skip
    assert f"{network} (best weights) on {part}: {cases} cases" in said.out
    assert f"protocol {protocol}" in said.out
    scored = rows(tmp_path / "scores" / "cases.csv")
    assert len(scored) == 3 * cases
    assert {row["protocol"] for row in scored} == {protocol}
    assert all(0 <= float(row["dice"]) <= 1 for row in scored if row["dice"])
    summary = json.loads((tmp_path / "scores" / "summary.json").read_text())
    assert (summary["cases"], list(summary["classes"])) == (cases, ["RV", "Myo", "LV"])


def test_scores_land_in_the_run_unless_told_otherwise(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    well(call("evaluate", mine, "--weights", "last", "--threads", "1"))
    well(call("evaluate", mine, "--on", "validation", "--network", "swin", "--flips"))
    assert {path.name for path in (mine / "evaluation").iterdir()} == {
        "test-unet-last", "validation-swin-flips",
    }  # fmt: skip
    said = well(call("report", mine))
    page = (mine / "report.html").read_text()
    assert str(mine / "report.html") in said.out
    assert "<html" in page
    assert "swin" in page


def oblique(path: Path, seed: int) -> np.ndarray:
    """Write an image on a rotated anisotropic grid; return its affine."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = axes * (1.4, 1.7, 9.0)
    affine[:3, 3] = rng.normal(0, 50, 3)
    image = rng.integers(0, 900, (50, 41, 5)).astype(np.int16)
    nifti = nibabel.Nifti1Image(image, affine)
    nifti.header["descrip"] = b"kept"
    nibabel.save(nifti, path)
    return affine


def test_predict_writes_on_the_input_grid(run: Path, tmp_path: Path) -> None:
    images = tmp_path / "new scans"
    images.mkdir()
    affines = {name: oblique(images / name, n) for n, name in enumerate(("a.nii", "b.nii.gz"))}
    before = tree(images)
    said = well(process("predict", run, images, "-o", tmp_path / "masks", "--probabilities"))
    assert "2 masks written" in said.out
    assert tree(images) == before
    for name, affine in affines.items():
        source = nibabel.load(images / name)
        mask = nibabel.load(tmp_path / "masks" / f"{name.split('.')[0]}.nii.gz")
        codes = np.asanyarray(mask.dataobj)
        assert codes.shape == source.shape == (50, 41, 5)
        assert mask.get_data_dtype() == codes.dtype == np.uint8
        assert set(np.unique(codes)) <= {0, 1, 2, 3}
        np.testing.assert_allclose(mask.affine, affine, atol=1e-4)
        np.testing.assert_array_equal(mask.affine, source.affine)
        assert mask.header.get_zooms() == source.header.get_zooms()
        assert mask.header["descrip"] == b"kept"
        beside = nibabel.load(tmp_path / "masks" / f"{name.split('.')[0]}_prob.nii.gz")
        values = np.asanyarray(beside.dataobj)
        assert values.shape == (50, 41, 5, 4)
        np.testing.assert_allclose(values.sum(-1), 1, atol=1e-5)
        np.testing.assert_array_equal(values.argmax(-1), codes)
        np.testing.assert_array_equal(beside.affine, source.affine)
    well(
        call(
            "predict", run, images / "a.nii", "-o", tmp_path / "flipped", "--flips",
            "--probabilities", "--network", "swin",
        )
    )  # fmt: skip
    well(
        call(
            "predict", run, images / "a.nii", "-o", tmp_path / "plain", "--probabilities",
            "--network", "swin",
        )
    )  # fmt: skip
    one, other = (
        np.asanyarray(nibabel.load(tmp_path / name / "a_prob.nii.gz").dataobj)
        for name in ("flipped", "plain")
    )
    assert np.abs(one - other).max() > 1e-6
    words = ("predict", run, images / "a.nii", "-o", tmp_path / "plain", "--network", "swin")
    refused(call(*words, "--largest"), "largest components only no")
    well(call(*words, "--largest", "--overwrite"))
    codes = np.asanyarray(nibabel.load(tmp_path / "plain" / "a.nii.gz").dataobj)
    pieces = [ndimage.label(codes == code)[1] for code in (1, 2, 3)]
    assert max(pieces) == 1, "at least one class is predicted, as one component"


def test_one_bad_image_is_skipped_and_the_exit_code_tells(run: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number, name in enumerate(("a.nii.gz", "bad.nii.gz", "c.nii.gz")):
        oblique(images / name, number)
    whole = (images / "bad.nii.gz").read_bytes()
    (images / "bad.nii.gz").write_bytes(whole[: len(whole) // 2])
    series = np.random.default_rng(0).integers(0, 9, (40, 40, 4, 3)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(series, np.eye(4)), images / "cine.nii.gz")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(images / "slide.png")
    said = call("predict", run, images, "-o", tmp_path / "masks")
    assert said.code == 1
    assert "2 masks written" in said.out
    assert "3 failed" in said.out
    notes = [line for line in said.out.splitlines() if line.startswith("note: skipped: ")]
    assert ["bad.nii.gz" in notes[0], "cine.nii.gz" in notes[1], "slide.png" in notes[2]] == [
        True, True, True,
    ]  # fmt: skip
    assert "truncated or damaged" in notes[0]
    assert "trained on volumes" in notes[2]
    assert {p.name for p in (tmp_path / "masks").glob("*.nii.gz")} == {"a.nii.gz", "c.nii.gz"}

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "masks").glob("*.nii.gz")}
    (images / "bad.nii.gz").write_bytes(whole)
    (images / "cine.nii.gz").unlink()
    (images / "slide.png").unlink()
    said = well(call("predict", run, images, "-o", tmp_path / "masks"))
    assert "kept: 2 masks" in said.out
    assert "1 mask written" in said.out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    said = well(call("predict", run, images, "-o", tmp_path / "masks", "--overwrite"))
    assert "3 masks written" in said.out
    assert all(path.stat().st_mtime_ns > time for path, time in before.items())


def test_predicted_masks_score_as_the_run_does(
    run: Path, data: Path, phantom: Path, tmp_path: Path
) -> None:
    """Scores from the prepared data equal scores from mask files."""
    test = PreparedData(data).manifest.split.test
    names = [f"{patient}_{phase}.nii.gz" for patient in test for phase in ("ED", "ES")]
    images = [phantom / "images" / name for name in names]
    (tmp_path / "labels").mkdir()
    for name in names:
        shutil.copy(phantom / "labels" / name, tmp_path / "labels")
    network = ("--network", "swin")
    well(call("predict", run, *images, "-o", tmp_path / "masks", *network))
    well(
        call(
            "evaluate", tmp_path / "masks", tmp_path / "labels", "--classes", "RV,Myo,LV",
            "-o", tmp_path / "through-files",
        )
    )  # fmt: skip
    well(call("evaluate", run, "--on", "test", "-o", tmp_path / "directly", *network))
    one, other = (
        sorted(rows(tmp_path / way / "cases.csv"), key=lambda row: (row["case"], row["class"]))
        for way in ("through-files", "directly")
    )
    assert [row["case"] for row in one] == sorted(name[:-7] for name in names for _ in range(3))
    assert any(float(row["dice"]) > 0 for row in one)
    assert one == other


def test_pictures_go_the_whole_way(
    pictures: Path, picture_data: Path, picture_run: Path, tmp_path: Path
) -> None:
    said = well(call("evaluate", picture_run, "-o", tmp_path / "scores"))
    assert "MAE" in said.out
    test = PreparedData(picture_data).manifest.split.test
    scored = rows(tmp_path / "scores" / "cases.csv")
    assert {row["case"] for row in scored} == set(test)
    new = tmp_path / "new"
    new.mkdir()
    rng = np.random.default_rng(5)
    for name, shape in (
        ("rgb.png", (30, 44, 3)),
        ("grey.jpg", (33, 31)),
        ("clear.png", (30, 44, 4)),
    ):
        Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8)).save(new / name)
    nibabel.save(nibabel.Nifti1Image(rng.normal(size=(9, 9, 3)), np.eye(4)), new / "scan.nii.gz")
    said = call("predict", picture_run, new, "-o", tmp_path / "masks", "--probabilities")
    assert said.code == 1
    assert "scan.nii.gz is a volume, but the run was trained on pictures" in said.out
    for name, size in (("rgb", (30, 44)), ("grey", (33, 31)), ("clear", (30, 44))):
        with Image.open(tmp_path / "masks" / f"{name}.png") as file:
            assert (file.format, file.mode) == ("PNG", "L")
            mask = np.asarray(file)
        with Image.open(tmp_path / "masks" / f"{name}_prob_foreground.png") as file:
            values = np.asarray(file)
        assert mask.shape == values.shape == size
        assert set(np.unique(mask)) <= {0, 255}
        np.testing.assert_array_equal(mask[values > 128], 255)
        np.testing.assert_array_equal(mask[values < 127], 0)
    assert not (tmp_path / "masks" / "scan.nii.gz").exists()
    well(call("report", picture_run, "-o", tmp_path / "page.html"))
    assert "<html" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("kind", ["volumes", "pictures"])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("cross-level", ["cross-level.patches=2", "unet.head_kernel=1"]),
        ("plgcl", ["plgcl.patches=8", "data.size=64"]),
    ],
)
def test_methods_of_patches_go_the_whole_way(
    method: str, options: list[str], kind: str, data: Path, phantom: Path, picture_data: Path,
    pictures: Path, tmp_path: Path,
) -> None:  # fmt: skip
    """Each method on both kinds of data."""
    source, prepared = (phantom, data) if kind == "volumes" else (pictures, picture_data)
    run, sets = tmp_path / "run", [word for option in options for word in ("--set", option)]
    well(call("train", prepared, "--method", method, "--labelled", "2", "-o", run, *small(), *sets))
    scored = well(call("evaluate", run, "--on", "test"))
    assert ("MAE" in scored.out) == (kind == "pictures")
    well(call("predict", run, source / "images", "-o", tmp_path / "masks"))
    images = list((source / "images").iterdir())
    assert len(read_csv(tmp_path / "masks" / "predictions.csv")) == len(images)
    assert len(list((tmp_path / "masks").glob("[!.]*"))) == len(images) + 1  # and the table
    well(call("report", run))
    assert (run / "report.html").stat().st_size > 10_000


def test_labelled_patients_can_be_a_list(data: Path, tmp_path: Path) -> None:
    train = PreparedData(data).manifest.split.train
    chosen = [patient for patient in train if patient not in ("phantom009", "phantom010")][:2]
    listed = tmp_path / "mine.txt"
    listed.write_text("# drawn by hand\n" + "\n".join(chosen) + "\n")
    out = tmp_path / "run"
    words = ("train", data, "--method", "supervised", "-o", out, *small(iterations="1"))
    said = well(call(*words, "--labelled", listed, "--seed", "7"))
    assert "(not used by supervised)" in said.out
    split = json.loads((out / "split.json").read_text())
    assert split["labelled"] == chosen
    assert "seed: 7" in (out / "config.yaml").read_text()


def test_a_dry_run_says_how_long_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    words = ("train", data, "--method", "mcsc", "--labelled", "2", "-o", tmp_path / "run")
    said = well(call(*words, "--dry-run", *small(iterations="5000")))
    assert "dry run: 5,000 iterations of about" in said.out
    assert list(tmp_path.iterdir()) == []


def test_the_demo_ends_in_a_page_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    (out / "phantom" / "images").mkdir(parents=True)
    (out / "demo.txt").write_text(
        "patients=10 seed=0\n"
    )  # interrupted while generating the phantom
    (out / "phantom" / "images" / "half.nii.gz").write_bytes(b"half")
    words = ("demo", "-o", out, "--patients", "10", "--labelled", "1", "--iterations", "1")
    said = well(call(*words, "--jobs", "1"))
    page = out / "bench" / "report.html"
    assert str(page) in said.out
    assert "semiseg prepare path/to/your/images -o DATA" in said.out
    assert "<html" in page.read_text()
    assert "mcsc" in (out / "bench" / "table.md").read_text()
    weights = tree(out / "bench" / "runs")
    said = well(call(*words, "--jobs", "1"))
    assert "2 runs, 2 of them finished" in said.out
    assert tree(out / "bench" / "runs") == weights
