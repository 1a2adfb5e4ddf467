"""Rendering of the phantom's anatomy: tissues, coil, blur, artefacts and noise.

Signals are relative to the blood of the left ventricle. Fat has the opposite sign, and the magnitude
is computed after blurring, which gives the dark line between fat and water of balanced steady-state
sequences.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from semiseg.synthetic.anatomy import ABSENT, Array, Grid, Heart, ellipse

EXTENT = 320.0  # mm: the random fields cover every field of view


@dataclasses.dataclass(frozen=True)
class Appearance:
    """The appearance of an examination: signals relative to blood, lengths in mm."""

    myocardium: float
    right_blood: float
    fat: float
    muscle: float
    lung: float
    liver: float
    gain: float
    blur: float  # sigma within slices, in pixels
    noise: float
    coil: float  # distance at which the sensitivity is halved
    trabeculae: float
    fat_layer: float
    chest: tuple[float, float, float]  # distance of the chest wall, half axes of the body
    diaphragm: tuple[float, float, float]  # height at the base, rise towards the apex, curvature
    stomach: str
    flow: float
    ghost: float
    ghost_shift: float
    banding: float


def draw_appearance(rng: np.random.Generator) -> Appearance:
    """Draw the sequence, coil, body shape and neighbouring organs of an examination."""
    return Appearance(
        myocardium=rng.uniform(0.27, 0.46),
        right_blood=rng.uniform(0.62, 0.92),
        fat=rng.uniform(0.8, 1.3),
        muscle=rng.uniform(0.28, 0.42),
        lung=rng.uniform(0.09, 0.22),
        liver=rng.uniform(0.32, 0.62),
        gain=float(np.exp(rng.normal(5.2, 0.45))),
        blur=rng.uniform(0.35, 0.65),
        noise=rng.uniform(0.015, 0.045),
        coil=rng.uniform(70, 130),
        trabeculae=rng.uniform(1.3, 3.4),
        fat_layer=rng.uniform(5, 20),
        chest=(rng.uniform(74, 98), rng.uniform(135, 170), rng.uniform(140, 185)),
        diaphragm=(rng.uniform(27, 44), rng.uniform(0.10, 0.55), rng.uniform(-0.003, 0.005)),
        stomach=str(rng.choice(["air", "fluid", "food"])),
        flow=rng.uniform(0.2, 0.7) * (rng.random() < 0.45),
        ghost=rng.uniform(0.04, 0.10) * (rng.random() < 0.25),
        ghost_shift=rng.uniform(0.25, 0.5),
        banding=rng.uniform(0.3, 0.7) * (rng.random() < 0.3),
    )


def render(
    appearance: Appearance,
    heart: Heart,
    grid: Grid,
    u: Array,
    v: Array,
    scene: np.random.Generator,
    scan: np.random.Generator,
) -> NDArray[np.int16]:
    """[Z, X, Y] intensities. ``scene`` is the generator of the patient, ``scan`` that of a phase."""
    canvas, depth = _surroundings(appearance, heart, grid, u, v, scene)
    _paint_heart(canvas, appearance, heart, grid, scene, scan)
    canvas *= 1 + 0.06 * field(scene, grid, 5.0) + 0.05 * field(scene, grid, 16.0)

    low = field(scene, grid, 110.0) * 0.12
    canvas *= (0.45 + 1.3 / (1 + (np.maximum(depth, 0) / appearance.coil) ** 2)) * np.exp(low)
    if appearance.banding:
        phase = 0.030 * v + 0.022 * u + 1.5 * field(scene, grid, 90.0)
        far = np.clip((np.hypot(u, v) - 55) / 40, 0, 1)
        canvas *= 1 - appearance.banding * far * np.exp(6 * (np.cos(phase) - 1))
    canvas = ndimage.gaussian_filter(canvas, (0, appearance.blur, appearance.blur), truncate=3)
    if appearance.ghost:
        moving = canvas * ((heart.cavity > -3) | (heart.right > -3))
        canvas = canvas + appearance.ghost * np.roll(
            moving, int(appearance.ghost_shift * grid.size[1]), axis=2
        )
    real, imaginary = scan.normal(0, appearance.noise, (2, *canvas.shape))
    magnitude = np.hypot(canvas + real, imaginary)
    return np.clip(np.rint(appearance.gain * magnitude), 0, 32767).astype(np.int16)


def _surroundings(
    appearance: Appearance, heart: Heart, grid: Grid, u: Array, v: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Everything except the heart, and the depth under the skin in mm."""
    height = grid.heights[:, None, None]
    edge = grid.spacing
    fine, medium, coarse = (field(rng, grid, scale) for scale in (4.5, 9.0, 18.0))

    wall, a, b = appearance.chest
    cu, cv = a - wall + 0.28 * height, rng.uniform(25, 60)
    skin = (
        (1 - np.hypot((u - cu) / a, (v - cv) / b)) * min(a, b)
        + 1.0 * coarse
        + 5 * field(rng, grid, 60.0)
    )
    canvas = np.full(u.shape, 0.01)
    _paint(canvas, skin, -appearance.fat * (1 + 0.08 * medium), edge)
    inner = skin - appearance.fat_layer * (1 + 0.15 * coarse)
    _paint(canvas, inner, appearance.muscle * (1 + 0.15 * fine), edge)
    count = rng.integers(20, 28)
    around = np.arctan2(v - cv, u - cu) * count + rng.uniform(0, 6) + 0.03 * height + 0.5 * coarse
    arc = ((around / (2 * np.pi)) % 1 - 0.5) * 2 * np.pi * min(a, b) / count
    ribs = (1 - np.hypot(arc / rng.uniform(7, 11), (inner - 6) / 3.6)) * 3.6
    _paint(canvas, ribs + 1, 0.06, edge)
    _paint(canvas, ribs, -0.45 * appearance.fat * (1 + 0.2 * fine), edge)

    cavity = inner - rng.uniform(8, 13)
    vessels = np.clip(fine - 1.6, 0, 1) * rng.uniform(0.5, 1.1)
    _paint(canvas, cavity, appearance.lung * (1 + 0.3 * coarse) + vessels, edge)
    level, rise, curvature = appearance.diaphragm
    dome = v - level + rise * height - curvature * (u - rng.uniform(-20, 30)) ** 2 + 3 * coarse
    dome = dome + rng.normal(0, 0.15) * u
    _paint_abdomen(
        canvas, appearance, np.minimum(dome, cavity), u, v, rng, fine, medium, edge, height
    )

    # Spine and descending aorta run obliquely through the stack.
    angle, far = rng.uniform(-0.1, 0.65), rng.uniform(88, 104)
    at = (far * np.cos(angle), far * np.sin(angle))
    drift = rng.uniform(0.2, 0.5)
    tall = v - drift * height
    spine = ellipse(u, tall, at, (rng.uniform(15, 20), rng.uniform(17, 22)))
    _paint(canvas, spine, -0.35 * appearance.fat * (1 + 0.35 * fine), edge)
    _paint(canvas, 3 - np.abs(spine), 0.08, edge)
    near = far - rng.uniform(26, 40)
    turn = angle + rng.uniform(-0.5, 0.35)
    radius = rng.uniform(8.5, 12.5)
    aorta = ellipse(
        u,
        tall,
        (near * np.cos(turn), near * np.sin(turn)),
        (radius, radius * rng.uniform(0.9, 1.15)),
    )
    _paint(canvas, aorta + 1.8, appearance.muscle, edge)
    _paint(canvas, aorta, rng.uniform(0.85, 1.15), edge)

    whole = np.maximum(heart.outer, heart.right)
    pad = np.clip(-(u + 0.6 * v) / 60, 0, 1) + 0.7 * np.clip(
        (v - u) / 80, 0, 1
    )  # towards the chest
    groove = rng.uniform(0.5, 4) + rng.uniform(2, 7) * np.maximum(field(rng, grid, 26.0), -0.4)
    groove = groove + rng.uniform(0, 16) * pad
    _paint(canvas, whole + 2.5, appearance.muscle * 0.6, edge)  # pericardium
    streaks = 1 + 0.12 * medium - 0.3 * np.clip(fine - 1.2, 0, 1)
    _paint(canvas, np.minimum(whole + 2.5 + groove, cavity), -appearance.fat * 0.8 * streaks, edge)
    return canvas, skin


