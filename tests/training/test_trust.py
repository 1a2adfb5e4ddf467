"""Damaged checkpoints and weights, windows of means, and folders that are not a run's."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from semiseg.console import Console, Quiet
from semiseg.csv_files import read_csv
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.locking import locked
from semiseg.reporting.facts import software
from semiseg.testing.data import small_settings
from semiseg.training.checkpoints import load_checkpoint, read_weights, save_checkpoint
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.train import resume, train

SETTINGS = (
    *small_settings("supervised"), "training.iterations=7", "training.log_every=3",
    "training.checkpoint_every=2", "training.validate_every=7",
)  # fmt: skip


class Heard(Console):
    """Keeps what is printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str = "") -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)


def start(data: PreparedData, out: Path, seconds: float | None = None, **more: object) -> None:
    train(
        data.folder, out, method="supervised", labelled="2", settings=SETTINGS, device="cpu",
        threads=1, seconds=seconds, console=Quiet(), **more,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture
def stopped(small_data: PreparedData, tmp_path: Path) -> Path:
    """A run that was stopped after its first step."""
    start(small_data, tmp_path / "run", seconds=0)
    return tmp_path / "run"


def metrics(run: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in r.items() if k != "seconds"} for r in read_csv(run / "metrics.csv")]


def test_the_window_of_a_mean_belongs_to_the_checkpoint(
    small_data: PreparedData, stopped: Path, tmp_path: Path
) -> None:
    assert not (stopped / "metrics.csv").exists()  # the window of three steps is not complete
    resume(stopped, device="cpu", threads=1, seconds=0, console=Quiet())
    resume(stopped, device="cpu", threads=1, console=Quiet())
    start(small_data, tmp_path / "whole")
    assert metrics(stopped) == metrics(tmp_path / "whole")
    assert [row["step"] for row in metrics(stopped)] == ["3", "6", "7"]


def test_without_a_readable_checkpoint_the_training_begins_anew(stopped: Path) -> None:
    (checkpoint,) = (stopped / "checkpoints").iterdir()
    checkpoint.write_bytes(b"")
    heard = Heard()
    resume(stopped, device="cpu", threads=1, console=heard)
    said = "\n".join(heard.lines)
    assert "step-0000001.pt is truncated or damaged: none is left." in said
    assert "has no readable checkpoint: the training begins anew" in said
    assert "resuming" not in said
    assert "trained 7 iterations" in said


def two_steps(stopped: Path) -> tuple[Path, Path]:
    """The checkpoints of the second and of the first step."""
    resume(stopped, device="cpu", threads=1, seconds=0, console=Quiet())
    older, newest = sorted((stopped / "checkpoints").iterdir())
    return newest, older


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, {}), ("progress", {}), ("progress", None), ("done", "abc"), ("done", -5),
        ("done", 10**9), ("done", True), ("seconds", float("nan")), ("best_step", 3), ("meter", "x"),
        ("method", {}),
    ],
)  # fmt: skip
def test_a_checkpoint_with_wrong_content_gives_way_to_the_one_before(
    stopped: Path, key: str | None, value: object
) -> None:
    newest, _ = two_steps(stopped)
    state = torch.load(newest, weights_only=True)
    if key is None:
        state = value
    elif key in state:
        state[key] = value
    else:
        state["progress"][key] = value
    torch.save(state, newest)
    heard = Heard()
    resume(stopped, device="cpu", threads=1, console=heard)
    said = "\n".join(heard.lines)
    assert f"{newest.name} " in said
    assert "using the previous checkpoint" in said
    assert f"resuming {stopped} (supervised) after 1 iteration" in said
    assert "trained 7 iterations" in said


def test_a_new_beginning_keeps_its_checkpoints(stopped: Path) -> None:
    for checkpoint in two_steps(stopped):
        checkpoint.write_bytes(b"")
    resume(stopped, device="cpu", threads=1, seconds=0, console=Quiet())
    heard = Heard()
    resume(stopped, device="cpu", threads=1, seconds=0, console=heard)
    assert f"resuming {stopped} (supervised) after 1 iteration" in heard.lines
    names = [path.name for path in sorted((stopped / "checkpoints").iterdir())]
    assert names == ["step-0000001.pt", "step-0000002.pt"]


