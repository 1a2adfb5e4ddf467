"""The summary of a data set that ``prepare`` prints."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.console import Console
from semiseg.data.manifest import PARTS, Manifest
from semiseg.data.splits import counted
from semiseg.data.task import IGNORE_INDEX


def describe(manifest: Manifest, voxels: NDArray[np.int64], console: Console) -> None:
    """Print a summary of a prepared data set.

    Args:
        manifest: manifest of the data set.
        voxels: [256] number of voxels of each class code, and of ``IGNORE_INDEX``.
        console: for the output.
    """
    task, cases = manifest.task, manifest.cases
    shares = voxels[: len(task.classes)] / max(int(voxels[:IGNORE_INDEX].sum()), 1)
    listed = ", ".join(
        f"{name} {100 * share:.3g}%" for name, share in zip(task.classes, shares, strict=True)
    )
    console.info(f"  classes: {listed} of the labelled {'pixels' if _flat(manifest) else 'voxels'}")
    console.info(f"  found: {counted(cases, task.kind)}")
    if _flat(manifest) and len({case.patient for case in cases}) == len(cases) > 1:
        console.info(
            "  patients: every picture counts as a separate patient (to group pictures: --patient-pattern)"
        )
    heights, widths = [c.shape[2] for c in cases], [c.shape[3] for c in cases]
    size = f"{_range(heights)} x {_range(widths)} pixels"
    if not _flat(manifest):
        size += f", {_range([c.slices for c in cases])} slices per volume"
    channels = f"{task.channels} channel{'s' if task.channels > 1 else ''}"
    console.info(f"  size: {size}, {channels}")
    console.info(f"  spacing: {_spacing(manifest)}")
    for word, labelled in (("labelled", True), ("unlabelled", False)):
        chosen = [case for case in cases if case.labelled is labelled]
        console.info(f"  {word}: {counted(chosen, task.kind) if chosen else 'none'}")
    console.info(f"  split ({manifest.split.origin}):")
    for part in PARTS:
        patients = set(manifest.split.part(part))
        chosen = [case for case in cases if case.patient in patients]
        unlabelled = sum(not case.labelled for case in chosen)
        tail = f", {unlabelled:,} of them unlabelled" if unlabelled else ""
        console.info(f"    {part}: {counted(chosen, task.kind) + tail if chosen else 'none'}")
    if manifest.decisions:
        console.info("  decided (presets and --set override it):")
    for decision in manifest.decisions:
        console.info(f"    {decision.option} = {decision.value}: {decision.reason}")
    for note in manifest.notes:
        console.warn(note)


def _flat(manifest: Manifest) -> bool:
    return manifest.task.kind == "pictures"


def _spacing(manifest: Manifest) -> str:
    spacings = [case.spacing for case in manifest.cases if case.spacing is not None]
    if not spacings:
        unit = "pixels" if _flat(manifest) else "voxels"
        return f"none in these files, so distances are in {unit} (--spacing sets it)"
    axes = " x ".join(_range([spacing[axis] for spacing in spacings]) for axis in range(3))
    missing = len(manifest.cases) - len(spacings)
    return f"{axes} mm (slice x row x column)" + (f", none in {missing:,} files" if missing else "")


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.4g}", f"{max(values):.4g}"
    return low if low == high else f"{low}-{high}"
