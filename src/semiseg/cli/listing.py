"""``semiseg methods`` and ``semiseg presets``: what there is, one line each."""

import json as json_module
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def methods(json: Json = False) -> None:
    """List the methods, with year, summary and source."""
    from semiseg.methods import table

    entries = table()
    if json:
        fields = ("name", "year", "summary", "citation")
        rows = [{field: getattr(e, field) for field in fields} for e in entries.values()]
        print(json_module.dumps(rows, indent=1))
        return
    width = max(map(len, entries))
    for entry in entries.values():
        print(f"{entry.name:{width}}  {entry.year}  {entry.summary}")


def presets(json: Json = False) -> None:
    """List the presets, and the studies of 'semiseg benchmark --study'."""
    from semiseg import presets as ground

    rows = [("preset", name, ground.load(name).get("summary", "")) for name in ground.names()]
    rows += [("study", n, ground.load_study(n).get("summary", "")) for n in ground.study_names()]
    if json:
        keys = ("kind", "name", "summary")
        print(json_module.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1))
        return
    width = max(len(name) for _, name, _ in rows)
    for kind, name, summary in rows:
        print(f"{kind:6}  {name:{width}}  {summary}")
