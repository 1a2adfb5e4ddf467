"""The notebook of the documentation runs from top to bottom, and holds no outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"
PROGRAM = """
import json, sys
namespace = {"__name__": "__main__"}
for number, source in enumerate(json.load(sys.stdin)):
    exec(compile(source, f"cell {number}", "exec"), namespace)
labels = namespace["labels"]["mcsc"]
print(json.dumps({
    "folder": str(namespace["folder"]),
    "shapes": [namespace["volume"].shape, labels.shape, namespace["probabilities"].shape],
    "dice": {name: score.overall["dice"].mean for name, score in namespace["scores"].items()},
    "figures": namespace["plt"].get_fignums(),
}))
"""


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    """The notebook's cells of code."""
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def test_it_holds_no_outputs(cells: list[dict[str, Any]]) -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


def test_every_cell_runs(cells: list[dict[str, Any]], tmp_path: Path) -> None:
    environment = os.environ | {
        "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], cwd=tmp_path, env=environment,
        input=json.dumps(["".join(cell["source"]) for cell in cells]),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["shapes"] == [[4, 64, 64], [4, 64, 64], [4, 4, 64, 64]]
    assert set(found["dice"]) == {"supervised", "mcsc"}
    assert found["figures"] == [1]
    assert Path(found["folder"]).is_relative_to(tmp_path)
    assert min(found["dice"].values()) > 0.02  # something is found: a loss of the labels would show
