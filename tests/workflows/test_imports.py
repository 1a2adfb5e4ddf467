"""Modules that the commands import, listed after each command ran in a new process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from semiseg.data.manifest import PreparedData

PROGRAM = """
import contextlib, io, json, sys
from semiseg.cli.main import main
sys.argv[0] = "semiseg"
said = io.StringIO()
try:
    with contextlib.redirect_stdout(said):
        main()
except SystemExit as end:
    assert not end.code, (end.code, said.getvalue())
print(json.dumps([said.getvalue(), list(sys.modules)]))
"""
TRAINING = {
    "lightning", "lightning_fabric", "torchmetrics", "semiseg.training.loop",
    "semiseg.training.optimiser", "semiseg.training.validation", "semiseg.workflows.train",
}  # fmt: skip
UNUSED = {
    "matplotlib", "scipy.stats", "sklearn", "h5py", "SimpleITK", "highdicom", "tifffile", "jinja2",
    "torch._dynamo", "torch._inductor",
}  # fmt: skip


def modules(*words: object) -> tuple[str, set[str]]:
    """The output of ``semiseg WORDS``, and all modules that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, imported = json.loads(done.stdout.splitlines()[-1])
    return said, set(imported)


def test_predict_imports_no_training(run: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 500, (40, 37, 2)).astype(np.int16)
    path = tmp_path / "image.nii.gz"
    nibabel.save(nibabel.Nifti1Image(image, np.diag([1.5, 1.5, 8, 1])), path)
    said, imported = modules("predict", run, path, "-o", tmp_path / "masks")
    assert "1 mask written" in said
    assert imported & (TRAINING | UNUSED) == set()


def test_evaluate_imports_no_training(run: Path, tmp_path: Path) -> None:
    said, imported = modules("evaluate", run, "--on", "validation", "-o", tmp_path / "scores")
    assert "mean of class means" in said
    assert imported & (TRAINING | UNUSED | {"nibabel"}) == set()


def test_report_imports_no_training(run: Path, tmp_path: Path) -> None:
    said, imported = modules("report", run, "-o", tmp_path / "page.html")
    assert "page.html" in said
    assert imported & TRAINING == set()
    assert imported & {"h5py", "nibabel", "SimpleITK", "sklearn", "torch._dynamo"} == set()


def test_inspect_imports_no_torch(small_data: PreparedData) -> None:
    said, imported = modules("inspect", small_data.folder)
    assert "8 patients" in said
    assert imported & (TRAINING | UNUSED | {"torch", "nibabel"}) == set()


@pytest.mark.parametrize("words", [["--help"], ["predict", "--help"]])
def test_help_imports_neither_torch_nor_numpy(words: list[str]) -> None:
    said, imported = modules(*words)
    assert "Usage" in said
    assert imported & (TRAINING | UNUSED | {"torch", "numpy"}) == set()
