"""How many of MCSC's problems hold one class alone, or nothing but background.

    python benchmarks/single_class_problems.py DATA [--labelled 7] [--steps 200] [--set data.size=96]

A problem is a set of patches, one per map, whose pixels are contrasted (MCSC, section 3.2). The labels are
those of labelled images, from a training's own batches. The first lines count the maps of one step, as at
the beginning of a run; the others those of two steps, which are as many maps as labelled and unlabelled
images give later. A problem of one class has no negatives; ``mcsc.skip_single_class`` leaves it out of the
mean.
"""

import argparse
from pathlib import Path

import torch

from common import one_thread
from semiseg.data.loaders import loader_of
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.methods.common.patches import draw_origin, shuffle_patches
from semiseg.methods.common.points import shrink_labels
from semiseg.methods.mcsc import MCSC, tile
from semiseg.training.device import torch_device
from semiseg.training.loop import batch_counts, seed_step
from semiseg.training.plan import plan_training


def count(
    data: PreparedData, labelled: str, steps: int, together: int, settings: list[str]
) -> None:
    """Print a line per scale."""
    plan = plan_training(data, "mcsc", labelled, None, "mcsc-cpu", settings, torch_device("cpu"))
    method = MCSC(data.task, plan.config)
    loader = loader_of(plan.config.data)(
        data, plan.cases.labelled, plan.cases.unlabelled, batch_counts(method, plan.config),
        plan.config.data, plan.config.training.seed,
    )  # fmt: skip
    found = {scale: torch.zeros(3, dtype=torch.long) for scale in (1, 4, 8)}
    for step in range(steps):
        seed_step(plan.config.training.seed, step, 0)
        given = [loader(together * step + i).labels for i in range(together)]
        labels = torch.cat(given).repeat(2, 1, 1)  # the maps of two networks
        for scale, total in found.items():
            small = shrink_labels(labels, [n // scale for n in labels.shape[1:]])
            side = tile(method.sides[scale], small.shape[1:])
            origin = draw_origin(side, "pad")
            _, codes, mask = shuffle_patches(small[:, None].float(), small, side, "pad", origin)
            for number, problem in enumerate(codes):
                kept = problem if mask is None else problem[mask[number]]
                classes = kept[kept != IGNORE_INDEX].unique()
                total += torch.tensor(
                    [1, len(classes) == 1, len(classes) == 1 and not classes.any()]
                )
    for scale, (all_, single, background) in found.items():
        print(
            f"{len(labels)} maps, scale 1/{scale}, patches of {method.sides[scale]}: {int(all_):,} problems, "
            f"{100 * int(single) / int(all_):.0f}% of one class, "
            f"{100 * int(background) / int(all_):.0f}% background alone"
        )


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="a prepared data set of slices")
    parser.add_argument("--labelled", default="7")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    one_thread()
    for together in (1, 2):
        count(
            PreparedData(options.data), options.labelled, options.steps, together, options.settings
        )


if __name__ == "__main__":
    main()
