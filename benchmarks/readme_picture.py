"""The picture at the top of README.md: a held-out phantom patient, its reference, two predictions.

    python benchmarks/readme_picture.py --out readme-picture

Generates phantom patients, prepares them, trains ``supervised`` on three labelled patients and
``cross-level`` on the same three and the unlabelled ones, and scores both on the test patients. It
prints the Dice of every test volume and draws one volume by a rule: the one whose difference between
the two methods is nearest to the median difference, in its middle slice of those that hold the heart.
What is finished is not done again.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from semiseg.console import Console
from semiseg.data.manifest import PreparedData
from semiseg.reporting.figures import CLASSES
from semiseg.reporting.overlays import Shown, sheet
from semiseg.reporting.results import Scored, read_benchmark
from semiseg.synthetic.phantom import write_phantom
from semiseg.workflows.benchmark import benchmark
from semiseg.workflows.loading import load_predictor
from semiseg.workflows.prepare import prepare

LABELLED = 3
COLUMNS = {
    "supervised": "trained on 3 labelled\npatients alone",
    "cross-level": "trained on the same 3\nand {unlabelled} unlabelled patients",
}
OUTPUT = Path("docs/images/readme.png")


def make(folder: Path, patients: int, iterations: int, seed: int) -> PreparedData:
    """Generate, prepare, train and score what is not there yet."""
    console, data = Console(), folder / "data"
    if not (data / "manifest.json").is_file():
        write_phantom(folder / "phantom", patients, seed=seed, console=console)
        prepare(folder / "phantom", data, seed=seed, console=console)
    settings = [
        "data.size=96",
        f"training.iterations={iterations}",
        f"training.validate_every={max(iterations // 5, 1)}",
    ]
    benchmark(
        data, folder / "bench", methods=list(COLUMNS), labelled=[str(LABELLED)], seeds=[seed],
        preset="cross-level-cpu", settings=settings, on="test", console=console,
    )  # fmt: skip
    return PreparedData(data)


def choose(scores: dict[str, dict[str, float]]) -> str:
    """The case whose difference between the two methods is nearest to the median difference."""
    first, second = (scores[name] for name in COLUMNS)
    difference = {case: second[case] - first[case] for case in first}
    median = statistics.median(difference.values())
    for case, value in sorted(difference.items(), key=lambda item: item[1]):
        print(f"{case}  {first[case]:.3f}  {second[case]:.3f}  {value:+.3f}")
    means = [statistics.fmean(values.values()) for values in (first, second)]
    print(f"mean {means[0]:.3f}, {means[1]:.3f}; median difference {median:+.3f}")
    return min(sorted(difference), key=lambda case: abs(difference[case] - median))


def draw(shown: Shown, titles: dict[str, str], classes: tuple[str, ...]) -> Figure:
    """One row: image, reference and the predictions, a title above and the Dice below each."""
    made = sheet(shown, slices=1)
    cells = made.rows[0][1]
    figure = Figure((2.4 * len(cells), 3.45), layout="constrained")
    for axes, (name, score), (pixels, _) in zip(
        figure.subplots(1, len(cells)), made.heads, cells, strict=True
    ):
        axes.imshow(pixels)
        axes.set(xticks=[], yticks=[], frame_on=False)
        axes.set_title(titles.get(name, name), fontsize=10)
        axes.set_xlabel(score, fontsize=10)
    handles = [
        *(
            Patch(color=colour, label=label)
            for colour, label in zip(CLASSES, classes, strict=False)
        ),
        Patch(facecolor="white", edgecolor="black", label="white outline: reference"),
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9, frameon=False
    )
    return figure


def main() -> None:
    """Train what is missing, print the scores, write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", type=Path, nargs="?", default=OUTPUT)
    parser.add_argument("--out", type=Path, default=Path("readme-picture"), help="working folder")
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--iterations", type=int, default=700)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    data = make(chosen.out, chosen.patients, chosen.iterations, chosen.seed)
    scored: dict[str, Scored] = {
        one.row["variant"]: one for one in read_benchmark(chosen.out / "bench").scored
    }
    scores = {name: scored[name].dice[None] for name in COLUMNS}
    case = choose(scores)
    image, held = np.asarray(data.image(case)), data.cases[case]
    predictions = {
        name: load_predictor(one.folder).predict(image, held.bounds, held.spacing)
        for name, one in scored.items()
    }
    shown = Shown(
        "", case, "", image, np.asarray(data.label(case)), predictions,
        {name: values[case] for name, values in scores.items()}, held.spacing,
    )  # fmt: skip
    unlabelled = len(data.manifest.split.train) - LABELLED
    titles = {name: text.format(unlabelled=unlabelled) for name, text in COLUMNS.items()}
    titles |= {"image": "image of a new patient", "reference": "reference"}
    chosen.picture.parent.mkdir(parents=True, exist_ok=True)
    figure = draw(shown, titles, data.task.foreground)
    figure.savefig(chosen.picture, dpi=110, bbox_inches="tight")
    print(f"{chosen.picture}: {case}")


if __name__ == "__main__":
    main()
