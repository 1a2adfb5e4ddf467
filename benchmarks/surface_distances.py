"""HD95 and ASD: ours against the whole-volume algorithm that the field uses (medpy).

    python benchmarks/surface_distances.py [path/to/ACDC]

Takes the label volumes of a folder in the field's HDF5 form (``data/*.h5``), or generated ones of
the same shape. Each prediction is its reference, moved and roughened; ``scattered`` adds a few
false positives far away, so that the box of the pair spans the image. Both sides compute what a
table needs: HD95 (pooled) and both directed average distances. Prints medians in milliseconds and
their ratio, all of one run, and fails where the numbers differ.

medpy is used where it is installed, and only to be measured; else its algorithm (binary erosion
and a distance transform of the whole volume, once per metric and direction) is written out here.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from semiseg.evaluation.surfaces import asd_of, hd95_of, surface_distances

Mask = NDArray[np.bool_]
Metric = Callable[[Mask, Mask, tuple[float, ...]], NDArray[np.float64]]
SPACING = (10.0, 1.5, 1.5)


def ours(prediction: Mask, reference: Mask, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """HD95, ASD one way, ASD the other way."""
    distances = surface_distances(prediction, reference, spacing)
    forward, backward = distances
    return np.array([hd95_of(distances), asd_of((forward, backward), False), backward.mean()])


def written_out(
    prediction: Mask, reference: Mask, spacing: tuple[float, ...]
) -> NDArray[np.float64]:
    """The same by whole-volume transforms, which each metric computes anew."""

    def directed(one: Mask, other: Mask) -> NDArray[np.float64]:
        structure = ndimage.generate_binary_structure(one.ndim, 1)
        edge = one ^ ndimage.binary_erosion(one, structure)
        other_edge = other ^ ndimage.binary_erosion(other, structure)
        distances: NDArray[np.float64] = ndimage.distance_transform_edt(
            ~other_edge, sampling=spacing
        )[edge]
        return distances

    both = np.concatenate([directed(prediction, reference), directed(reference, prediction)])
    one_way = directed(prediction, reference).mean()
    return np.array([np.percentile(both, 95), one_way, directed(reference, prediction).mean()])


def by_medpy() -> Metric | None:
    """medpy's own functions where it is installed."""
    try:
        from medpy.metric import binary  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None

    def measure(
        prediction: Mask, reference: Mask, spacing: tuple[float, ...]
    ) -> NDArray[np.float64]:
        return np.array(
            [
                binary.hd95(prediction, reference, spacing),
                binary.asd(prediction, reference, spacing),
                binary.asd(reference, prediction, spacing),
            ]
        )

    return measure


def volumes(folder: Path | None, count: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """Label volumes [D, H, W] with classes 1, 2, 3."""
    if folder is None:
        rows, columns = np.mgrid[:256, :232]
        for number in range(count):
            label = np.zeros((10, 256, 232), np.uint8)
            for index in range(10):
                radius = 34 - 2 * abs(index - 4) - number % 3
                heart = np.hypot(rows - 130, columns - 110)
                label[index][np.hypot(rows - 130, columns - 75) < radius * 0.8] = 1
                label[index][heart < radius] = 2
                label[index][heart < radius * 0.65] = 3
            yield f"generated {number}", label
        return
    import h5py

    files = sorted((folder / "data").glob("*.h5"))[:count]
    if not files:
        raise SystemExit(f"{folder} holds no data/*.h5: give the folder of the HDF5 form.")
    for file in files:
        with h5py.File(file) as content:
            yield file.stem, np.asarray(content["label"])


def roughened(reference: Mask, generator: np.random.Generator, scattered: bool) -> Mask:
    """A prediction with errors like a network's."""
    moved = ndimage.shift(reference.astype(np.uint8), (0, 2, -1), order=0) > 0
    noise = ndimage.gaussian_filter(generator.standard_normal(reference.shape), (0, 3, 3))
    prediction: Mask = np.where(noise > noise.std(), ndimage.binary_erosion(moved), moved)
    if scattered:
        prediction[0, 5:8, 5:8] = prediction[-1, -8:-5, -8:-5] = True
    return prediction


def milliseconds(metric: Metric, pair: tuple[Mask, Mask], repeats: int) -> float:
    """Median time of one call after a warm-up."""
    metric(*pair, SPACING)
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        metric(*pair, SPACING)
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="ACDC in the field's HDF5 form")
    parser.add_argument("--volumes", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    medpy = by_medpy()
    name = "medpy" if medpy else "whole-volume algorithm (medpy is not installed)"
    other = medpy or written_out
    generator = np.random.default_rng(0)
    print(f"ours against {name}: HD95 and both directed ASD, medians in ms")
    for scattered in (False, True):
        rows: list[tuple[float, float]] = []
        furthest = 0.0
        for _, label in volumes(arguments.folder, arguments.volumes):
            for code in (1, 2, 3):
                reference = label == code
                pair = (roughened(reference, generator, scattered), reference)
                gap = np.abs(ours(*pair, SPACING) - other(*pair, SPACING)).max()
                furthest = max(furthest, float(gap))
                rows.append(
                    (
                        milliseconds(ours, pair, arguments.repeats),
                        milliseconds(other, pair, arguments.repeats),
                    )
                )
        own, theirs = (float(np.median(column)) for column in zip(*rows, strict=True))
        ratios = [theirs_ / own_ for own_, theirs_ in rows]
        print(
            f"{'scattered' if scattered else 'compact':10} {len(rows)} masks: {own:.2f} against "
            f"{theirs:.1f} ms, ratio of medians {theirs / own:.1f} (single masks "
            f"{min(ratios):.1f} to {max(ratios):.1f}), largest difference {furthest:.1e}"
        )
        if furthest > 1e-6:
            raise SystemExit("The two disagree by more than 1e-6.")


if __name__ == "__main__":
    main()
