"""Draw a contact sheet of generated patients, or compare their statistics with those of ACDC.

    python benchmarks/phantom_sheet.py docs/images/phantom.png --patients 5
    python benchmarks/phantom_sheet.py --compare path/to/ACDC --patients 50

``path/to/ACDC`` is the folder of the public HDF5 files (with ``data/slices/*.h5``).
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from semiseg.synthetic.phantom import PHANTOM_CLASSES as CLASSES
from semiseg.synthetic.phantom import PHASES, generate_case

COLOURS = {1: (64, 160, 255), 2: (255, 208, 64), 3: (255, 80, 96)}
TILE = 136
OUTPUT = Path("docs/images/phantom.png")


def tile(
    image: NDArray[np.int16], label: NDArray[np.uint8], top: float, outlines: bool
) -> NDArray[np.uint8]:
    """One slice [X, Y] as an upright picture with outlines, TILE pixels wide and high."""
    grey = np.clip(image.T / top, 0, 1) ** 0.8 * 255
    zoom = TILE / max(grey.shape)
    grey = ndimage.zoom(grey, zoom, order=1)
    codes = ndimage.zoom(label.T, zoom, order=0)
    rgb = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    for code, colour in COLOURS.items() if outlines else ():
        mask = codes == code
        rgb[mask & ~ndimage.binary_erosion(mask)] = colour
    out = np.zeros((TILE, TILE, 3), np.uint8)
    out[: rgb.shape[0], : rgb.shape[1]] = rgb[:TILE, :TILE]
    return out


def sheet(seed: int, first: int, patients: int, outlines: bool = True) -> NDArray[np.uint8]:
    """One row per patient: basal, middle and apical slice at ED, then at ES."""
    rows = []
    for patient in range(first, first + patients):
        row = []
        for phase in PHASES:
            image, label, _ = generate_case(seed, patient, phase)
            top = float(np.percentile(image, 99.3))
            order = range(image.shape[2])
            areas = np.count_nonzero(label >= 2, axis=(0, 1))
            wall = np.flatnonzero(areas)
            if areas[wall[0]] < areas[wall[-1]]:
                order = range(image.shape[2] - 1, -1, -1)
            for part in (0.05, 0.4, 0.85):
                z = order[int(part * image.shape[2])]
                row.append(tile(image[..., z], label[..., z], top, outlines))
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows, axis=0)


def measure(cases: Iterable[tuple[NDArray[Any], NDArray[np.uint8]]]) -> dict[str, str]:
    """Quartiles over volumes [X, Y, Z] of properties that determine the difficulty of a data set."""
    rows: dict[str, list[float]] = {}
    for image, label in cases:
        image = image.astype(np.float64)
        pixels = {code: image[label == code] for code in range(4)}
        blood = float(pixels[3].mean())
        row = {
            f"{CLASSES[code]}, % of voxels": 100 * float((label == code).mean())
            for code in (1, 2, 3)
        }
        row |= {
            f"mean of {CLASSES[code]} / LV": float(pixels[code].mean()) / blood
            for code in (0, 1, 2)
        }
        row |= {
            f"deviation of {CLASSES[code]} / LV": float(pixels[code].std()) / blood
            for code in (1, 2, 3)
        }
        row["99th percentile / LV"] = float(np.percentile(image, 99)) / blood
        row["median / LV"] = float(np.median(image)) / blood
        row["contrast to noise, LV - Myo"] = (blood - float(pixels[2].mean())) / float(
            pixels[2].std()
        )
        for first, second in ((3, 1), (3, 2), (2, 0), (1, 0)):
            row[f"overlap of {CLASSES[first]} and {CLASSES[second]}"] = overlap(
                pixels[first], pixels[second]
            )
        mask = label > 0
        middle = ndimage.center_of_mass(mask)
        row["heart off centre, % of field"] = 100 * float(
            np.hypot(*(middle[k] / label.shape[k] - 0.5 for k in (0, 1)))
        )
        dice = histogram_dice(image, label)
        row |= {
            f"best possible Dice by intensity, {CLASSES[code]}": dice[code] for code in (1, 2, 3)
        }
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
    return {
        name: "{:.2f} ({:.2f} to {:.2f})".format(*np.percentile(values, [50, 25, 75]))
        for name, values in rows.items()
    }


def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Common area of two intensity histograms, 0 to 1."""
    edges = np.linspace(0, np.percentile(np.concatenate([a, b]), 99.8), 65)
    counts = [np.histogram(np.clip(v, 0, edges[-1]), edges)[0] / v.size for v in (a, b)]
    return float(np.minimum(*counts).sum())


def histogram_dice(image: NDArray[np.float64], label: NDArray[np.uint8]) -> dict[int, float]:
    """Dice of the best threshold interval of intensities per class, fitted to the volume itself."""
    edges = np.percentile(image, np.linspace(0, 100, 60))
    out = {}
    for code in (1, 2, 3):
        inside = np.concatenate([[0], np.cumsum(np.histogram(image[label == code], edges)[0])])
        whole = np.concatenate([[0], np.cumsum(np.histogram(image, edges)[0])])
        hit = inside[None, :] - inside[:, None]
        taken = whole[None, :] - whole[:, None]
        out[code] = float((2 * hit / np.maximum(taken + inside[-1], 1)).max())
    return out


def real_cases(folder: Path) -> Iterator[tuple[NDArray[Any], NDArray[np.uint8]]]:
    """Volumes of the slices in ``folder/data/slices`` (patientXXX_frameYY_slice_Z.h5)."""
    import h5py

    volumes: dict[str, list[tuple[int, Path]]] = {}
    for path in (folder / "data" / "slices").glob("*.h5"):
        name, _, number = path.stem.rpartition("_slice_")
        volumes.setdefault(name, []).append((int(number), path))
    for _, paths in sorted(volumes.items()):
        arrays = []
        for _, path in sorted(paths):
            with h5py.File(path) as file:
                arrays.append((file["image"][:], file["label"][:]))
        image, label = (np.stack(parts, axis=2) for parts in zip(*arrays, strict=True))
        yield image, label


def table(phantom: dict[str, str], real: dict[str, str]) -> str:
    """Markdown."""
    lines = ["| median (quartiles) over volumes | phantom | ACDC |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {phantom[name]} | {real[name]} |" for name in phantom])


def main() -> None:
    """Write the sheet, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, nargs="?", default=OUTPUT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--patients", type=int, default=5)
    parser.add_argument("--plain", action="store_true", help="without outlines")
    parser.add_argument("--compare", type=Path, metavar="ACDC", help="print a table instead")
    options = parser.parse_args()
    if options.compare:
        numbers = range(options.first, options.first + options.patients)
        made = (generate_case(options.seed, n, phase)[:2] for n in numbers for phase in PHASES)
        print(table(measure(made), measure(real_cases(options.compare))))
        return
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture = sheet(options.seed, options.first, options.patients, not options.plain)
    palette = Image.new("P", (1, 1))
    greys = [(level, level, level) for level in range(0, 256, 5)]
    palette.putpalette([value for colour in (*greys, *COLOURS.values()) for value in colour])
    small = Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
    small.save(options.output, optimize=True)


if __name__ == "__main__":
    main()
