"""Two commands for one folder, full disks, and what killed processes left."""

import shutil
import tempfile
from pathlib import Path

import pytest
from commandline import call, refused, small, tree, well

from semiseg.locking import locked
from semiseg.networks import swin_weights, weight_files
from semiseg.workflows import inspect as inspecting
from semiseg.workflows.temporary import PREFIX, remove_stale, temporary_folder

DEAD = 4_194_305  # no process has this number


def test_a_folder_in_use_is_refused_by_every_verb(
    data: Path, run: Path, phantom: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    packed = tmp_path / "p.semiseg"
    well(call("pack", data, "-o", packed))
    verbs = (
        ("train", data, "-o", out, "--method", "supervised", *small()),
        ("predict", run, phantom / "images", "-o", out),
        ("evaluate", run, "-o", out),
        ("inspect", data, "-o", out),
        ("benchmark", data, "-o", out, "--methods", "supervised", *small()),
        ("run", phantom, "-o", out),
        ("demo", "-o", out),
    )
    with locked(out, "working"):
        for words in verbs:
            refused(call(*words), "Another process is working in", out)
    assert not out.exists()
    with locked(tmp_path / ".out.unpacking", "unpacking"):
        refused(call("unpack", packed, "-o", out), "Another process is")
    with locked(tmp_path / ".out.partial", "preparing"):
        refused(call("prepare", phantom, "-o", out), "prepared by another process")


@pytest.mark.parametrize("verb", ["prepare", "unpack"])
@pytest.mark.parametrize("what", ["a link", "a file of another kind", "arrays"])
def test_nothing_of_others_is_removed_beside_the_output(
    data: Path, phantom: Path, tmp_path: Path, verb: str, what: str
) -> None:
    partial = tmp_path / (".out.partial" if verb == "prepare" else ".out.unpacking")
    victim = tmp_path / "victim"
    (victim / "images").mkdir(parents=True)
    partial.mkdir()
    if what == "a link":
        (victim / "images" / "mine.npy").write_text("precious")
        (partial / "images").symlink_to(victim / "images")
    else:
        (partial / "images").mkdir()
        name = "photo.png" if what == "a file of another kind" else "mine.npy"
        (partial / "images" / name).write_text("precious")
    packed = tmp_path / "p.semiseg"
    well(call("pack", data, "-o", packed))
    before = tree(victim), tree(partial)
    source = phantom if verb == "prepare" else packed
    refused(call(verb, source, "-o", tmp_path / "out"), partial, "rename it")
    assert (tree(victim), tree(partial)) == before


def test_an_edited_benchmark_empties_no_other_folder(data: Path, tmp_path: Path) -> None:
    bench, victim = tmp_path / "bench", tmp_path / "victim"
    words = ("benchmark", data, "-o", bench, "--methods", "supervised", "--labelled", "2")
    well(call(*words, *small(iterations="1")))
    victim.mkdir()
    (victim / "config.yaml").write_text("mine")
    path = bench / "benchmark.json"
    path.write_text(path.read_text().replace("runs/supervised-2-s0", "../victim"))
    before = tree(victim)
    for verb in (("benchmark", "-o", bench), ("report", bench)):
        refused(call(*verb), path, "'../victim'")
    assert tree(victim) == before


def test_an_inspection_on_a_full_disk_leaves_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def fail(path: Path, found: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(inspecting, "write_cases", fail)
        refused(call("inspect", data, "-o", out), "cannot be written", "No space left")
    assert not out.exists()
    well(call("inspect", data, "-o", out))
    assert sorted(path.name for path in out.iterdir()) == ["cases.csv", "inspect.json", "page.html"]


def test_what_killed_processes_left_is_removed(
    run: Path, phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    (mine / "weights" / f".partial-{DEAD}-best.safetensors").touch()
    said = call("predict", mine, phantom / "images", "-o", tmp_path / "out", "--weights", "x")
    assert "this run has best and last." in said.err
    report = mine / f".partial-{DEAD}-report.html"
    report.touch()
    well(call("report", mine))
    assert not report.exists()
    out = tmp_path / "out"
    out.mkdir()
    (out / f".partial-{DEAD}-a.nii.gz").touch()
    well(call("predict", mine, phantom / "images" / "phantom001_ED.nii.gz", "-o", out))
    assert not list(out.glob(".partial-*"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stale = tmp_path / f"{PREFIX}dead"
    (stale / "data").mkdir(parents=True)
    (stale / ".lock").touch()
    (tmp_path / f"{PREFIX}other").mkdir()
    with temporary_folder() as used:
        remove_stale()
        assert used.exists()
    assert not stale.exists()
    assert (tmp_path / f"{PREFIX}other").exists()  # it has no lock: not one of ours


def left_below(folder: Path) -> list[Path]:
    """Temporary files of a killed process in all sub-folders of ``folder``."""
    places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    left = [place / f".partial-{DEAD}-x" for place in places]
    for path in left:
        path.touch()
    return left


def test_what_killed_processes_left_in_finished_folders_is_removed(
    data: Path, phantom: Path, tmp_path: Path
) -> None:
    bench, masks, prepared = tmp_path / "bench", tmp_path / "masks", tmp_path / "data"
    well(
        call(
            "benchmark", data, "-o", bench, "--methods", "supervised", "--labelled", "2",
            *small(iterations="1"),
        )
    )  # fmt: skip
    (run,) = (bench / "runs").iterdir()
    assert (run / "evaluation").is_dir()
    image = phantom / "images" / "phantom001_ED.nii.gz"
    for name in ("a", "b"):
        (tmp_path / name / name).mkdir(parents=True)
        shutil.copy(image, tmp_path / name / name)
    predict = ("predict", run, "-o", masks)
    well(call(*predict, tmp_path / "a"))
    shutil.copytree(data, prepared)
    for folder, words in (
        (bench, ("benchmark", "-o", bench)),
        (run, ("train", "--resume", "-o", run)),
        (masks, (*predict, tmp_path / "b")),
        (prepared, ("prepare", phantom, "-o", prepared)),
    ):
        left = left_below(folder)
        well(call(*words))
        assert [path for path in left if path.exists()] == []
        assert not list(folder.rglob(".lock"))


def test_probabilities_do_not_replace_a_mask(
    picture_run: Path, pictures: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "a_prob_foreground.png", "b.png"):
        shutil.copy(pictures / "images" / "polyp0.png", images / name)
    words = ("predict", picture_run, images, "-o", tmp_path / "out")
    refused(call(*words, "--probabilities"), "a_prob_foreground.png")
    well(call(*words))


def test_a_dry_run_downloads_nothing_and_says_what_would_be(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: object, **options: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr(weight_files.torch.hub, "download_url_to_file", forbidden)
    monkeypatch.setattr(weight_files.torch.hub, "get_dir", lambda: str(tmp_path))
    words = ("train", data, "-o", tmp_path / "run", "--method", "cross-teaching", "--labelled", "2")
    said = well(call(*words, *small(), "--set", "swin.pretrained=hub", "--dry-run"))
    assert f"not downloaded here: {swin_weights.OFFICIAL}" in said.out
    said = well(call(*words, *small(), "--dry-run"))
    assert "download" not in said.out


@pytest.mark.parametrize("verb", ["benchmark", "run"])
def test_a_dry_run_of_several_trainings_downloads_nothing(
    data: Path, phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    def forbidden(*args: object, **options: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr(weight_files.torch.hub, "download_url_to_file", forbidden)
    monkeypatch.setattr(weight_files.torch.hub, "get_dir", lambda: str(tmp_path))
    words: tuple[object, ...] = ("run", phantom, "--method", "cross-teaching")
    if verb == "benchmark":
        words = ("benchmark", data, "--methods", "cross-teaching", "--labelled", "2")
    hub = (*small(), "--set", "swin.pretrained=hub", "--dry-run", "-o", tmp_path / "out")
    said = well(call(*words, *hub))
    assert f"not downloaded here: {swin_weights.OFFICIAL}" in said.out


def test_a_download_is_announced_before_it_begins(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*args: object, **options: object) -> None:
        print("asked")
        raise OSError

    monkeypatch.setattr(weight_files.torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(weight_files.torch.hub, "get_dir", lambda: str(tmp_path))
    words = ("train", data, "-o", tmp_path / "run", "--method", "cross-teaching", "--labelled", "2")
    said = well(call(*words, *small(iterations="1"), "--set", "swin.pretrained=hub"))
    assert said.out.index(f"downloading {swin_weights.OFFICIAL}") < said.out.index("asked")


def test_a_pack_replaces_packs_alone(data: Path, run: Path, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    for other in (file, run / "run.json"):
        before = other.read_bytes()
        refused(call("pack", data, "-o", other, "--overwrite"), other, "not a packed data set")
        assert other.read_bytes() == before
    packed = tmp_path / "p.semiseg"
    well(call("pack", data, "-o", packed))
    well(call("pack", data, "-o", packed, "--overwrite"))


def test_masks_are_not_written_into_a_run(run: Path, phantom: Path) -> None:
    before = tree(run)
    refused(call("predict", run, phantom / "images", "-o", run), run, "is a run")
    assert tree(run) == before


def test_what_a_killed_prediction_left_in_a_sub_folder_is_removed(
    run: Path, phantom: Path, tmp_path: Path
) -> None:
    images, out = tmp_path / "in" / "a", tmp_path / "out"
    images.mkdir(parents=True)
    shutil.copy(next((phantom / "images").glob("*.nii.gz")), images / "x.nii.gz")
    (out / "a").mkdir(parents=True)
    left = out / "a" / f".partial-{DEAD}-x.nii.gz"
    left.write_text("half")
    well(call("predict", run, tmp_path / "in", "-o", out))
    assert not left.exists()
    assert (out / "a" / "x.nii.gz").is_file()


@pytest.mark.parametrize("verb", ["predict", "embeddings", "report", "prepare"])
def test_a_name_that_is_too_long_is_one_sentence(
    run: Path, phantom: Path, tmp_path: Path, verb: str
) -> None:
    name = "x" * 5000
    words = {
        "predict": ("predict", run, name, "-o", tmp_path / "out"),
        "embeddings": ("embeddings", name, "-o", tmp_path / "x.png"),
        "report": ("report", name),
        "prepare": ("prepare", phantom, "-o", tmp_path / "out", "--split", name),
    }[verb]
    said = call(*words)
    assert said.code == 2
    assert "internal error" not in said.all
    assert len(said.err) < 400