def _paint_abdomen(
    canvas: Array,
    appearance: Appearance,
    inside: Array,
    u: Array,
    v: Array,
    rng: np.random.Generator,
    fine: Array,
    medium: Array,
    edge: float,
    height: Array,
) -> None:
    """Bowel in fat, liver, stomach and spleen below the diaphragm (``inside`` > 0)."""
    _paint(canvas, inside + 2.5, appearance.muscle * 0.8, edge)
    gut = np.where(medium > 0.35, -0.8 * appearance.fat, 0.38 + 0.12 * fine)
    gut = np.where(medium < -1.5, 0.04, gut)
    _paint(canvas, inside, gut, edge)
    up = v + 0.3 * height
    liver = ellipse(
        u,
        up,
        (rng.uniform(-55, -15), rng.uniform(72, 92)),
        (rng.uniform(52, 80), rng.uniform(28, 42)),
        rng.uniform(-0.6, 0.2),
    )
    tissue = appearance.liver * (1 + 0.06 * fine) + 0.5 * np.clip(medium - 1.3, 0, 0.6)
    tissue -= 0.3 * appearance.liver * np.clip(fine - 1.8, 0, 1)
    _paint(canvas, np.minimum(liver + 2 * medium, inside - 1), tissue, edge)
    spleen = ellipse(
        u,
        up,
        (rng.uniform(70, 100), rng.uniform(55, 85)),
        (rng.uniform(18, 28), rng.uniform(26, 38)),
        rng.uniform(-0.5, 0.5),
    )
    _paint(canvas, np.minimum(spleen, inside + 6), rng.uniform(0.4, 0.7) * (1 + 0.05 * fine), edge)
    place, size = (rng.uniform(22, 62), rng.uniform(58, 78)), rng.uniform(15, 26)
    stomach = ellipse(u, up, place, (size, size * rng.uniform(0.8, 1.1)), rng.uniform(-0.6, 0.6))
    stomach = np.minimum(stomach + medium, inside + 8)
    contents: dict[str, Array | float] = {"air": 0.03, "fluid": 0.95, "food": 0.5 + 0.25 * fine}
    _paint(canvas, stomach + rng.uniform(2.5, 6), appearance.muscle * 1.1, edge)
    _paint(canvas, stomach, contents[appearance.stomach], edge)


