"""A figure of cases with their references and predictions, for a paper or a talk."""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from semiseg.reporting.figures import CLASSES, named_legend
from semiseg.reporting.overlays import Shown, sheet

SIDE = 1.5  # of a picture, in inches
# characters per line of the label beside a picture: longer lines move the titles out of the figure
BESIDE = 28


def gallery(
    shown: Sequence[Shown], classes: Sequence[str], colours: Sequence[str] = CLASSES
) -> Figure:
    """Draw one row per case (the middle slice of a volume): image, reference and predictions.

    Args:
        shown: at least one case. Cases of different sections may have different predictions.
        classes: names of the classes 1, 2, ...
        colours: colours of the classes.
    """
    sheets = [sheet(item, colours, slices=1) for item in shown]
    across = max(len(made.heads) for made in sheets)
    figure = Figure((SIDE * across + 0.3, (SIDE + 0.2) * len(sheets) + 0.7), layout="constrained")
    grid = figure.subplots(len(sheets), across, squeeze=False)
    above = ""
    for axes_row, made in zip(grid, sheets, strict=True):
        for axes in axes_row:
            axes.set(xticks=[], yticks=[], frame_on=False)
        where, cells = made.rows[0]
        begins = made.item.section != above
        for axes, (name, score), (pixels, _) in zip(axes_row, made.heads, cells, strict=False):
            axes.imshow(pixels)
            # methods are named once per section, scores are given for every case
            title = "\n".join(filter(None, [name if begins else "", score]))
            axes.set_title(title, fontsize=7, parse_math=False)
        lines = [made.item.section if begins else "", made.item.case, where, made.item.why]
        beside = [part for line in lines for part in textwrap.wrap(line, BESIDE)]
        axes_row[0].set_ylabel("\n".join(beside), fontsize=6, parse_math=False)
        above = made.item.section
    patches = [Patch(color=colours[k % len(colours)]) for k in range(len(classes))]
    patches.append(Patch(facecolor="white", edgecolor="black"))
    names = [*classes, "white outline: the reference"]
    named_legend(figure, patches, names, ncols=2 * across, fontsize=7)
    return figure
