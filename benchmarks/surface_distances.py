"""Compare the time of HD95 and ASD with the usual algorithm on the whole volume (medpy).

    python benchmarks/surface_distances.py [path/to/ACDC]

Uses the label volumes of a folder of public HDF5 files (``data/*.h5``), or generated ones of the same
shape. Each prediction is its reference, shifted and with rough edges; ``scattered`` adds a few distant
false positives, so that the bounding box of the pair spans the image. Times HD95 together with
one-directional ASD, and HD95 alone. Prints medians in milliseconds and their ratio, and fails if the
results differ.

If medpy is not installed, its algorithm (binary erosion and a distance transform of the whole volume, once
per metric and direction) is used from this file.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from semiseg.evaluation.surfaces import asd_of, hd95, hd95_of, surface_distances

Mask = NDArray[np.bool_]
Metric = Callable[[Mask, Mask, tuple[float, ...]], NDArray[np.float64]]
SPACING = (10.0, 1.5, 1.5)


def ours(prediction: Mask, reference: Mask, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """HD95, then ASD from prediction to reference."""
    distances = surface_distances(prediction, reference, spacing)
    return np.array([hd95_of(distances), asd_of(distances, symmetric=False)])


def ours_hd95(prediction: Mask, reference: Mask, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Only HD95."""
    return np.array([hd95(prediction, reference, spacing)])


def _directed(one: Mask, other: Mask, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    structure = ndimage.generate_binary_structure(one.ndim, 1)
    edge = one ^ ndimage.binary_erosion(one, structure)
    other_edge = other ^ ndimage.binary_erosion(other, structure)
    distances: NDArray[np.float64] = ndimage.distance_transform_edt(~other_edge, sampling=spacing)
    return distances[edge]


def whole_volume_hd95(prediction: Mask, reference: Mask, spacing: tuple[float, ...]) -> float:
    """HD95 by transforms of the whole volume."""
    forward = _directed(prediction, reference, spacing)
    return float(
        np.percentile(np.concatenate([forward, _directed(reference, prediction, spacing)]), 95)
    )


def whole_volume_asd(prediction: Mask, reference: Mask, spacing: tuple[float, ...]) -> float:
    """One-directional ASD by a transform of the whole volume."""
    return float(_directed(prediction, reference, spacing).mean())


def baseline() -> tuple[str, Metric, Metric]:
    """The name of the baseline, its function for (HD95, ASD), and its function for HD95."""
    try:
        from medpy.metric import binary  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        name = "the whole-volume algorithm (medpy is not installed)"
        far, average = whole_volume_hd95, whole_volume_asd
    else:
        name, far, average = "medpy", binary.hd95, binary.asd

    def both(p: Mask, r: Mask, spacing: tuple[float, ...]) -> NDArray[np.float64]:
        return np.array([far(p, r, spacing), average(p, r, spacing)])

    def alone(p: Mask, r: Mask, spacing: tuple[float, ...]) -> NDArray[np.float64]:
        return np.array([far(p, r, spacing)])

    return name, both, alone


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
        raise SystemExit(
            f"{folder} contains no data/*.h5: give the folder of the public HDF5 files."
        )
    for file in files:
        with h5py.File(file) as content:
            yield file.stem, np.asarray(content["label"])


def roughened(reference: Mask, generator: np.random.Generator, scattered: bool) -> Mask:
    """A prediction with errors similar to those of a network."""
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
    parser.add_argument(
        "folder", nargs="?", type=Path, help="folder of the public HDF5 files of ACDC"
    )
    parser.add_argument("--volumes", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    name, both, alone = baseline()
    generator = np.random.default_rng(0)
    print(f"ours against {name}, medians in ms")
    for scattered in (False, True):
        pairs: list[tuple[Mask, Mask]] = []
        for _, label in volumes(arguments.folder, arguments.volumes):
            references = [label == code for code in (1, 2, 3)]
            pairs += [(roughened(r, generator, scattered), r) for r in references if r.any()]
        kind = "scattered" if scattered else "compact"
        for what, own, other in (("HD95 and ASD", ours, both), ("HD95", ours_hd95, alone)):
            gaps = [np.abs(own(*pair, SPACING) - other(*pair, SPACING)).max() for pair in pairs]
            if max(gaps) > 1e-6:
                raise SystemExit(f"The results differ by {max(gaps):.2g}.")
            mine = [milliseconds(own, pair, arguments.repeats) for pair in pairs]
            theirs = [milliseconds(other, pair, arguments.repeats) for pair in pairs]
            ratios = np.divide(theirs, mine)
            print(
                f"{kind:9} {what:12} {len(pairs)} masks: {np.median(mine):.2f} against "
                f"{np.median(theirs):.1f}, ratio of medians "
                f"{np.median(theirs) / np.median(mine):.1f} (single masks {ratios.min():.1f} to "
                f"{ratios.max():.1f}), largest difference {max(gaps):.0e}"
            )


if __name__ == "__main__":
    main()
