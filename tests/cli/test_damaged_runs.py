"""Runs with damaged checkpoints, weights or configuration."""

import shutil
from pathlib import Path

from commandline import call, refused, small, well


def unfinished(data: Path, run: Path) -> Path:
    """A run stopped after its second checkpoint."""
    words = ("train", data, "--method", "supervised", "--labelled", "2", "-o", run)
    well(call(*words, *small(), "--time", "0s"))
    well(call("train", "--resume", "-o", run, "--time", "0s"))
    return run


def test_a_checkpoint_cut_short_is_said_and_the_one_before_is_taken(
    data: Path, tmp_path: Path
) -> None:
    whole, cut = unfinished(data, tmp_path / "whole"), tmp_path / "cut"
    shutil.copytree(whole, cut)
    newest = sorted((cut / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    said = well(call("train", "--resume", "-o", cut))
    assert f"{newest.name} is truncated or damaged: using the previous" in said.out
    well(call("train", "--resume", "-o", whole))
    ends = [path / "weights" / "last.safetensors" for path in (whole, cut)]
    assert ends[0].read_bytes()[-4096:] == ends[1].read_bytes()[-4096:]


def test_weights_cut_short(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    best = mine / "weights" / "best.safetensors"
    best.write_bytes(best.read_bytes()[:1000])
    refused(call("evaluate", mine), best, "--weights last")
    well(call("evaluate", mine, "--weights", "last"))
    best.unlink()
    refused(call("predict", mine, mine, "-o", tmp_path / "out"), "is a run: give images")
    refused(call("evaluate", mine), best, "does not exist")


def test_a_run_with_a_damaged_configuration(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "run"
    shutil.copytree(run, mine)
    config = (mine / "config.yaml").read_text()
    for text, fragment in (
        (config.replace("iterations: 6", "iterations: many"), "training.iterations"),
        (config.replace("embed_dim: 8", "embed_dim: 16"), "config.yaml"),
        ("[1, 2", "config.yaml"),
        ("some words", "config.yaml"),
        (
            config.replace("format: 2\n", ""),
            "was written by another version of semiseg: train again",
        ),
    ):
        assert text != config
        (mine / "config.yaml").write_text(text)
        refused(call("evaluate", mine), fragment)
