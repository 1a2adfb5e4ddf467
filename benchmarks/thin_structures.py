"""Thin structures: slices resized to the input against crops at their own resolution.

    python benchmarks/thin_structures.py --out thin-structures

Draws pictures of 584 x 565 pixels with branching vessels, as wide as those of a retina, prepares
them, trains the same method on resized pictures and on crops, and prints the Dice of the test
pictures. What is finished is not done again. ``--data`` takes a prepared data set instead.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

import semiseg
from semiseg.evaluation.summary import Summary

SHAPE = (584, 565)
SCALE = 4  # vessels are drawn larger, so that their edges are smooth
CONTRAST = (0.10, 0.22)  # of a vessel, as a fraction of the brightness around it


def draw_vessels(rng: np.random.Generator) -> NDArray[np.float64]:
    """The share [H, W] of each pixel that vessels cover."""
    height, width = SHAPE
    canvas = Image.new("L", (width * SCALE, height * SCALE))
    pen = ImageDraw.Draw(canvas)
    disc = np.array([width * rng.uniform(0.2, 0.3), height * rng.uniform(0.4, 0.6)])
    branches = [
        (disc, angle + rng.normal(0, 0.15), rng.uniform(5.0, 7.0))
        for angle in np.linspace(-2.4, 2.4, 7)
    ]
    while branches:
        place, angle, thickness = branches.pop()
        bend = rng.normal(0, 0.02)
        for _ in range(int(rng.uniform(20, 60))):
            moved = place + 4 * np.array([np.cos(angle), np.sin(angle)])
            ends = [tuple(SCALE * place), tuple(SCALE * moved)]
            pen.line(ends, fill=255, width=max(round(SCALE * thickness), 1))
            place, angle = moved, angle + bend + rng.normal(0, 0.06)
            thickness *= 0.995
        inside = np.hypot(*(place - np.array([width, height]) / 2)) < 0.46 * height
        if thickness > 1.6 and inside:
            for side in (-1, 1):
                share = rng.uniform(0.6, 0.85)
                branches.append((place, angle + side * rng.uniform(0.2, 0.7), thickness * share))
    covered = np.asarray(canvas.resize((width, height), Image.Resampling.BOX), np.float64) / 255
    return covered * (_away() < 0.48)


def _away() -> NDArray[np.float64]:
    """Distance from the middle, as a fraction of the height."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(rows - SHAPE[0] / 2, columns - SHAPE[1] / 2) / SHAPE[0]


def write_vessels(folder: Path, count: int, seed: int) -> None:
    """Write ``count`` pictures to ``folder/images`` and their masks to ``folder/masks``."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        covered = draw_vessels(rng)
        broad = ndimage.gaussian_filter(rng.normal(size=SHAPE), 60)
        texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), 3)
        brightness = 0.55 + 0.12 * broad / broad.std() + 0.02 * texture / texture.std()
        depth = rng.uniform(*CONTRAST) * (1 + 0.3 * texture / texture.std())
        image = brightness * (1 - depth * covered) + rng.normal(0, 0.02, SHAPE)
        image = np.where(_away() < 0.48, image, rng.normal(0.02, 0.005, SHAPE))
        levels = np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)
        Image.fromarray(levels).save(folder / "images" / f"{number:02d}.png")
        mask = np.where(covered >= 0.5, 255, 0).astype(np.uint8)
        Image.fromarray(mask).save(folder / "masks" / f"{number:02d}.png")


def mean_dice(summary: Summary) -> dict[str, float]:
    """Mean Dice in percent of each class, and over the classes."""
    means = {one.name: one.metrics["dice"].mean for one in summary.classes}
    found = {name: 100 * mean for name, mean in means.items() if mean is not None}
    return {**found, "mean": statistics.fmean(found.values())}


def main() -> None:
    """Draw, prepare, train and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="a prepared data set instead of vessels")
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--labelled", default="3")
    parser.add_argument("--method", default="supervised")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--on", default="test")
    arguments = parser.parse_args()
    data = arguments.data or arguments.out / "data"
    if not (data / "manifest.json").is_file():
        write_vessels(arguments.out / "vessels", arguments.pictures, seed=0)
        semiseg.prepare(arguments.out / "vessels", data)
    for seed in arguments.seeds:
        for option in ("size", "crop_size"):
            run = arguments.out / f"{option}-{arguments.labelled}-s{seed}"
            if not (run / "finished.json").is_file():
                config = {
                    "data": {option: arguments.size},
                    "training": {
                        "iterations": arguments.iterations, "seed": seed,
                        "validate_every": arguments.iterations,
                    },
                }  # fmt: skip
                semiseg.train(
                    data, run, method=arguments.method, labelled=arguments.labelled,
                    config=config, threads=1, overwrite=run.exists(),
                )  # fmt: skip
            scores = semiseg.evaluate(run, on=arguments.on, weights="last", overwrite=True)
            shown = ", ".join(f"{name} {value:.1f}" for name, value in mean_dice(scores).items())
            print(f"RESULT {option}={arguments.size}, seed {seed}: Dice {shown}", flush=True)


if __name__ == "__main__":
    main()
