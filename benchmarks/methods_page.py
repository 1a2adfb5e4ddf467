"""Write the reference page of all methods, docs/methods.md, from the table of methods and their code.

    python benchmarks/methods_page.py

The costs of a step come from benchmarks/step_costs.json (`python benchmarks/step_costs.py --json
benchmarks/step_costs.json`).
"""

import inspect
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semiseg import methods
from semiseg.methods import Entry

ROOT = Path(__file__).parents[1]
PAGE, COSTS = ROOT / "docs" / "methods.md", ROOT / "benchmarks" / "step_costs.json"
TOP = """# Methods

This page is generated (`python benchmarks/methods_page.py`). `semiseg methods` prints the same table, and
`semiseg methods NAME` all options of a method.

"Step" is the time of a training step relative to `supervised`, "to passes" the same relative to what its
passes through encoders and decoders cost alone (`python benchmarks/step_costs.py`; one core, single
precision; slices of 96 x 96, 4 labelled and 4 unlabelled, against 8 labelled; methods for volumes alone
with patches of 32 x 32 x 32; the contrast of `mcsc` and the discriminator of `sassnet` are no passes).
Results under "Reported" are those that papers print, not ours
([results.md](results.md)).

| method | year | dimensions | what it does | step | to passes | parameters |
|---|---|---|---|---|---|---|
"""


def page() -> str:
    """The text of the page."""
    costs = {row["method"]: row for row in json.loads(COSTS.read_text(encoding="utf-8"))}
    entries = list(methods.BUILT_IN)
    anchors = _anchors(entries)
    rows = [_row(e, anchor, costs.get(e.name)) for e, anchor in zip(entries, anchors, strict=True)]
    return TOP + "".join(rows) + "".join(map(_section, entries))


def _anchors(entries: Sequence[Entry]) -> list[str]:
    """The anchors that Markdown viewers give to the headings: equal ones get a number."""
    plain = [re.sub("[^a-z0-9-]", "", entry.name) for entry in entries]
    return [
        name + (f"-{before}" if (before := plain[:index].count(name)) else "")
        for index, name in enumerate(plain)
    ]


def _row(entry: Entry, anchor: str, cost: dict[str, Any] | None) -> str:
    dims = ", ".join(f"{d}D" for d in entry.dimensions)
    words = ["", "", ""]
    if cost is not None:
        millions = cost["parameters"] / 1e6
        words = [f"{cost['ratio']:.2f}", f"{cost['to_passes']:.2f}", f"{millions:.1f} M"]
    link = f"[{entry.name}](#{anchor})"
    return f"| {' | '.join([link, str(entry.year), dims, entry.summary, *words])} |\n"


def _section(entry: Entry) -> str:
    cls = entry.load()
    lines = [
        "",
        f"## {entry.name}",
        "",
        f"{entry.summary[0].upper()}{entry.summary[1:]}. {entry.citation}",
    ]
    if entry.equation:
        lines += ["", "```", entry.equation, "```"]
    if entry.reported:
        lines += ["", "Reported:", "", *(f"- {one}" for one in entry.reported)]
    module = inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "")
    lines += [f"\n{paragraph}" for paragraph in module.split("\n\n")[1:]]
    own = cls.Options.model_fields
    if own:
        lines += ["", "| option | default | |", "|---|---|---|"]
        for name, field in own.items():
            default = json.dumps(field.get_default(), default=list)
            meaning = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{entry.name}.{name}` | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
