"""A full disk, and folders that cannot be written."""

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commandline import call, refused, small, tree, well


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Simulate a full disk: writing more than ``size`` bytes to a file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_a_training_that_then_goes_on(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("train", data, "--method", "supervised", "--labelled", "2", "-o", run)
    with files_of_at_most(20_000):
        said = call(*words, *small())
    refused(said, run, "make room")
    assert not list(run.rglob(".partial*"))
    well(call("train", "--resume", "-o", run))
    assert json.loads((run / "finished.json").read_text())["iterations"] == 6


def test_a_full_disk_fails_masks_one_by_one(run: Path, phantom: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks"
    images = sorted((phantom / "images").iterdir())[:3]
    with files_of_at_most(20):
        refused(call("predict", run, *images, "-o", out), "cannot be written")
    assert not out.exists()
    well(call("predict", run, images[0], "-o", out))
    before = tree(out)
    with files_of_at_most(20):
        said = call("predict", run, *images, "-o", out)
    assert said.code == 1
    assert said.out.count("cannot be written") == 1  # equal errors are one line
    assert all(image.name.partition(".")[0] in said.out for image in images[1:])
    assert tree(out) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder(data: Path, run: Path, phantom: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    for words in (
        ("prepare", phantom, "-o", locked / "data"),
        ("train", data, "--method", "mcsc", "--labelled", "2", *small(), "-o", locked / "run"),
        ("evaluate", run, "-o", locked / "scores"),
        ("predict", run, phantom / "images", "-o", locked / "masks"),
        ("predict", run, phantom / "images", "-o", locked),
        ("benchmark", data, "--methods", "supervised", *small(), "-o", locked / "bench"),
        ("report", run, "-o", locked / "page.html"),
        ("demo", "-o", locked / "demo"),
    ):
        refused(call(*words), locked)


def test_a_folder_that_cannot_be_made(data: Path, run: Path, phantom: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("here")
    for words in (
        ("prepare", phantom, "-o", file / "data"),
        ("train", data, "--method", "mcsc", "--labelled", "2", *small(), "-o", file / "run"),
        ("evaluate", run, "-o", file / "scores"),
        ("predict", run, phantom / "images", "-o", file / "masks"),
        ("benchmark", data, "--methods", "supervised", *small(), "-o", file / "bench"),
        ("report", run, "-o", file / "page.html"),
        ("demo", "-o", file / "demo"),
    ):
        refused(call(*words), file)
    assert file.read_text() == "here"
