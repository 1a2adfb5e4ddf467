"""Scatter plots of 2D embeddings: one panel per space and iteration, one colour per class."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from semiseg.reporting.figures import SERIES, named_legend

BACKGROUND = "#9aa0a6"
SIDE = 2.6  # of a panel, in inches


@dataclasses.dataclass(frozen=True)
class Panel:
    """Points [V, 2] of one space, their classes [V], and the panel's title."""

    points: NDArray[np.floating]
    classes: NDArray[np.integer]
    title: str


def scatter_grid(
    rows: Sequence[tuple[str, Sequence[Panel | None]]],
    names: Sequence[str],
    colours: Sequence[str] = SERIES,
) -> Figure:
    """Draw a grid of panels.

    Args:
        rows: a name and its panels.
        names: names of the classes, the background first.
        colours: colours of the classes 1, 2, ..., repeated if there are more classes.
    """
    shades = [BACKGROUND, *(colours[code % len(colours)] for code in range(len(names) - 1))]
    across = max(len(panels) for _, panels in rows)
    figure = Figure((SIDE * across + 0.4, SIDE * len(rows) + 0.5), layout="constrained")
    grid = figure.subplots(len(rows), across, squeeze=False)
    for axes_row, (name, panels) in zip(grid, rows, strict=True):
        for axes, panel in itertools.zip_longest(axes_row, panels):
            axes.set(xticks=[], yticks=[])
            if panel is None:
                axes.set_axis_off()
                continue
            for code in range(len(names)):
                of = panel.points[panel.classes == code]
                colour = shades[code]
                axes.scatter(of[:, 0], of[:, 1], s=4, color=colour, linewidths=0)
            axes.set_title(panel.title, fontsize=8, parse_math=False)
        axes_row[0].set_ylabel(name, fontsize=8, parse_math=False)
    dots = [Line2D([], [], marker="o", linestyle="", markersize=6, color=one) for one in shades]
    named_legend(figure, dots, names, ncols=min(len(names), 2 * across), fontsize=8)
    return figure