def _paint_heart(
    canvas: Array,
    appearance: Appearance,
    heart: Heart,
    grid: Grid,
    scene: np.random.Generator,
    scan: np.random.Generator,
) -> None:
    """Paint walls, blood, trabeculae, papillary muscles and flow."""
    fine, coarse = field(scene, grid, 3.5), field(scene, grid, 20.0)
    x, y = heart.x, heart.y
    # Near the apex, surfaces cross the thick slices obliquely, so edges are soft.
    edge = grid.spacing * (1 + 1.5 * np.clip(heart.along - 0.55, 0, 0.6))
    muscle = appearance.myocardium * (1 + 0.05 * fine + 0.04 * coarse)

    # Above the mitral plane: atria and great vessels, bright and without label.
    above, r = heart.along < 0, heart.radius
    left = ellipse(x, y, (scene.uniform(0, 10), scene.uniform(-4, 8)), (0.85 * r, 0.75 * r))
    other = ellipse(x, y, (-1.2 * r, scene.uniform(2, 14)), (0.62 * r, 0.9 * r))
    root = ellipse(x, y, (-0.5 * r, -0.55 * r), (14.0, 15.0))
    trunk = ellipse(x, y, (-0.1 * r, -1.25 * r), (13.0, 11.0))
    for vessel, level in ((other, 0.9), (left, 0.95), (trunk, 0.9), (root, 1.0)):
        vessel = np.where(above, vessel, ABSENT)
        _paint(canvas, vessel + 2.2, muscle, edge)
        _paint(canvas, vessel, level * (1 + 0.06 * coarse), edge)

    right = appearance.right_blood * (
        1 + 0.12 * coarse + scan.normal(0, 0.08, (grid.heights.size, 1, 1))
    )
    _paint(canvas, heart.right + scene.uniform(2.0, 3.8), muscle, edge)
    _paint(canvas, heart.right, right, edge)
    rough = (
        appearance.trabeculae
        * (2.2 * np.maximum(fine, 0) + 0.6)
        * np.clip(heart.along + 0.4, 0.3, 1)
    )
    rim = np.minimum(heart.right, rough * 2.2 - heart.right)
    _paint(canvas, rim, 0.35 * right + 0.65 * muscle, 2 * edge)
    flow_right = ellipse(x, y, (-1.3 * r, scan.uniform(-12, 12)), (4.0, 13.0), scan.uniform(-1, 1))
    _paint(canvas, np.minimum(flow_right, heart.right - 1), right * (1 - appearance.flow), 3 * edge)

    _paint(canvas, heart.outer, muscle, edge)
    blood = 1 + 0.13 * coarse + scan.normal(0, 0.10, (grid.heights.size, 1, 1))
    _paint(canvas, heart.cavity, blood, edge)
    rim = np.minimum(heart.cavity, rough - heart.cavity)
    _paint(canvas, rim, 0.25 * blood + 0.75 * muscle, edge)
    _paint(canvas, np.minimum(heart.papillary, heart.cavity + 1), 1.05 * muscle, edge)
    jet = ellipse(
        x,
        y,
        (scan.uniform(-8, 8), scan.uniform(-8, 8)),
        (scan.uniform(3, 5), scan.uniform(8, 16)),
        scan.uniform(0, 3),
    )
    jet = np.where(heart.along < 0.5, jet, ABSENT)
    _paint(canvas, np.minimum(jet, heart.cavity - 1), 1 - appearance.flow, 3 * edge)