@pytest.mark.parametrize("name", ["checkpoints/step-0000040.pt", "weights/last.safetensors"])
def test_a_folder_in_the_place_of_a_file_is_refused_before_the_training(
    small_data: PreparedData, stopped: Path, name: str
) -> None:
    (stopped / name).unlink(missing_ok=True)
    (stopped / name).mkdir()
    with pytest.raises(UserError, match=rf"{name} is a folder, not a file: move it"):
        resume(stopped, device="cpu", threads=1, console=Quiet())
    with pytest.raises(UserError, match=rf"{name} is a folder, not a file: move it"):
        start(small_data, stopped, overwrite=True)
    assert (stopped / name).is_dir()


def test_every_flipped_byte_of_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    state = {"method": {"weight": torch.arange(60.0)}, "progress": {"done": 3}}
    save_checkpoint(tmp_path, 3, state)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        found = load_checkpoint(tmp_path, lambda text: None, lambda state, step: state)
        if found is not None:  # bytes that fill up a block
            assert torch.equal(found["method"]["weight"], state["method"]["weight"])  # type: ignore[index]
            assert found["progress"] == state["progress"]


def test_every_flipped_byte_of_weights_is_noticed(small_data: PreparedData, tmp_path: Path) -> None:
    start(small_data, tmp_path / "run")
    path = tmp_path / "run" / "weights" / "best.safetensors"
    whole = path.read_bytes()
    _, facts = read_weights(path, "x")
    assert set(facts) == {"step", "validation_dice"}
    key = whole.index(b'"sha256"')
    for place in (*range(8, 400, 13), *range(key, key + 8), len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match="damaged"):
            read_weights(path, "use others")


def test_checkpoints_of_another_configuration_are_named(stopped: Path) -> None:
    path = stopped / "config.yaml"
    content = yaml.safe_load(path.read_text())
    content["unet"]["channels"][0] += 1
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"do not fit the run's config\.yaml"):
        resume(stopped, device="cpu", threads=1, console=Quiet())


def test_another_number_of_processes_is_said(stopped: Path) -> None:
    facts = json.loads((stopped / "run.json").read_text())
    (stopped / "run.json").write_text(json.dumps(facts | {"world_size": 2}))
    heard = Heard()
    resume(stopped, device="cpu", threads=1, console=heard)
    words = "was trained in 2 processes and is resumed in one process"
    assert any(words in line for line in heard.lines)
    kept = RunFolder(stopped).facts()  # so that the page says it too
    assert kept.world_size == 1
    assert [words in change for change in kept.changes] == [True]
    assert ("Resumed", kept.changes[0]) in software(kept, None, "x")


def test_a_run_in_use_is_neither_replaced_nor_changed(
    small_data: PreparedData, stopped: Path
) -> None:
    with locked(stopped, "training"):
        before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
        for overwrite in (True, False):
            with pytest.raises(UserError, match=r"Another process is training|exists: resume"):
                start(small_data, stopped, overwrite=overwrite)
        with pytest.raises(UserError, match="Another process is training"):
            resume(stopped, device="cpu", threads=1, console=Quiet())
        after = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    assert before == after


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", "theme: dark\n"), ("run.json", '{"name": "mine"}'), ("error.txt", "mine"),
        ("config.yaml", ""), ("run.json", "[" * 10_000),
    ],
)  # fmt: skip
def test_a_folder_of_another_program_is_not_replaced(
    small_data: PreparedData, tmp_path: Path, name: str, content: str
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text(content)
    with pytest.raises(UserError, match="is not a run, so it is not replaced"):
        start(small_data, folder, overwrite=True)
    assert (folder / name).read_text() == content


def test_overwrite_leaves_what_the_run_did_not_write(
    small_data: PreparedData, stopped: Path
) -> None:
    (stopped / "notes.txt").write_text("mine")
    (stopped / "weights" / "mine.onnx").write_text("mine")
    partial = stopped / "weights" / ".partial-4194305-best.safetensors"
    partial.write_text("half")
    start(small_data, stopped, overwrite=True)
    assert (stopped / "notes.txt").read_text() == "mine"
    assert (stopped / "weights" / "mine.onnx").read_text() == "mine"
    assert not partial.exists()
    assert RunFolder(stopped).finished() is not None


def test_links_out_of_a_run_are_not_followed(stopped: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "step-0000001.pt").write_text("theirs")
    shutil.rmtree(stopped / "checkpoints")
    (stopped / "checkpoints").symlink_to(victim, target_is_directory=True)
    with pytest.raises(UserError, match="checkpoints is a link that leads out"):
        resume(stopped, device="cpu", threads=1, console=Quiet())
    assert [path.name for path in victim.iterdir()] == ["step-0000001.pt"]
