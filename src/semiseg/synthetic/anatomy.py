"""Anatomy of the phantom's patients: shapes in millimetres, without intensities.

Coordinates are those of a short-axis slice on a screen: ``u`` to the right (posterior and left of the
patient), ``v`` downwards, and the height ``h`` along the heart's long axis from the mitral plane at
end-diastole (0) towards the apex. The origin is the axis of the left ventricle.
"""

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Phase = Literal["ED", "ES"]
Group = Literal["normal", "dilated", "hypertrophic", "infarct", "right ventricle"]
GROUPS: tuple[Group, ...] = ("normal", "dilated", "hypertrophic", "infarct", "right ventricle")

ABSENT = -999.0  # mm: the distance to a structure that a slice does not have


@dataclasses.dataclass(frozen=True)
class Grid:
    """Positions of the voxels in the scene.

    Attributes:
        size: (X, Y) voxels of a slice.
        spacing: side of a pixel in mm.
        slice_spacing: distance of slices in mm.
        heights: [Z] heights of the slices in mm, base first.
        rotation: rotation of the field of view in the scene, in radians.
        centre: (u, v) of the centre of the field of view in mm.
        shifts: [Z, 2] shifts of the slices in mm, by different breath holds.
    """

    size: tuple[int, int]
    spacing: float
    slice_spacing: float
    heights: Array
    rotation: float
    centre: tuple[float, float]
    shifts: Array

    def plane(self) -> tuple[Array, Array]:
        """Distances [X], [Y] of the pixels from the centre of the field of view in mm."""
        across, down = self.size
        return (
            np.asarray((np.arange(across) - (across - 1) / 2) * self.spacing, np.float64),
            np.asarray((np.arange(down) - (down - 1) / 2) * self.spacing, np.float64),
        )

    def coordinates(self) -> tuple[Array, Array]:
        """(u, v), each [Z, X, Y], in mm."""
        x, y = self.plane()
        cos, sin = np.cos(self.rotation), np.sin(self.rotation)
        u = cos * x[:, None] - sin * y[None, :] + self.centre[0]
        v = sin * x[:, None] + cos * y[None, :] + self.centre[1]
        return u + self.shifts[:, 0, None, None], v + self.shifts[:, 1, None, None]


@dataclasses.dataclass(frozen=True)
class Patient:
    """A heart at end-diastole and its contraction. Lengths in mm, angles in radians."""

    group: Group
    length: float
    cavity: float
    wall: float
    shortening: float
    descent: float
    tilt: tuple[float, float]
    septum: float
    cavity_waves: Array  # [3, 3]: strength, angle and change of that angle along the long axis
    wall_waves: Array
    thick_septum: float
    scar: tuple[float, float, float]  # angle, half width, loss of thickness
    rv_thickness: float
    rv_span: float
    rv_end: float
    rv_shortening: float
    rv_waves: Array
    outflow: tuple[float, float, float]  # angle off the septum, radius, distance
    papillary: Array  # [2, 3]: angle off the septum, radius, distance from the wall