def _paint(canvas: Array, inside: Array, value: Array | float, edge: Array | float) -> None:
    """Paint ``value`` on the canvas where ``inside`` > 0, with an edge of width ``edge`` in mm."""
    cover = np.clip(inside / edge + 0.5, 0, 1)
    canvas += cover * (value - canvas)


def field(rng: np.random.Generator, grid: Grid, scale: float) -> Array:
    """A smooth random field [Z, X, Y] of about unit variance with structures of ``scale`` mm.

    Cubic B-splines on white noise in millimetres, so the field does not depend on the matrix size.
    """
    count = int(EXTENT / scale) + 4
    deep = int(160.0 / scale) + 4
    noise = rng.standard_normal((deep, count, count))
    x, y = grid.plane()
    wz = _basis((grid.heights + 40.0) / scale, deep)
    wx, wy = (_basis((axis + EXTENT / 2) / scale, count) for axis in (x, y))
    flat = (wz @ noise.reshape(deep, -1)).reshape(-1, count, count)
    smooth: Array = wx @ flat @ wy.T
    return smooth / (151 / 315) ** 1.5


def _basis(position: Array, count: int) -> Array:
    """[N, count] weights of cubic B-splines; row sums are 1 inside the range."""
    d = np.abs(np.clip(position, 0, count - 4)[:, None] + 1 - np.arange(count)[None, :])
    near = 2 / 3 - d**2 + d**3 / 2
    far = np.clip(2 - d, 0, None) ** 3 / 6
    return np.where(d < 1, near, far)
