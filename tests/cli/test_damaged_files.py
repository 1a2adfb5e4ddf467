"""Files of ours that are empty, cut off, edited or of other types: one sentence, for every verb."""

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commandline import call, small, well

RUN = Path("bench/runs/supervised-2-s0")
SCORES = RUN / "evaluation" / "validation-unet"
VERBS = {
    "benchmark": ("benchmark", "-o", "bench"),
    "report of a benchmark": ("report", "bench"),
    "report of a run": ("report", RUN),
    "evaluate": ("evaluate", RUN, "--on", "validation"),
    "predict": ("predict", RUN, "image.nii.gz", "-o", "masks"),
    "resume": ("train", "--resume", "-o", RUN),
    "train": ("train", "data", "-o", "new", "--method", "supervised", "--labelled", "2", "--dry-run"),
    "inspect": ("inspect", "data"),
    "pack": ("pack", "data", "-o", "p.semiseg"),
}  # fmt: skip
READERS = {
    "bench/benchmark.json": ("benchmark", "report of a benchmark"),
    str(RUN / "config.yaml"): ("report of a run", "evaluate", "predict", "resume", "benchmark"),
    str(RUN / "run.json"): ("report of a run", "evaluate", "benchmark"),
    str(RUN / "task.json"): ("predict", "evaluate", "report of a run"),
    str(RUN / "split.json"): ("report of a run", "evaluate"),
    str(RUN / "finished.json"): ("resume", "report of a run", "benchmark"),
    str(RUN / "metrics.csv"): ("report of a run", "report of a benchmark"),
    str(RUN / "validation.csv"): ("report of a run", "report of a benchmark"),
    str(RUN / "weights" / "best.safetensors"): ("predict", "evaluate"),
    str(SCORES / "summary.json"): ("report of a run", "benchmark", "evaluate"),
    str(SCORES / "cases.csv"): ("report of a run", "report of a benchmark"),
    "data/manifest.json": ("train", "inspect", "pack", "evaluate"),
    "data/images/phantom001_ED.npy": ("inspect", "pack"),
    "data/labels/phantom001_ED.npy": ("inspect", "pack"),
}
DAMAGES = {
    "empty": b"",
    "half": None,
    "another type": b"[1]",
    "null": b"null",
    "bytes": b"\x00\xff\xfe" * 30,
    "nested": b"[" * 50_000,
    "a folder": None,
}


