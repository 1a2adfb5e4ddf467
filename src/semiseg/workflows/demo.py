"""``semiseg demo``: the main job on data that semiseg generates, ending in a page."""

import dataclasses
import os
import shutil
import time
from pathlib import Path

from semiseg.console import Console
from semiseg.data.splits import parse_budget
from semiseg.errors import RunFailure, UserError
from semiseg.synthetic.phantom import write_phantom
from semiseg.text import duration
from semiseg.workflows.benchmark import benchmark
from semiseg.workflows.prepare import prepare
from semiseg.workflows.report import report

PATIENTS = 40
LABELLED = "3"


@dataclasses.dataclass(frozen=True)
class DemoResult:
    """The page, and the benchmark's folder behind it."""

    page: Path
    bench: Path
    seconds: float


def demo(
    out: Path | str,
    *,
    seed: int = 0,
    patients: int = PATIENTS,
    labelled: str = LABELLED,
    iterations: int | None = None,
    jobs: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    console: Console = Console(),  # noqa: B008 - holds nothing
) -> DemoResult:
    """Generate phantom patients, train ``supervised`` and ``mcsc`` on the same few labelled ones,
    score both on held-out patients and write one HTML page.

    Args:
        out: a folder that is new, or that an interrupted demo with the same words has begun.
        seed: of the phantom, of the labelled patients and of the trainings.
        labelled: how many training patients are labelled.
        iterations: default: those of the preset 'demo'.
        jobs: trainings at a time; default: two where there are two cores.
        overwrite: begin anew.

    Raises:
        UserError: for numbers that do not fit, or a folder that holds something else.
        RunFailure: where a training did not finish.
    """
    folder = Path(out)
    if seed < 0:
        raise UserError(f"--seed {seed}: give a whole number, 0 or more.")
    parse_budget(labelled, patients)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another folder with -o.")
    start = time.monotonic()
    words = f"patients={patients} seed={seed}"
    marker = folder / "demo.txt"
    if folder.exists() and any(folder.iterdir()):
        if not marker.is_file():
            raise UserError(f"{folder} exists and is no demo: choose another folder with -o.")
        if overwrite or marker.read_text(encoding="utf-8").strip() != words:
            if not overwrite:
                raise UserError(f"{folder} holds another demo: take --overwrite, or another -o.")
            shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # first of all: a demo that is stopped at any time goes on
        marker.write_text(words + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): choose another folder with -o."
        ) from None
    data = folder / "data"
    if not (data / "manifest.json").is_file():
        console.say(
            f"1. Generating a phantom data set: {patients} patients of short-axis cardiac MRI"
        )
        images = folder / "phantom"
        if images.exists():
            shutil.rmtree(images)  # an interrupted demo left a part of it
        write_phantom(images, patients, seed=seed, console=console)
        console.say("2. Preparing it")
        prepare(images, data, seed=seed, console=console)
    console.say(f"3. Training supervised and mcsc with {labelled} labelled patients each")
    settings = [] if iterations is None else [f"training.iterations={iterations}"]
    if jobs is None:
        jobs = min(2, os.cpu_count() or 1)
    result = benchmark(
        data, folder / "bench", methods=["supervised", "mcsc"], labelled=[labelled], seeds=[seed],
        preset="demo", settings=settings, on="test", jobs=jobs, threads=1, device=device,
        console=console,
    )  # fmt: skip
    if result.failed:
        raise RunFailure(
            f"{', '.join(result.failed)} did not finish (see above): repeat the command to go on."
        )
    console.say("4. Writing the page")
    page = report(folder / "bench", console=console)
    seconds = time.monotonic() - start
    console.say(
        f"\nThe demo took {duration(seconds)}. Open this page in a browser:\n  {page.resolve()}"
    )
    console.say(
        "\nOn your own data, next:\n"
        "  semiseg prepare path/to/your/images -o DATA\n"
        "  semiseg train DATA --method mcsc -o RUN\n"
        "  semiseg predict RUN path/to/new/images -o MASKS"
    )
    return DemoResult(page, folder / "bench", seconds)