@dataclasses.dataclass(frozen=True)
class Heart:
    """Approximate distances to the surfaces of one phase, in mm, [Z, X, Y], positive inside.

    ``along`` [Z, 1, 1] is 0 at the mitral plane and 1 at the apex of this phase. The right
    ventricle is the region inside ``right`` and outside ``outer``.
    """

    cavity: Array
    outer: Array
    right: Array
    papillary: Array
    along: Array
    x: Array
    y: Array
    radius: float


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw a patient of one of five equally frequent groups, similar to those of ACDC."""
    group = GROUPS[int(rng.integers(len(GROUPS)))]
    length = rng.uniform(60, 82)
    cavity, wall = rng.normal(23.0, 1.8), rng.normal(7.2, 0.8)
    shortening, rv_shortening = rng.normal(0.30, 0.035), rng.normal(0.36, 0.06)
    descent = rng.uniform(8, 14)
    thickness, span, end = rng.normal(17.5, 2.8), rng.normal(1.04, 0.07), rng.uniform(0.74, 0.95)
    scar, septal = (rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.0), 0.0), rng.uniform(0, 0.15)
    severity = rng.random()
    if group == "dilated":
        cavity, wall = cavity * (1.15 + 0.2 * severity), wall * (0.9 - 0.15 * severity)
        shortening, descent = 0.16 - 0.10 * severity, descent * 0.5
        rv_shortening *= 0.7
    elif group == "hypertrophic":
        cavity, wall = cavity * 0.92, wall * (1.35 + 0.35 * severity)
        shortening, septal = shortening * 1.15, rng.uniform(0, 0.55)
    elif group == "infarct":
        cavity, shortening, descent = cavity * 1.08, shortening * 0.6, descent * 0.7
        scar = (scar[0], scar[1], 0.3 + 0.25 * severity)
    elif group == "right ventricle":
        thickness, span = thickness * (1.25 + 0.3 * severity), span * 1.1
        rv_shortening *= 0.45
    return Patient(
        group=group,
        length=length,
        cavity=float(np.clip(cavity, 17, 33)),
        wall=float(np.clip(wall, 5.2, 14)),
        shortening=float(np.clip(shortening, 0.06, 0.42)),
        descent=descent,
        tilt=(rng.normal(0, 0.06), rng.normal(0, 0.06)),
        septum=np.pi + rng.normal(0.0, 0.35) - 0.1,
        cavity_waves=_waves(rng, (0.06, 0.03, 0.015)),
        wall_waves=_waves(rng, (0.12, 0.07, 0.04)),
        thick_septum=septal,
        scar=scar,
        rv_thickness=float(np.clip(thickness, 12, 38)),
        rv_span=span,
        rv_end=end,
        rv_shortening=float(np.clip(rv_shortening, 0.1, 0.5)),
        rv_waves=_waves(rng, (0.05, 0.06, 0.03)),
        outflow=(rng.uniform(0.7, 1.2), rng.uniform(11, 16), rng.uniform(6, 16)),
        papillary=np.array(
            [
                [rng.uniform(1.7, 2.4), rng.uniform(3.0, 5.5), rng.uniform(1, 6)],
                [-rng.uniform(1.5, 2.2), rng.uniform(3.0, 5.5), rng.uniform(1, 6)],
            ]
        ),
    )


def shape(patient: Patient, phase: Phase, grid: Grid, u: Array, v: Array) -> Heart:
    """The heart of one phase on a grid; ``u`` and ``v`` [Z, X, Y] in mm."""
    systole = phase == "ES"
    height = grid.heights[:, None, None]
    base = patient.descent if systole else 0.0
    along = (height - base) / (patient.length - base)
    x, y = u - patient.tilt[0] * height, v - patient.tilt[1] * height
    rho = np.hypot(x, y)
    turn = _direction(x, y)

    inner, outer = _radii(patient, systole, turn, along, grid.spacing)
    facing = _direction(*(f(patient.septum + np.array([-0.6, 0.0, 0.6])) for f in (np.cos, np.sin)))
    septum = _radii(patient, systole, facing[None, None, :], along, grid.spacing)[1]
    reach = _dome(along, 1.0) > 0
    inner = np.where(_dome(along, 0.90) > 0.25, inner, ABSENT)
    outer = np.where(reach & (along >= 0), outer, ABSENT)
    inner = np.where(along >= 0, inner, ABSENT)

    right = _right(patient, systole, along, x, y, septum.max(axis=2, keepdims=True), grid.spacing)
    visible = (right > 0) & (outer <= rho)
    right = np.where(visible & ~_solid(visible), -1.0, right)
    return Heart(
        cavity=inner - rho,
        outer=outer - rho,
        right=right,
        papillary=_papillary(patient, systole, along, x, y),
        along=along,
        x=x,
        y=y,
        radius=patient.cavity + patient.wall,
    )


def _radii(
    patient: Patient, systole: bool, turn: Complex, along: Array, spacing: float
) -> tuple[Array, Array]:
    """Distances of the inner and outer surface of the left ventricle from its axis, in mm."""
    # End-diastole first: contraction roughly preserves the cross section of the wall.
    scar = patient.scar[2] * _bump(turn, patient.scar[0], patient.scar[1])
    scar = scar * _bell(along, 0.55, 0.45)
    inner = patient.cavity * _dome(along, 0.90) * (1 + _ripple(patient.cavity_waves, turn, along))
    septal = patient.thick_septum * _bump(turn, patient.septum + 0.2, 0.9)
    wall = patient.wall * (1 + _ripple(patient.wall_waves, turn, along) + septal) * (1 - scar)
    wall = np.maximum(wall * (0.82 + 0.18 * _dome(along, 1.0)), max(3.6, 1.5 * spacing))
    outer = inner + wall
    if systole:
        section = (outer**2 - inner**2) * (1.06 - 0.06 * scar)
        local = patient.shortening * (1 - 1.2 * scar)
        inner = inner * (1 - local * (0.9 + 0.25 * np.clip(along, 0, 1)))
        outer = np.sqrt(inner**2 + section)
    return inner, outer


def _solid(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[Z, X, Y] without small pieces: less than a tenth of the largest piece in a slice."""
    plane = np.zeros((3, 3, 3), bool)
    plane[1] = True
    pieces, count = ndimage.label(mask, plane)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    of_piece = sizes[pieces]
    return mask & (of_piece >= 0.1 * of_piece.max(axis=(1, 2), keepdims=True))


def labels(heart: Heart) -> NDArray[np.uint8]:
    """[Z, X, Y]: 1 right ventricle, 2 myocardium, 3 left ventricle with its papillary muscles."""
    out = np.where(heart.right > 0, 1, 0)
    out = np.where(heart.outer > 0, 2, out)
    return np.where(heart.cavity > 0, 3, out).astype(np.uint8)