@pytest.fixture(scope="module")
def made(data: Path, phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data and a benchmark of one run."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(data, folder / "data")
    shutil.copy(phantom / "images" / "phantom001_ED.nii.gz", folder / "image.nii.gz")
    words = ("benchmark", folder / "data", "-o", folder / "bench", "--methods", "supervised")
    well(call(*words, "--labelled", "2", "--weights", "best", *small(iterations="2")))
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A copy to damage; files that a test does not damage are links to one content."""
    folder = tmp_path / "copy"
    shutil.copytree(made, folder, copy_function=os.link)
    for name in ("bench/benchmark.json", RUN / "run.json", SCORES / "summary.json"):
        text = (folder / name).read_text().replace(str(made), str(folder))
        replace(folder / name, text.encode())
    return folder


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def one_sentence(folder: Path, verb: str, name: str) -> None:
    said = call(*VERBS[verb], cwd=folder)
    assert "internal error" not in said.all, said.all
    assert "Traceback" not in said.all
    assert said.code in (0, 2), said.all
    assert not list(folder.rglob("error.txt"))
    if said.code == 2:
        assert Path(name).name in said.err or "is not a run" in said.err, said.err


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_named(copy: Path, name: str, damage: str) -> None:
    path, content = copy / name, DAMAGES[damage]
    if damage == "half":
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    verb = READERS[name][list(DAMAGES).index(damage) % len(READERS[name])]
    one_sentence(copy, verb, name)


@contextlib.contextmanager
def waiting_readers(*pipes: Path) -> Iterator[set[str]]:
    """The pipes that a reader waited for. It gets an empty content, so that no test hangs."""
    found: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            for pipe in pipes:
                with contextlib.suppress(OSError):  # nobody reads it
                    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
                    found.add(pipe.name)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_no_verb_waits_for_a_pipe(copy: Path) -> None:
    checkpoint = copy / RUN / "checkpoints" / "step-00000002.pt"
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.write_bytes(b"")
    names = [*READERS, str(checkpoint.relative_to(copy)), str(RUN / "log.jsonl")]
    for name in names:
        path, kept = copy / name, copy / "kept"
        path.rename(kept)
        os.mkfifo(path)
        with waiting_readers(path) as found:
            for verb in READERS.get(name, ("resume",)):
                said = call(*VERBS[verb], cwd=copy)
                assert "Traceback" not in said.all, said.all
                assert said.code in (0, 1, 2), said.all
        assert not found, name
        path.unlink()
        kept.rename(path)


WRONG: tuple[Any, ...] = ([1], "x", -1, 10**30, None, {"a": 1}, "\0", 1e308)
FIELDS = (
    ("bench/benchmark.json", ("runs", 0, "seed")), ("bench/benchmark.json", ("plan", "preset")),
    (str(RUN / "config.yaml"), ("data", "size")), (str(RUN / "config.yaml"), ("unet", "channels")),
    (str(RUN / "config.yaml"), ("method",)), (str(RUN / "config.yaml"), ("supervised", "network")),
    (str(RUN / "task.json"), ("channels",)), (str(RUN / "task.json"), ("classes",)),
    (str(RUN / "task.json"), ("intensity", "low")), (str(RUN / "split.json"), ("budget",)),
    (str(RUN / "split.json"), ("split", "validation")), (str(RUN / "run.json"), ("data",)),
    (str(RUN / "finished.json"), ("seconds",)), (str(RUN / "finished.json"), ("best_step",)),
    (str(SCORES / "summary.json"), ("cases",)), (str(SCORES / "summary.json"), ("classes",)),
    (str(SCORES / "summary.json"), ("mean_over_classes", "dice")),
    (str(SCORES / "summary.json"), ("of",)),
    ("data/manifest.json", ("cases", 0, "shape")), ("data/manifest.json", ("cases", 0, "bounds")),
    ("data/manifest.json", ("decisions", 0, "value")), ("data/manifest.json", ("split", "train")),
    ("data/manifest.json", ("task", "median_shape")), ("data/manifest.json", ("fingerprint",)),
)  # fmt: skip


@pytest.mark.parametrize(
    "wrong", WRONG, ids=[str(value)[:9].replace("\0", "NUL") for value in WRONG]
)
def test_a_wrong_field_is_named(copy: Path, wrong: object) -> None:
    for number, (name, where) in enumerate(FIELDS):
        path = copy / name
        before = path.read_bytes()
        content = yaml.safe_load(before) if name.endswith("yaml") else json.loads(before)
        inner = content
        for key in where[:-1]:
            inner = inner[key]
        inner[where[-1]] = wrong
        text = yaml.safe_dump(content) if name.endswith("yaml") else json.dumps(content)
        replace(path, text.encode())
        one_sentence(copy, READERS[name][number % len(READERS[name])], name)
        replace(path, before)


def test_an_interrupted_preparation_with_an_empty_array_resumes(
    phantom: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(data, tmp_path / ".out.partial")
    (tmp_path / ".out.partial" / "manifest.json").unlink()
    (tmp_path / ".out.partial" / "images" / "phantom001_ED.npy").write_bytes(b"")
    said = well(call("prepare", phantom, "-o", out))
    assert "resuming: 19 of 20 cases are already prepared" in said.out
    well(call("inspect", out))
    assert list(tmp_path.iterdir()) == [out]


def test_hidden_folders_of_others_are_not_removed(phantom: Path, tmp_path: Path) -> None:
    for name in (".out.partial", ".out.old"):
        (tmp_path / name / "images").mkdir(parents=True)
        (tmp_path / name / "thesis.txt").write_text("mine")
    said = call("prepare", phantom, "-o", tmp_path / "out")
    assert said.code == 2
    assert ".out.partial" in said.err
    shutil.rmtree(tmp_path / ".out.partial")
    well(call("prepare", phantom, "-o", tmp_path / "out"))
    (tmp_path / "out" / "README").write_text("mine")
    well(call("prepare", phantom, "-o", tmp_path / "out", "--overwrite", "--seed", "3"))
    assert (tmp_path / ".out.old" / "thesis.txt").read_text() == "mine"
    assert (tmp_path / "out" / "README").read_text() == "mine"
