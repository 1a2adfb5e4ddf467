"""Runs whose data were moved, replaced or split anew, or do not fit the method."""

import shutil
from pathlib import Path

from commandline import call, refused, small, tree, well
from hearts import write_hearts

from semiseg.data.manifest import PreparedData


def test_without_an_unlabelled_image_the_method_is_named(tmp_path: Path) -> None:
    source, data, out = write_hearts(tmp_path / "hearts"), tmp_path / "data", tmp_path / "run"
    well(call("prepare", source, "-o", data))
    before = tree(tmp_path)
    said = call("train", data, "--method", "mcsc", "-o", out, *small())
    refused(said, "mcsc needs unlabelled images", "--labelled")
    words = ("--methods", "supervised,mcsc", "--on", "test", "-o", out)
    refused(call("benchmark", data, *words, *small()), "mcsc needs unlabelled images")
    assert tree(tmp_path) == before


def test_data_that_moved_away(data: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(data, first)
    run = tmp_path / "run"
    words = ("train", first, "--method", "supervised", "--labelled", "2", "-o", run)
    well(call(*words, *small(), "--time", "0s"))
    first.rename(second)
    before = tree(tmp_path)
    refused(call("evaluate", run), first, "--data")
    refused(call("train", "--resume", "-o", run), first, "semiseg train DATA --resume")
    assert tree(tmp_path) == before
    well(call("train", second, "--resume", "-o", run))
    well(call("evaluate", run, "--data", second, "-o", tmp_path / "scores"))


def test_a_run_is_not_resumed_on_other_data(data: Path, picture_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("train", data, "--method", "supervised", "--labelled", "2", "-o", run)
    well(call(*words, *small(), "--time", "0s"))
    before = tree(run, picture_data)
    refused(call("train", picture_data, "--resume", "-o", run), picture_data, "other data")
    refused(call("evaluate", run, "--data", picture_data), "classes")
    assert tree(run, picture_data) == before


def test_a_copy_split_anew_is_scored_by_the_split_of_the_run(
    phantom: Path, data: Path, run: Path, tmp_path: Path
) -> None:
    """Otherwise a network would be tested on patients that it was trained on."""
    anew = tmp_path / "anew"
    well(call("prepare", phantom, "-o", anew, "--seed", "11"))
    test = PreparedData(data).manifest.split.test
    assert set(PreparedData(anew).manifest.split.test) != set(test)
    well(call("evaluate", run, "--data", anew, "-o", tmp_path / "scores"))
    scored = (tmp_path / "scores" / "cases.csv").read_text().splitlines()[1:]
    assert {line.split("_")[0] for line in scored} == set(test)
