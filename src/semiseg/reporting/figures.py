"""Curves, strip plots and histograms as inline SVG for pages; figures as files.

The colours in an SVG are CSS variables (``--series-0`` ..., ``currentColor``), which the page's style
sets for light and dark backgrounds. Text is kept as text.
"""

import dataclasses
import io
import itertools
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from semiseg.data.task import Task
from semiseg.files import atomic_output

# Okabe and Ito's colours with enough contrast on white, and lighter ones of the same hues
SERIES = ("#0072b2", "#d55e00", "#009e73", "#b0508a", "#c68a00", "#3a9bd6", "#7a6a58", "#8c1d40")
SERIES_DARK = (
    "#5ab4ec",
    "#ff9a52",
    "#3fcf9f",
    "#e39bc8",
    "#f2bd3c",
    "#9ad4f7",
    "#c9b8a3",
    "#e57a9d",
)
DASHES = ("", "5 2", "2 1.5", "6 2 1.5 2")  # in addition to colour
# for grey images: bright, and different in hue and lightness
CLASSES = (
    "#56b4e9", "#f0e442", "#e8743b", "#2fc79b", "#d98cc0", "#ffffff", "#9f8cff", "#b5e36b",
)  # fmt: skip
LIGHT = 200  # of 255, in every channel: lighter points are invisible on white
DARK = 80  # of 255: darker outlines are invisible on a scan
INK, LINE = "#101112", "#c1c2c3"  # replaced by CSS colours
FONT = 8.5  # points
FIGURE_SUFFIXES = (".png", ".svg", ".pdf")  # of figures in files
WIDTH, NARROW = 3.6, 2.9  # inches; a page shows about 100 pixels per inch


def series_colour(index: int) -> str:
    """The CSS colour of one method, network or class in curves and strip plots."""
    return f"var(--series-{index % len(SERIES)})"


def dash(index: int) -> str:
    """The SVG dash pattern of one series."""
    return DASHES[index % len(DASHES)]


def class_colours(task: Task) -> tuple[str, ...]:
    """The colours of the classes 1, 2, ... on an image: the source's, if they can be distinguished.

    A class without a colour gets the next unused one of ``CLASSES``.
    """
    own = [task.colours.get(name) for name in task.foreground]
    taken = [colour for colour in own if colour is not None]
    if len(set(taken)) < len(taken) or any(max(rgb(colour)) < DARK for colour in taken):
        own, taken = [None] * len(own), []
    rest = itertools.cycle([colour for colour in CLASSES if colour not in taken] or CLASSES)
    return tuple(colour or next(rest) for colour in own)


def paper_colours(task: Task) -> tuple[str, ...]:
    """The colours of the classes 1, 2, ... as points on a white background.

    The source's, if every class has one and all are visible and distinguishable; else ``SERIES``.
    """
    own = [task.colours.get(name) for name in task.foreground]
    named = [colour for colour in own if colour is not None and min(rgb(colour)) < LIGHT]
    return tuple(named) if len(set(named)) == len(own) else SERIES


