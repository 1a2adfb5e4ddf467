"""Time reading a training slice (image and label) from a prepared data set and from HDF5 files.

Writes slices of 256 x 216 as one gzip HDF5 file each, as in the public ACDC files, prepares them, and
reads all slices of both formats in random order, from files in the page cache of the operating system. The
loader reads a slice in this way if it is not in its own cache.
"""

import argparse
import tempfile
from pathlib import Path

import h5py
import numpy as np

from common import clock, one_thread, summary, verdict
from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.workflows.prepare import prepare

SHAPE = (256, 216)


def write_slices(folder: Path, patients: int, slices: int) -> None:
    """Write ``data/slices/patient001_frame01_slice_1.h5`` etc., and a list of them."""
    (folder / "data" / "slices").mkdir(parents=True)
    names = []
    distance = np.hypot(*np.mgrid[-128:128, -108:108])
    for patient in range(1, patients + 1):
        rng = np.random.default_rng(patient)
        for number in range(1, slices + 1):
            radius = rng.uniform(20, 40)
            label = np.digitize(distance, [radius, 1.3 * radius, 1.8 * radius]).astype(np.uint8)
            label = (3 - label).astype(np.uint8)
            image = np.array([0.2, 0.4, 0.3, 0.8], np.float32)[label]
            image = np.clip(image + rng.normal(0, 0.08, SHAPE), 0, 1).astype(np.float32)
            names.append(f"patient{patient:03d}_frame01_slice_{number}")
            with h5py.File(folder / "data" / "slices" / f"{names[-1]}.h5", "w") as file:
                file.create_dataset("image", data=image, compression="gzip")
                file.create_dataset("label", data=label, compression="gzip")
    (folder / "train_slices.list").write_text("\n".join(names) + "\n")


def read_hdf5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a slice as the public loaders do."""
    with h5py.File(path, "r") as file:
        return file["image"][:], file["label"][:]


def read_prepared(data: PreparedData, case: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Read a slice as `semiseg.data.loader` does, before resizing."""
    return data.image_slice(case, index), data.label_slice(case, index)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument("--slices", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    one_thread()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_slices(folder / "hdf5", options.patients, options.slices)
        prepare(folder / "hdf5", folder / "data", parts=(1.0, 0.0, 0.0), console=Quiet())
        data = PreparedData(folder / "data")
        pairs = [
            (path, case.identifier, index)
            for case in data.cases.values()
            for index in range(case.slices)
            for path in [
                folder / "hdf5" / "data" / "slices" / f"{case.identifier}_slice_{index + 1}.h5"
            ]
        ]
        for path, case, index in pairs:  # also warms up
            image, label = read_prepared(data, case, index)
            np.testing.assert_array_equal(image[0], read_hdf5(path)[0])
            np.testing.assert_array_equal(label, read_hdf5(path)[1])
        rng = np.random.default_rng(0)
        times: dict[str, list[float]] = {"HDF5": [], "prepared": []}
        for _ in range(options.repeats):
            order = [pairs[i] for i in rng.permutation(len(pairs))]
            times["HDF5"] += [clock(lambda p=p: read_hdf5(p)) for p, _, _ in order]  # type: ignore[misc]
            times["prepared"] += [
                clock(lambda c=c, i=i: read_prepared(data, c, i))  # type: ignore[misc]
                for _, c, i in order
            ]
    hdf5, prepared = summary(times["HDF5"]), summary(times["prepared"])
    for form, timing in (("one gzip HDF5 file per slice", hdf5), ("prepared data set", prepared)):
        print(
            f"{form}: {1e6 * timing.median:,.0f} microseconds per slice, fastest {timing.fastest * 1e6:,.0f}"
        )
    # Other processes interrupt longer calls more often: compare the fastest ones.
    ratio = hdf5.fastest / prepared.fastest
    print(f"medians: {hdf5.median / prepared.median:.0f} times less")
    print(f"fastest: {ratio:.0f} times less ({verdict(ratio, 30, at_most=False)})")


if __name__ == "__main__":
    main()