def ellipse(
    x: Array, y: Array, centre: tuple[float, float], axes: tuple[float, float], angle: float = 0.0
) -> Array:
    """Approximate distance to the edge of an ellipse in mm, positive inside."""
    cos, sin = np.cos(angle), np.sin(angle)
    dx, dy = x - centre[0], y - centre[1]
    norm = np.hypot((cos * dx + sin * dy) / axes[0], (cos * dy - sin * dx) / axes[1])
    return (1 - norm) * min(axes)


def _right(
    patient: Patient,
    systole: bool,
    along: Array,
    x: Array,
    y: Array,
    septum: Array,
    spacing: float,
) -> Array:
    """The right ventricle: an ellipse around the left ventricle, and the outflow tract."""
    shrink = 1 - patient.rv_shortening if systole else 1.0
    thickness = patient.rv_thickness * shrink * _dome(along, patient.rv_end)
    local = septum  # extent of the left ventricle inside the ellipse
    lv = patient.cavity + patient.wall
    offset = 0.55 * local
    normal = thickness + local - offset
    span = local * patient.rv_span * (1.0 + 0.12 * np.clip(0.4 - along, 0, 0.4) / 0.4)
    span = span * (0.94 if systole else 1.0)
    cos, sin = np.cos(patient.septum), np.sin(patient.septum)
    a, b = cos * x + sin * y - offset, cos * y - sin * x
    a = a + 0.006 * b * b  # bend around the left ventricle
    scaled = np.hypot(a / np.maximum(normal, 1), b / np.maximum(span, 1))
    turn = _direction(a, b)
    norm = scaled / (1 + _ripple(patient.rv_waves, turn, along))
    body = (1 - norm) * np.minimum(normal, span)
    exists = (along > -0.08) & (thickness > 1.2 * spacing)
    body = np.minimum(body, cos * x + sin * y + 0.25 * local)  # never behind the left ventricle
    body = np.where(exists, body, ABSENT)
    angle, radius, distance = patient.outflow
    direction = patient.septum + angle  # anterior: upwards on the screen
    far = lv + distance * shrink
    tract = ellipse(
        x,
        y,
        (far * np.cos(direction), far * np.sin(direction)),
        (radius * shrink**0.5, 1.25 * radius * shrink**0.5),
        direction,
    )
    tract = np.where(exists & (along < 0.2), tract, ABSENT)
    # Above the mitral plane, the left atrium and the aortic root replace the left ventricle.
    aside = np.minimum(np.hypot(x, y) - 0.9 * lv, cos * x + sin * y)
    aside = np.where(along < 0, aside, -ABSENT)
    return np.minimum(np.maximum(body, tract), aside)


def _papillary(patient: Patient, systole: bool, along: Array, x: Array, y: Array) -> Array:
    """Distance to the nearer papillary muscle, positive inside."""
    cavity = patient.cavity * _dome(along, 0.90) * ((1 - patient.shortening) if systole else 1.0)
    out = np.full(x.shape, ABSENT)
    for angle, radius, gap in patient.papillary:
        place = np.maximum(cavity - radius - gap * (0.5 if systole else 1.0), 0)
        size = radius * _bell(along, 0.5, 0.42) * (1.15 if systole else 1.0)
        direction = patient.septum + angle
        dx, dy = x - place * np.cos(direction), y - place * np.sin(direction)
        out = np.maximum(out, size - np.hypot(dx, dy) - np.where(size < 1, -ABSENT, 0.0))
    return out


def _waves(rng: np.random.Generator, strengths: tuple[float, float, float]) -> Array:
    return np.stack(
        [
            rng.normal(0, strengths),
            rng.uniform(0, 2 * np.pi, 3),
            rng.normal(0, 0.8, 3),
        ],
        axis=1,
    )


def _direction(x: Array, y: Array) -> Complex:
    """exp(i angle) of each position."""
    out = np.empty(np.broadcast(x, y).shape, np.complex128)
    length = np.maximum(np.hypot(x, y), 1e-6)
    out.real, out.imag = x / length, y / length
    return out


def _ripple(waves: Array, turn: Complex, along: Array) -> Array:
    """Sum of the harmonics 2, 3 and 4, whose angles change along the long axis."""
    total = np.zeros(np.broadcast(turn, along).shape)
    power = turn
    for strength, angle, drift in waves:
        power = power * turn
        total += strength * (power * np.exp(-1j * (angle + drift * along))).real
    return total


def _bump(turn: Complex, angle: float, width: float) -> Array:
    """1 at an angle, falling to 0 over about ``width`` radians."""
    cosine = (turn * np.exp(-1j * angle)).real
    return np.exp((cosine - 1) / width**2 * 2)


def _bell(along: Array, centre: float, width: float) -> Array:
    return np.sqrt(np.clip(1 - ((along - centre) / width) ** 2, 0, 1))


def _dome(along: Array, end: float) -> Array:
    """Relative radius of a chamber: slightly narrow at the base, 0 at ``end``."""
    s = np.clip(along / end, -0.3, 1)
    return np.sqrt(np.clip(1 - np.maximum(s, 0) ** 2.4, 0, 1)) * (1 - 0.10 * (1 - s) ** 4)