def rgb(colour: str) -> tuple[int, int, int]:
    """``#rrggbb`` as three numbers."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@dataclasses.dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes:
        name: for the description.
        x, y: the points.
        index: the series, which determines colour and dashes.
        minor: draw a thin line (one seed of several).
        dots: mark the points. A single point is always marked.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    index: int
    minor: bool = False
    dots: bool = False


def curves(
    lines: Sequence[Curve],
    x_label: str,
    y_label: str,
    *,
    unit_interval: bool = False,
    logarithmic: bool = False,
) -> str:
    """Draw lines as SVG.

    Args:
        lines: the lines.
        x_label: label of the x axis.
        y_label: label above the y axis.
        unit_interval: the y axis is 0 to 1.
        logarithmic: use a logarithmic y axis if the positive values span more than a factor of 50.
    """
    figure, axes = _axes(WIDTH, 2.5)
    for line in lines:
        axes.plot(
            line.x, line.y, color=SERIES[line.index % len(SERIES)],
            dashes=_pattern(line.index), linewidth=0.9 if line.minor else 1.8,
            alpha=0.55 if line.minor else 1.0,
            marker="o" if line.dots or len(line.x) == 1 else None, markersize=4,
            solid_capstyle="round",
        )  # fmt: skip
    values = [y for line in lines for y in line.y]
    positive = [y for y in values if y > 0]
    if unit_interval:
        axes.set_ylim(0, 1)
    elif logarithmic and positive and max(positive) > 50 * min(positive):
        axes.set_yscale("log", nonpositive="mask")
    elif len(positive) == len(values):
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel(x_label, parse_math=False)
    axes.set_title(y_label, loc="left", color=INK, fontsize=FONT, parse_math=False)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    return _svg(figure, f"{y_label} over {x_label}: " + ", ".join(line.name for line in lines))


def _pattern(index: int) -> tuple[float, ...]:
    pattern = dash(index)
    return tuple(float(part) for part in pattern.split()) if pattern else (1, 0)


def strips(
    groups: Mapping[str, Sequence[float]],
    indices: Sequence[int],
    x_label: str,
    *,
    unit_interval: bool = True,
) -> str:
    """Draw strip plots as SVG, one row per group: one dot per case, a box of quartiles and the median.

    Args:
        groups: name -> values of the cases.
        indices: the series of each group.
        x_label: label of the x axis.
        unit_interval: the x axis is 0 to 1.
    """
    figure, axes = _axes(NARROW, 0.55 + 0.5 * len(groups))
    for row, ((name, values), index) in enumerate(zip(groups.items(), indices, strict=True)):
        colour = SERIES[index % len(SERIES)]
        # a fixed low-discrepancy jitter, so that the same data give the same figure
        jitter = 0.3 * ((np.arange(len(values)) * 0.618034) % 1.0 - 0.5)
        axes.scatter(values, row + jitter, s=9, color=colour, alpha=0.65, linewidths=0)
        if len(values) >= 4:
            low, median, high = np.percentile(values, [25, 50, 75])
            axes.plot([low, high, high, low, low], row + 0.22 * np.array([-1, -1, 1, 1, -1]),
                      color=colour, linewidth=1.0)  # fmt: skip
            axes.plot([median, median], [row - 0.22, row + 0.22], color=INK, linewidth=1.8)
        axes.text(
            0.0, row - 0.27, name, transform=axes.get_yaxis_transform(), va="bottom", color=INK,
            fontsize=FONT, parse_math=False,
        )  # fmt: skip
    axes.set_ylim(len(groups) - 0.6, -0.75)
    axes.set_yticks([])
    if unit_interval:
        axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(x_label, parse_math=False)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    return _svg(figure, f"{x_label} of every case: " + ", ".join(groups))


def histogram(
    groups: Mapping[str, Sequence[float]],
    indices: Sequence[int],
    x_label: str,
    *,
    bins: int = 40,
    logarithmic: bool = False,
) -> str:
    """Draw overlaid histograms as SVG, each divided by its sum.

    Args:
        groups: name -> values.
        indices: the series of each group.
        x_label: label of the x axis.
        bins: number of bins between the smallest and the largest value of all groups.
        logarithmic: use a logarithmic x axis; all values must be above 0.
    """
    figure, axes = _axes(NARROW, 1.7)
    pooled = np.concatenate([np.asarray(values, np.float64) for values in groups.values()])
    low, high = float(pooled.min()), float(pooled.max())
    if low == high:
        low, high = (low / 1.5, low * 1.5) if logarithmic else (low - 0.5, low + 0.5)
    edges = np.geomspace(low, high, bins + 1) if logarithmic else np.linspace(low, high, bins + 1)
    for values, index in zip(groups.values(), indices, strict=True):
        heights, _ = np.histogram(np.clip(values, low, high), edges)
        colour = SERIES[index % len(SERIES)]
        share = heights / max(float(heights.sum()), 1e-12)
        axes.stairs(share, edges, color=colour, fill=True, alpha=0.18, linewidth=0)
        dashes = (0, _pattern(index)) if dash(index) else "solid"
        axes.stairs(share, edges, color=colour, linewidth=1.4, linestyle=dashes)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_yticks([])
    axes.set_xlabel(x_label, parse_math=False)
    return _svg(figure, f"Histogram of {x_label}: " + ", ".join(groups))


def named_legend(
    figure: Figure, handles: Sequence[Artist], names: Sequence[str], **options: Any
) -> None:
    """Draw a legend below a figure whose names are shown as they are.

    matplotlib reads ``$`` as the begin of a formula, and some versions leave out names that begin
    with ``_``.
    """
    places = [str(index) for index in range(len(handles))]
    legend = figure.legend(handles, places, loc="outside lower center", frameon=False, **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def save_figure(figure: Figure, target: Path) -> None:
    """Write a figure to a file; the suffix of ``target`` determines the format."""
    with atomic_output(target) as partial:
        figure.savefig(partial, format=target.suffix[1:].lower(), dpi=150)


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(which="both", colors=INK, length=0, labelsize=FONT)
    for item in (axes.xaxis.label, axes.yaxis.label):
        item.set(color=INK, fontsize=FONT)
    return figure, axes


def _svg(figure: Figure, description: str) -> str:
    """The figure as an inline SVG element with its own identifiers and the page's colours and font."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "semiseg"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    # keep only identifiers that are referred to, with a prefix that is unique to this figure
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    prefix = f"figure-{zlib.crc32((text + description).encode()):x}-"
    text = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", text)
    for index, colour in enumerate(SERIES):
        text = text.replace(colour, f"var(--series-{index})")
    text = text.replace(INK, "currentColor").replace(LINE, "var(--line)")
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
