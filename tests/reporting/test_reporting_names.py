"""Names are shown as they stand, in figures, tables and pages."""

import re
from pathlib import Path

import numpy as np

from semiseg.reporting.figures import save_figure, strips
from semiseg.reporting.gallery import gallery
from semiseg.reporting.overlays import Shown
from semiseg.reporting.scatter import Panel, scatter_grid
from semiseg.reporting.tables import _plain_markdown

NAMES = ["background", "_liver", "US$ <b> and $x_1$"]


def drawn(path: Path) -> list[str]:
    """The texts of an SVG, which matplotlib writes as comments beside their outlines."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(), re.DOTALL)


def test_names_in_a_scatter_plot(tmp_path: Path) -> None:
    panel = Panel(np.zeros((3, 2)), np.array([0, 1, 2]), "$t_1$")
    save_figure(scatter_grid([("run $a$", [panel, None])], NAMES), tmp_path / "a.svg")
    found = drawn(tmp_path / "a.svg")
    assert {"_liver", "US$ &lt;b&gt; and $x_1$", "$t_1$", "run $a$"} <= set(found)


def test_names_in_a_gallery(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 9, (1, 1, 32, 32)).astype(np.int16)
    label = (image[:, 0] > 4).astype(np.uint8)
    shown = Shown("$part$", "case_$1$", "why", image, label, {"$m_1$": label}, {}, None)
    save_figure(gallery([shown], NAMES[1:]), tmp_path / "a.svg")
    found = "\n".join(drawn(tmp_path / "a.svg"))
    for name in ("_liver", "US$ &lt;b&gt; and $x_1$", "$m_1$", "$part$", "case_$1$"):
        assert name in found


def test_names_in_a_chart() -> None:
    text = strips({"$a$ <b_c>": [0.1, 0.5]}, [0], "Dice, $q_1$")
    assert ">$a$ &lt;b_c&gt;<" in text
    assert ">Dice, $q_1$<" in text


def test_names_in_markdown() -> None:
    assert _plain_markdown("a|b_c*<d>$e$") == r"a\|b\_c\*\<d\>\$e\$"
    assert _plain_markdown("cross-teaching 0.5 [%]") == "cross-teaching 0.5 [%]"
