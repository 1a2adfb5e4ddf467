"""Measure the quality of PLGCL's pseudo-labels and of its patches during training.

    python benchmarks/pseudo_labels.py BENCH/runs/* --images 240 --out pseudo-labels.png

Needs runs of ``plgcl`` that kept intermediate weights (``training.keep_weights_at=[200,500,1000]``) on
data with labels that the runs did not read. Computes for every kept iteration, on batches of unlabelled
training slices without augmentation, the mean over the foreground classes of:

- dice: of the pseudo-label, over the pixels of all slices, at the network's input size;
- precision, recall: soft, of the confidence C that weights the images (section 3.1);
- right: fraction of the candidate windows of a class that contain it, by the same threshold;
- filled: mean confidence of these windows (equation 1), the fraction of a patch that is not black.

Writes a figure with one curve per run, and a CSV file of the same name.
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from semiseg.data.batch_loader import slices_of
from semiseg.data.evenly_spaced import evenly_spaced
from semiseg.data.loader import SliceCache
from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import RunFailure, UserError
from semiseg.losses.ignore import one_hot
from semiseg.methods.common.pseudo_label import predict_probabilities
from semiseg.methods.plgcl import PLGCL
from semiseg.reporting.figures import SERIES, save_figure
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.loading import load_method, open_data, part_of

MEASURES = ("dice", "precision", "recall", "right", "filled")


def stages(run: RunFolder) -> list[tuple[int, str]]:
    """The iterations at which weights were kept, with their names; the last one is the end.

    Raises:
        UserError: if no intermediate weights were kept.
    """
    found = [
        (int(number[1]), path.stem)
        for path in run.weights.glob("step-*.safetensors")
        if (number := re.fullmatch(r"step-(\d+)", path.stem))
    ]
    if not found:
        raise UserError(
            f"{run.folder} has no intermediate weights: train with training.keep_weights_at=[...]."
        )
    return [*sorted(found), (run.config().training.iterations, "last")]


def batches(run: RunFolder, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images [B, C, S, S] and labels [B, S, S] of ``count`` evenly spaced unlabelled slices."""
    config = run.config()
    data = open_data(run, None, "move them back")
    slices = slices_of(part_of(run, data, "unlabelled"))
    cache = SliceCache(data, config.data.size, config.data.cache_mb)
    chosen = evenly_spaced(len(slices), count)
    size = config.training.batch_size - config.training.labelled_batch_size
    # neighbouring slices are similar, unlike those of a training batch
    for part in np.array_split(
        np.random.default_rng(0).permutation(chosen), -(-len(chosen) // size)
    ):
        images, labels = zip(*(cache.get(*slices[int(index)], True) for index in part), strict=True)
        yield torch.stack(images), torch.stack(labels).long()


@torch.no_grad()
def measure(run: RunFolder, weights: str, count: int) -> dict[str, float]:
    """The mean of every measure over foreground classes; raises `UserError` for other methods."""
    method = load_method(run, weights, torch.device("cpu"))
    if not isinstance(method, PLGCL):
        raise UserError(f"{run.folder} is not a run of plgcl: give runs of plgcl.")
    least, classes = method.options.least_confidence, method.classes
    sums = {name: torch.zeros(classes, dtype=torch.float64) for name in (
        "both", "guessed", "true", "attended", "attended right", "windows", "windows right", "filled"
    )}  # fmt: skip
    for images, labels in batches(run, count):
        confidence = predict_probabilities(method.student, images)
        labelled = labels != IGNORE_INDEX
        truth = one_hot(labels, classes)
        hard = one_hot(confidence.argmax(1).where(labelled, IGNORE_INDEX), classes)
        confidence = confidence * labelled[:, None]
        side = images.shape[-1] // 4
        average, share = (F.avg_pool2d(x, side, side // 2) for x in (confidence, truth))
        candidates = average >= least
        for name, value in {
            "both": hard * truth, "guessed": hard, "true": truth, "attended": confidence,
            "attended right": confidence * truth, "windows": candidates,
            "windows right": candidates & (share >= least), "filled": average * candidates,
        }.items():  # fmt: skip
            sums[name] += value.double().sum((0, 2, 3))
    ratios = {
        "dice": 2 * sums["both"] / (sums["guessed"] + sums["true"]),
        "precision": sums["attended right"] / sums["attended"],
        "recall": sums["attended right"] / sums["true"],
        "right": sums["windows right"] / sums["windows"],
        "filled": sums["filled"] / sums["windows"],
    }
    return {name: float(ratios[name][1:].nanmean()) for name in MEASURES}


def draw(rows: Sequence[dict[str, str | int | float]]) -> Figure:
    """Draw one panel per measure with one curve per run."""
    figure = Figure((2.4 * len(MEASURES), 2.6), layout="constrained")
    for axes, measured in zip(figure.subplots(1, len(MEASURES)), MEASURES, strict=True):
        for index, run in enumerate(dict.fromkeys(row["run"] for row in rows)):
            own = [row for row in rows if row["run"] == run]
            axes.plot(
                [row["iteration"] for row in own], [row[measured] for row in own], "o-",
                color=SERIES[index % len(SERIES)], markersize=3, label=run,
            )  # fmt: skip
        axes.set_title(measured, fontsize=9)
        axes.set_xlabel("iteration", fontsize=8)
        axes.set_ylim(0, 1)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=240, help="unlabelled slices")
    parser.add_argument("--out", type=Path, default=Path("pseudo-labels.png"))
    args = parser.parse_args()
    rows: list[dict[str, str | int | float]] = []
    for run in map(RunFolder, args.runs):
        for iteration, weights in stages(run):
            values = measure(run, weights, args.images)
            rows.append({"run": run.folder.name, "iteration": iteration, **values})
            shown = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
            print(f"{run.folder.name}  {iteration:6d}  {shown}", flush=True)
    save_figure(draw(rows), args.out)
    with args.out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["run", "iteration", *MEASURES])
        writer.writeheader()
        writer.writerows(rows)
    print(f"figure: {args.out}; numbers: {args.out.with_suffix('.csv')}")


if __name__ == "__main__":
    try:
        main()
    except (UserError, RunFailure) as error:
        sys.exit(f"pseudo_labels: {error}")
