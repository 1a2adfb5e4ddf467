"""Which paths of a command are runs."""

from collections.abc import Sequence
from pathlib import Path

from semiseg.errors import UserError
from semiseg.formats import DICOM
from semiseg.text import plural
from semiseg.training.run_output import is_run
from semiseg.workflows.image_files import image_files


def runs_and_images(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Divide ``RUN [RUN]... IMAGES...``: the first path is a run, and so are those after it that are runs.

    Raises:
        UserError: if there is no image after the runs, if a run follows the images, or if a folder between
            them contains runs but no image.
    """
    first, *others = paths
    late = next((path for path in others if is_run(path)), None)
    if late is not None and not is_run(first):
        raise UserError(f"{first} is not a run, but {late} is: give the runs first, then images.")
    count = next((n for n, path in enumerate(paths) if n and not is_run(path)), len(paths))
    runs, images = list(paths[:count]), list(paths[count:])
    if not images:
        raise UserError(f"{paths[-1]} is a run: give images or folders of images after the runs.")
    late = next((path for path in images if is_run(path)), None)
    if late is not None:
        raise UserError(
            f"{late} is a run, but {images[0]} before it is not: give the runs first, then images."
        )
    for path in images:
        inner = _runs_below(path)
        if inner and not DICOM.recognises(path) and not image_files(path):
            raise UserError(
                f"{path} is not a run, but it contains {plural(len(inner), 'run')}: name the runs "
                f"themselves, such as {inner[0]}."
            )
    return runs, images


def check_runs(paths: Sequence[Path]) -> None:
    """Check that several folders are all runs.

    Raises:
        UserError: naming the first that is not.
    """
    other = next((path for path in paths if not is_run(path)), None)
    if other is not None:
        raise UserError(
            f"{other} is not a run: several folders must all be runs; to compare masks, give MASKS "
            "REFERENCES."
        )


def _runs_below(folder: Path) -> list[Path]:
    """The runs in a folder, such as that of a benchmark, and in its sub-folders."""
    found = [*folder.glob("*/config.yaml"), *folder.glob("*/*/config.yaml")]
    return sorted(path.parent for path in found if is_run(path.parent))
