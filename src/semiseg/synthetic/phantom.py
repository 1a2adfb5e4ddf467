"""The phantom: a seeded generator of short-axis cardiac MRI stacks with labels.

An image depends only on (seed, patient, phase). The two phases of a patient share the anatomy, the
surroundings and the slice positions. See ``docs/phantom.md``.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import UserError
from semiseg.synthetic.anatomy import Grid, Patient, Phase, draw_patient, labels, shape
from semiseg.synthetic.image import draw_appearance, render

PHANTOM_CLASSES: tuple[str, ...] = ("background", "RV", "Myo", "LV")
PHASES: tuple[Phase, ...] = ("ED", "ES")

# Random streams of a patient; adding a stream must not change the others.
ANATOMY, GEOMETRY, APPEARANCE, SCENE, SCAN = range(5)

T = TypeVar("T")


class Tracker(Protocol):
    """The part of a console that ``write_phantom`` uses."""

    def track(self, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
        """Yield ``items`` and show the progress."""


def generate_case(
    seed: int,
    patient: int,
    phase: Phase,
    size: tuple[int, int] | None = None,
    slices: int | None = None,
) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.float64]]:
    """Generate one examination at end-diastole (ED) or end-systole (ES).

    Equal arguments give equal arrays. All arithmetic is in double precision, so that different
    processors agree after rounding to integers.

    Args:
        seed: seed of the data set.
        patient: number of the patient, from 1.
        phase: ``"ED"`` or ``"ES"``.
        size: (X, Y) of the matrix. The field of view does not change, so a smaller matrix has larger
            pixels. Default: a random matrix with pixels of 1.6 to 1.9 mm.
        slices: number of slices from base to apex. Default: slices are 8 to 10 mm apart.

    Returns:
        image [X, Y, Z] int16; label [X, Y, Z] uint8 with the codes of ``PHANTOM_CLASSES``;
        affine [4, 4] from voxels to world (RAS) in mm.

    Raises:
        UserError: for a negative seed or patient, an unknown phase, a matrix below 32 x 32 or
            fewer than 3 slices.
    """
    _check(seed, patient, size, slices)
    if phase not in PHASES:
        raise UserError(f"The phantom has the phases ED and ES, not '{phase}': choose one of them.")
    anatomy = draw_patient(_stream(seed, patient, ANATOMY))
    grid, affine, flip = _geometry(_stream(seed, patient, GEOMETRY), anatomy, size, slices)
    appearance = draw_appearance(_stream(seed, patient, APPEARANCE))
    u, v = grid.coordinates()
    heart = shape(anatomy, phase, grid, u, v)
    scan = _stream(seed, patient, SCAN + PHASES.index(phase))
    image = render(appearance, heart, grid, u, v, _stream(seed, patient, SCENE), scan)
    order = slice(None, None, -1) if flip else slice(None)
    return (
        np.ascontiguousarray(image[order].transpose(1, 2, 0)),
        np.ascontiguousarray(labels(heart)[order].transpose(1, 2, 0)),
        affine,
    )


def write_phantom(
    folder: Path | str,
    patients: int,
    seed: int = 0,
    unlabelled: Sequence[int] = (),
    size: tuple[int, int] | None = None,
    slices: int | None = None,
    console: Tracker | None = None,
) -> None:
    """Write a data set as ``images/``, ``labels/`` and ``dataset.json``.

    Args:
        folder: a new or empty folder.
        patients: number of patients, numbered from 1; each has two volumes, ``phantom001_ED.nii.gz``
            and ``phantom001_ES.nii.gz``.
        seed: seed of the data set.
        unlabelled: numbers of the patients without labels.
        size: see ``generate_case``.
        slices: see ``generate_case``.
        console: shows the progress, if given.

    Raises:
        UserError: if the folder is not empty or a number is invalid; nothing is written then.
    """
    import nibabel

    folder = Path(folder)
    _check(seed, patients, size, slices)
    if patients < 1:
        raise UserError(f"The phantom needs at least one patient, got {patients}: use 1 or more.")
    wrong = sorted(set(unlabelled) - set(range(1, patients + 1)))
    if wrong:
        raise UserError(
            f"Unlabelled patient {wrong[0]} does not exist: use numbers from 1 to {patients}."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not an empty folder: choose another one.")

    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    cases = [(patient, phase) for patient in range(1, patients + 1) for phase in PHASES]
    steps = console.track(cases, "phantom", len(cases)) if console else iter(cases)
    hidden = set(unlabelled)
    for patient, phase in steps:
        image, label, affine = generate_case(seed, patient, phase, size, slices)
        name = f"phantom{patient:03d}_{phase}.nii.gz"
        for kind, array in (("images", image), ("labels", label)):
            if kind == "labels" and patient in hidden:
                continue
            nifti = nibabel.Nifti1Image(array, affine)
            nifti.header.set_xyzt_units("mm")
            nifti.set_sform(affine, code=1)
            nifti.set_qform(affine, code=1)
            nibabel.save(nifti, folder / kind / name)
    description = {
        "name": "phantom",
        "description": "Synthetic short-axis cardiac MRI at end-diastole and end-systole, "
        f"made by semiseg (seed {seed})",
        "licence": "CC0-1.0",
        "channel_names": {"0": "cine MRI"},
        "labels": {str(code): name for code, name in enumerate(PHANTOM_CLASSES)},
        "file_ending": ".nii.gz",
        "numTraining": 2 * (patients - len(hidden)),
        "numUnlabelled": 2 * len(hidden),
    }
    text = json.dumps(description, indent=1) + "\n"
    (folder / "dataset.json").write_text(text, encoding="utf-8")


def _check(seed: int, patient: int, size: tuple[int, int] | None, slices: int | None) -> None:
    if seed < 0 or patient < 0:
        raise UserError(
            f"The phantom's seed and patient cannot be negative (got {seed} and {patient}): "
            "use 0 or more."
        )
    if size is not None and (len(size) != 2 or min(size) < 32):
        raise UserError(f"The phantom's size must be (X, Y), each at least 32, got {size}.")
    if slices is not None and slices < 3:
        raise UserError(f"The phantom needs at least 3 slices, got {slices}: use 3 or more.")


def _stream(seed: int, patient: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, patient, stream])))


def _geometry(
    rng: np.random.Generator, anatomy: Patient, size: tuple[int, int] | None, slices: int | None
) -> tuple[Grid, NDArray[np.float64], bool]:
    """The grid, the affine, and whether slices are stored apex first."""
    matrix = (4 * int(rng.integers(31, 37)), 4 * int(rng.integers(28, 35)))
    spacing = round(rng.uniform(1.6, 1.9), 4)
    if rng.random() < 0.3:
        matrix = (matrix[1], matrix[0])
    gap = float(rng.choice([8.0, 8.5, 9.0, 9.6, 10.0]))
    first, last = rng.uniform(-7, 4), anatomy.length + rng.uniform(-10, 2)
    if size is not None:
        spacing = max(matrix[0] / size[0], matrix[1] / size[1]) * spacing
    if slices is None:
        slices = int(np.clip(round((last - first) / gap) + 1, 6, 10))
    else:
        gap = (last - first) / (slices - 1)
    # Most examinations rotate the field of view; a few are almost axis-aligned.
    rotation = rng.normal(0, 0.30) if rng.random() < 0.85 else rng.normal(0, 0.03)
    centre = (rng.normal(4, 8), rng.normal(2, 8))
    shifts = rng.normal(0, 1.3, (32, 2))[np.arange(slices) % 32]
    heights = np.asarray(first + gap * np.arange(slices), np.float64)
    grid = Grid(size or matrix, spacing, gap, heights, rotation, centre, shifts)
    flip = bool(rng.random() < 0.4)
    return grid, _affine(rng, grid, flip), flip


def _affine(rng: np.random.Generator, grid: Grid, flip: bool) -> NDArray[np.float64]:
    """The affine of short-axis planes of a heart whose apex points left, anterior and down (RAS, mm)."""
    straight = rng.random() < 0.12
    apex = np.array([-0.62, 0.58, -0.53]) + rng.normal(0, 0.12, 3)
    down = np.array([-0.25, 0.25, -0.93]) + rng.normal(0, 0.12, 3)
    if straight:
        apex, down = np.array([0.0, 0.0, -1.0]), np.array([0.0, -1.0, 0.0])
    apex /= np.linalg.norm(apex)
    down -= apex * (down @ apex)
    down /= np.linalg.norm(down)
    right = np.cross(apex, down)  # seen from the apex: towards the patient's left and back
    turn = 0.0 if straight else grid.rotation
    x = np.cos(turn) * right + np.sin(turn) * down
    y = np.cos(turn) * down - np.sin(turn) * right
    step = -apex if flip else apex
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = x * grid.spacing, y * grid.spacing
    affine[:3, 2] = step * grid.slice_spacing
    middle = (np.array([*grid.size, grid.heights.size]) - 1) / 2
    affine[:3, 3] = rng.normal([-30, 20, 40], 25) - affine[:3, :3] @ middle
    return affine
