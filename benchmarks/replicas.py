"""Writes data sets with the form of well-known ones, large enough for ``semiseg run``.

    python benchmarks/replicas.py vessels path/to/FOLDER
    semiseg run path/to/FOLDER -o OUT --labels 1st_manual --time 10m

The images are generated. ``python benchmarks/replicas.py`` lists the forms with the options of `run`.
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import mask_replicas  # type: ignore[import-not-found]

Writer = Callable[[Path], None]

FORMS: dict[str, tuple[Writer, str]] = {
    "nuclei": (
        functools.partial(mask_replicas.nuclei, count=60, side=192, most=60, unlabelled=30),
        "",
    ),
    "ultrasound": (functools.partial(mask_replicas.ultrasound, count=20, side=256), ""),
    "vessels": (
        functools.partial(mask_replicas.vessels, training=15, test=5, shape=(584, 565), width=6.0),
        "--labels 1st_manual",
    ),
    "totalsegmentator": (
        functools.partial(
            mask_replicas.totalsegmentator, cases=12, shape=(96, 80, 48), unlabelled=4
        ),
        "",
    ),
    "bids": (functools.partial(mask_replicas.bids, subjects=10, shape=(96, 96, 40)), ""),
    "brats": (functools.partial(mask_replicas.brats, cases=8), ""),
}


def main() -> None:
    """Write one form, or list all."""
    if len(sys.argv) != 3 or sys.argv[1] not in FORMS:
        print("usage: python benchmarks/replicas.py FORM FOLDER")
        for name, (_, options) in FORMS.items():
            print(f"  {name:18} semiseg run FOLDER -o OUT --time 10m {options}".rstrip())
        sys.exit(0 if len(sys.argv) == 1 else 2)
    folder = Path(sys.argv[2])
    if folder.exists():
        sys.exit(f"{folder} exists: choose a new folder.")
    FORMS[sys.argv[1]][0](folder)
    print(f"written to {folder}")


if __name__ == "__main__":
    main()
