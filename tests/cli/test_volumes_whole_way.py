"""prepare, train, evaluate, predict and report on the command line, in 3D."""

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from commandline import call, refused, well

from semiseg.testing.data import draw_volume, small_settings

AFFINE = np.array([[0, 1.1, 0.1, -20], [-1.0, 0, 0.2, 8], [0.1, 0, 2.1, 5], [0, 0, 0, 1]])


def settings(method: str, *more: str) -> list[str]:
    return [word for value in (*small_settings(method, 3), *more) for word in ("--set", value)]


def write_nifti(path: Path, volume: np.ndarray) -> None:
    """Write a volume with the slices as the last axis, on an oblique anisotropic grid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.moveaxis(volume, 0, 2), AFFINE), path)


@pytest.fixture(scope="module")
def solids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten volumes of several sizes, nine with labels; one is smaller than a patch."""
    folder = tmp_path_factory.mktemp("solids") / "source"
    for number in range(10):
        shape = (7, 15, 14) if number == 4 else (9 + number % 3, 20, 18 + number)
        image, label = draw_volume(np.random.default_rng(number), shape)
        write_nifti(folder / "images" / f"s{number}.nii.gz", image)
        if number < 9:
            write_nifti(folder / "labels" / f"s{number}.nii.gz", label)
    return folder


@pytest.fixture(scope="module")
def data(solids: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "data"
    well(call("prepare", solids, "-o", folder, "--classes", "ball,box"))
    return folder


def test_run_refuses_mixed_precision_on_a_cpu_before_it_prepares(
    solids: Path, tmp_path: Path
) -> None:
    sets = settings("supervised", "training.precision=bf16-mixed")
    words = ("run", solids, "--method", "supervised", "-o", tmp_path / "x", "--device", "cpu")
    refused(call(*words, *sets), "wrong gradients for volumes on a CPU")
    assert list(tmp_path.iterdir()) == []


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("method", "network", "more"),
    [
        ("supervised", "unet", ()),
        ("cross-teaching", "vnet", ("data.spacing=[1.5, 1.5, 1.5]",)),
        ("mcsc", "vnet", ()),
    ],
)
def test_the_whole_way(
    data: Path, solids: Path, tmp_path: Path, method: str, network: str, more: tuple[str, ...]
) -> None:
    run = tmp_path / "run"
    said = well(
        call("train", data, "--method", method, "--labelled", "3", "-o", run,
             *settings(method, *more))
    )  # fmt: skip
    assert "trained 4 iterations" in said.out
    assert {row["network"] for row in rows(run / "validation.csv")} == {"unet"}
    for chosen in {"unet", network}:
        said = well(call("evaluate", run, "--on", "test", "--network", chosen))
        assert f"{chosen} (best weights) on test" in said.out
        scored = rows(run / "evaluation" / f"test-{chosen}" / "cases.csv")
        assert scored
        assert all(0 <= float(row["dice"]) <= 1 for row in scored if row["dice"])
    source = solids / "images" / "s4.nii.gz"
    well(
        call("predict", run, source, solids / "images" / "s9.nii.gz", "-o", tmp_path / "masks",
             "--probabilities", "--network", network, "--flips")
    )  # fmt: skip
    for name in ("s4", "s9"):
        image = nibabel.load(solids / "images" / f"{name}.nii.gz")
        mask = nibabel.load(tmp_path / "masks" / f"{name}.nii.gz")
        values = np.asanyarray(nibabel.load(tmp_path / "masks" / f"{name}_prob.nii.gz").dataobj)
        assert mask.shape == image.shape
        np.testing.assert_allclose(mask.affine, image.affine, atol=1e-5)
        np.testing.assert_allclose(values.sum(-1), 1, atol=1e-5)
        np.testing.assert_array_equal(values.argmax(-1), np.asanyarray(mask.dataobj))
    well(call("report", run))
    assert "input 8 x 16 x 16 voxels" in (run / "report.html").read_text()


