"""``semiseg demo``: train two methods on generated data and write a report."""

import dataclasses
import os
import re
import shutil
import time
from pathlib import Path

from semiseg.console import Console
from semiseg.data.budget import parse_budget
from semiseg.errors import RunFailure, UserError
from semiseg.files import atomic_write, check_links, is_partial, read_text
from semiseg.locking import one_at_a_time, remove_partials_below
from semiseg.synthetic.phantom import write_phantom
from semiseg.text import duration
from semiseg.workflows.benchmark import benchmark
from semiseg.workflows.prepare import prepare
from semiseg.workflows.report import report

PATIENTS = 40
LABELLED = "3"


def _arguments(marker: Path) -> str | None:
    """The arguments of the demo that wrote ``marker``; None if no demo did."""
    try:
        text = read_text(marker).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if re.fullmatch(r"patients=\d+ seed=\d+", text) else None


@dataclasses.dataclass(frozen=True)
class DemoResult:
    """The page, the benchmark's folder and the duration."""

    page: Path
    bench: Path
    seconds: float


@one_at_a_time("running the demo")
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
    console: Console = Console(),  # noqa: B008 - it has no state
) -> DemoResult:
    """Compare ``supervised`` and ``mcsc`` on generated patients.

    Both methods train on the same few labelled patients and are scored on held-out patients. The result
    is an HTML page.

    Args:
        out: a new folder, or the folder of an interrupted demo with the same arguments.
        seed: seed of the phantom, of the choice of labelled patients and of the trainings.
        patients: number of patients to generate.
        labelled: number of labelled training patients.
        iterations: default: as in the preset 'demo'.
        jobs: trainings at the same time; default: two if there are two cores.
        device: auto, cpu or cuda.
        overwrite: delete an earlier demo and start again.
        console: prints messages and progress.

    Raises:
        UserError: if a number is invalid, or the folder contains something else.
        RunFailure: if a training did not finish.
    """
    folder = Path(out)
    if seed < 0:
        raise UserError(f"--seed {seed}: give a whole number, 0 or more.")
    parse_budget(labelled, patients)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another folder with -o.")
    start = time.monotonic()
    arguments = f"patients={patients} seed={seed}"
    marker = folder / "demo.txt"
    if folder.exists() and not all(is_partial(path) for path in folder.iterdir()):
        held = _arguments(marker)
        if held is None:
            raise UserError(f"{folder} exists and is not a demo: choose another folder with -o.")
        if held != arguments and not overwrite:
            raise UserError(
                f"{folder} contains another demo: replace it with --overwrite, or choose another -o."
            )
        if overwrite:
            check_links(folder, "remove the link")
            for name in ("data", "phantom", "bench"):
                shutil.rmtree(folder / name, ignore_errors=True)
    remove_partials_below(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # written first, so that a demo can be resumed whenever it is interrupted
        with atomic_write(marker) as partial:
            partial.write_text(arguments + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): choose another folder with -o."
        ) from None
    data = folder / "data"
    if not (data / "manifest.json").is_file():
        console.info(
            f"1. Generating a phantom data set: {patients} patients of short-axis cardiac MRI"
        )
        images = folder / "phantom"
        if images.exists():
            shutil.rmtree(images)  # incomplete, from an interrupted demo
        write_phantom(images, patients, seed=seed, console=console)
        console.info("2. Preparing the data set")
        prepare(images, data, seed=seed, console=console)
    console.info(f"3. Training supervised and mcsc with {labelled} labelled patients each")
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
            f"{', '.join(result.failed)} did not finish (see above): to resume, run the same command again."
        )
    console.info("4. Writing the page")
    page = report(folder / "bench", console=console)
    seconds = time.monotonic() - start
    console.info(
        f"\nThe demo took {duration(seconds)}. Open this page in a browser:\n  {page.resolve()}"
    )
    console.info(
        "\nTo use your own data:\n"
        "  semiseg prepare path/to/your/images -o DATA\n"
        "  semiseg train DATA --method mcsc -o RUN\n"
        "  semiseg predict RUN path/to/new/images -o MASKS"
    )
    return DemoResult(page, folder / "bench", seconds)
