"""Call ``semiseg`` with command-line arguments, in this process (fast) or in a new one."""

import contextlib
import dataclasses
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from semiseg.cli.main import main

PROGRESS = re.compile(r"[^:]+: \d+/\d+, .+")
COMMAND = [sys.executable, "-m", "semiseg.cli.main"]
SMALL = {
    "data.size": "32",
    "training.iterations": "6",
    "training.batch_size": "4",
    "training.labelled_batch_size": "2",
    "training.validate_every": "3",
    "training.checkpoint_every": "2",
    "training.log_every": "1",
    "unet.channels": "[4,4,4,4,4]",
    "unet.dropout": "[0,0,0,0,0]",
    "swin.embed_dim": "8",
    "swin.head_dim": "4",
}


def small(**changed: str) -> list[str]:
    """``--set`` options for tiny networks; ``iterations="3"`` sets ``training.iterations``."""
    values = SMALL | {f"training.{name}": value for name, value in changed.items()}
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


def small_auto(**changed: str) -> list[str]:
    """`small` for the recommended method, whose network needs larger images."""
    more = {"data.size": "64", "encoder-unet.channels": "[4,4,4,4,4]"}
    return small(**changed) + [
        w for key, value in more.items() for w in ("--set", f"{key}={value}")
    ]


@dataclasses.dataclass(frozen=True)
class Said:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """Both streams."""
        return self.out + self.err


@contextlib.contextmanager
def within(folder: Path | None) -> Iterator[None]:
    """Change the working directory temporarily."""
    if folder is None:
        yield
        return
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def call(*words: object, cwd: Path | None = None) -> Said:
    """Run ``semiseg WORDS`` in this process, through the ``main`` of the console script."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    before, sys.argv = sys.argv, ["semiseg", *map(str, words)]
    try:
        with within(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    return Said(code, out.getvalue(), err.getvalue())


def process(*words: object, cwd: Path | None = None) -> Said:
    """Run ``semiseg WORDS`` in a new process."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def start(*words: object) -> "subprocess.Popen[str]":
    """Start ``semiseg WORDS`` in a process that the test stops."""
    return subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Ctrl-C is ignored in a background job of a shell (as the tests may be) and its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def well(said: Said) -> Said:
    """Check that a command succeeded; return its output."""
    assert said.code == 0, said.all
    return said


def refused(said: Said, *fragments: object) -> None:
    """Check for exit code 2 and one sentence on stderr that contains ``fragments``."""
    assert said.code == 2, said.all
    lines = [line for line in said.err.splitlines() if not PROGRESS.fullmatch(line)]
    assert len(lines) == 1, said.err
    assert lines[0].startswith("semiseg: "), said.err
    assert lines[0].endswith((".", "?")), said.err
    assert "Traceback" not in said.all
    for fragment in fragments:
        assert str(fragment) in lines[0], f"'{fragment}' is not in: {lines[0]}"


def tree(*folders: Path) -> dict[str, str]:
    """The hash of every file below ``folders``, and the names of the folders."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for folder in folders
        for path in (folder, *sorted(folder.rglob("*")))
    }


def draw_pictures(folder: Path, count: int = 9, masks: int = 8) -> None:
    """RGB pictures of a dark disc, and black and white masks of it."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rows, columns = np.mgrid[:40, :48]
    for number in range(count):
        rng = np.random.default_rng(number)
        disc = np.hypot(rows - rng.integers(12, 28), columns - rng.integers(12, 36)) < 9
        noise = rng.normal(0, 12, (40, 48, 3))
        colours = np.where(disc[..., None], (90, 40, 40), (200, 150, 140)) + noise
        picture = np.clip(colours, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"polyp{number}.png")
        if number < masks:
            mask = 255 * disc.astype(np.uint8)
            Image.fromarray(mask).save(folder / "masks" / f"polyp{number}.png")