def test_a_trained_network_finds_solids_where_they_are(
    data: Path, solids: Path, tmp_path: Path
) -> None:
    """Train long enough to detect masks that are mirrored or shifted."""
    run = tmp_path / "run"
    more = (
        "training.iterations=160", "training.learning_rate=0.02", "unet.dropout=[0, 0, 0]",
        "training.validate_every=160", "training.checkpoint_every=160", "data.rotation=0",
        "data.quarter_turns_and_flips=0", "data.foreground=1",
    )  # fmt: skip
    well(
        call("train", data, "--method", "supervised", "-o", run, *settings("supervised", *more))
    )  # fmt: skip
    well(call("predict", run, solids / "images", "-o", tmp_path / "masks"))
    scores = []
    for number in range(9):
        found = np.asanyarray(nibabel.load(tmp_path / "masks" / f"s{number}.nii.gz").dataobj)
        truth = np.asanyarray(nibabel.load(solids / "labels" / f"s{number}.nii.gz").dataobj)
        for code in (1, 2):
            one, other = found == code, truth == code
            scores.append(2 * (one & other).sum() / (one.sum() + other.sum()))
    assert np.mean(scores) > 0.75


def test_a_benchmark_in_3d_can_be_reported(data: Path, tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    words = (
        "benchmark", data, "--methods", "supervised,cross-teaching", "--labelled", "3",
        "--seeds", "0", "-o", bench, "--jobs", "1", *settings("cross-teaching"),
    )  # fmt: skip
    well(call(*words))
    before = {path: path.stat().st_mtime_ns for path in bench.rglob("*.safetensors")}
    assert len(before) == 4  # best and last of both methods
    well(call(*words))  # nothing is left to do
    assert {path: path.stat().st_mtime_ns for path in bench.rglob("*.safetensors")} == before
    well(call("report", bench))
    page = (bench / "report.html").read_text()
    assert "8 x 16 x 16 voxels" in page
    assert "vnet" in page


def test_embeddings_of_patches(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    run = tmp_path / "run"
    words = ("train", data, "--method", "supervised", "--labelled", "3", "-o", run)
    well(call(*words, *settings("supervised")))
    well(call("embeddings", run, "-o", tmp_path / "f.png", "--on", "test", "--images", "2"))
    (row,) = rows(tmp_path / "f.csv")
    assert row["space"] == "unet, decoder"
    assert 200 < int(row["points"]) <= 600  # every class is in the middle of its volume


def test_what_does_not_fit_is_refused_in_a_sentence(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train = ("train", data, "--method", "supervised", "--labelled", "3", "-o", run)
    three = ("--set", "data.dimensions=3")
    refused(call(*train, "--preset", "mcsc-acdc", *three), "data.patch=[32,64,64]")
    said = well(call(*train, *three, "--device", "cpu", "--dry-run"))
    assert "data.patch = [32, 32, 48]  (from preset 'cpu-3d', because there is no GPU)" in said.out
    refused(
        call(*train, *settings("supervised", "data.patch=[8, 18, 16]")),
        "data.patch [8, 18, 16]", "[8, 16, 16]",
    )  # fmt: skip
    refused(
        call("train", data, "--method", "plgcl", "--labelled", "3", "-o", run,
             "--set", "data.dimensions=3", "--set", "data.patch=[8,16,16]"),
        "plgcl is for slices", "data.dimensions=2",
    )  # fmt: skip
    refused(
        call(*train, *settings("supervised", "data.spacing=[0.001, 0.001, 0.001]")),
        "data.spacing", "coarser",
    )  # fmt: skip
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("images", "labels"):
        (bare / name).symlink_to(data / name)
    manifest = json.loads((data / "manifest.json").read_text())
    manifest["cases"][0]["spacing"] = None
    (bare / "manifest.json").write_text(json.dumps(manifest))
    spaced = settings("supervised", "data.spacing=[1.5, 1.5, 1.5]")
    said = call("train", bare, "--method", "supervised", "-o", run, *spaced)
    refused(said, "has no spacing", "data.spacing=null")
    assert not run.exists()


def test_a_killed_3d_run_goes_on(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("train", data, "--method", "mcsc", "--labelled", "3", "-o", run)
    well(call(*words, *settings("mcsc", "training.iterations=400"), "--time", "1s"))
    said = well(call("train", "--resume", "-o", run, "--time", "1s"))
    assert "resuming" in said.out
