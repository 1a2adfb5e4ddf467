"""``semiseg methods``, ``networks``, ``presets`` and ``datasets``: tables, one line per entry."""

import json as json_module
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from semiseg.methods import Entry

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _print_json(keys: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    print(json_module.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=1))


def methods(
    name: Annotated[
        str | None, typer.Argument(help="A method, to show its source and options.")
    ] = None,
    json: Json = False,
) -> None:
    """List the methods, or show the source and the --set options of one."""
    from semiseg.methods import table

    if name is not None:
        _method(name, json)
        return
    entries = table()
    if json:
        fields = ("name", "year", "summary", "citation", "dimensions", "equation", "reported")
        rows = [{field: getattr(e, field) for field in fields} for e in entries.values()]
        print(json_module.dumps(rows, indent=1))
        return
    width = max(map(len, entries))
    for entry in entries.values():
        print(f"{entry.name:{width}}  {entry.year}  {_dimensions(entry):6}  {entry.summary}")


def _dimensions(entry: "Entry") -> str:
    return ", ".join(f"{number}D" for number in entry.dimensions)


def networks(json: Json = False) -> None:
    """List the networks. To choose one, pass for example --set supervised.network=NAME."""
    from semiseg.networks import table

    rows = [(e.name, ", ".join(f"{d}D" for d in e.dimensions), e.summary) for e in table().values()]
    if json:
        _print_json(("name", "dimensions", "summary"), rows)
        return
    width = max(len(name) for name, _, _ in rows)
    for name, dimensions, summary in rows:
        print(f"{name:{width}}  {dimensions:6}  {summary}")


def _method(name: str, json: bool) -> None:
    from pydantic import BaseModel

    from semiseg import networks
    from semiseg.config import SECTIONS, RunConfig
    from semiseg.methods import entry

    line = entry(name)
    cls = line.load()
    usual = {n: None for d in line.dimensions for n in cls.required_networks(cls.Options(), d)}
    sections: list[tuple[str, type[BaseModel]]] = [(name, cls.Options)]
    sections += [(network, networks.entry(network).config()) for network in usual]
    sections += [(s, type(RunConfig.model_fields[s].default)) for s in SECTIONS]
    rows = [
        (f"{section}.{key}", _default(cls.settings, section, key, field), _meaning(field))
        for section, model in sections
        for key, field in model.model_fields.items()
    ]
    if json:
        _print_json(("option", "default", "description"), rows)
        return
    print(f"{line.name} ({line.year}; {_dimensions(line)}): {line.summary}\n{line.citation}\n")
    if line.equation:
        print(f"Loss: {line.equation}\n")
    for one in line.reported:
        print(f"Reported: {one}")
    if line.reported:
        print()
    print("Options for --set, their defaults (without a preset) and their meaning:")
    shown = [(option, json_module.dumps(default), text) for option, default, text in rows]
    width, deep = max(len(o) for o, _, _ in shown), max(len(d) for _, d, _ in shown)
    for option, default, text in shown:
        print(f"  {option:{width}}  {default:{deep}}  {text}".rstrip())


def _default(settings: Mapping[str, Any], section: str, key: str, field: "FieldInfo") -> Any:
    """The default of an option, or the value that the method needs, in types of JSON."""
    from pydantic_core import to_jsonable_python

    own = field.get_default(call_default_factory=True, validated_data={})
    return to_jsonable_python(settings.get(section, {}).get(key, own))


def _meaning(field: "FieldInfo") -> str:
    """The values that an option accepts, and its description."""
    words = [str(word) for word in get_args(field.annotation) if isinstance(word, str | int)]
    choice = " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
    return "; ".join(filter(None, [choice, field.description]))


def presets(
    name: Annotated[
        str | None, typer.Argument(help="A preset or study, to show its settings.")
    ] = None,
    json: Json = False,
) -> None:
    """List the presets and the studies (for 'semiseg benchmark --study'), or show one."""
    from semiseg import presets as store

    if name is not None:
        content = store.load_either(name)
        if json:
            print(json_module.dumps(content, indent=1))
            return
        from semiseg.yaml_text import write_yaml

        print(write_yaml(content, width=100).rstrip())
        return
    rows = [("preset", name, store.load(name).get("summary", "")) for name in store.names()]
    rows += [("study", n, store.load_study(n).get("summary", "")) for n in store.study_names()]
    if json:
        _print_json(("kind", "name", "summary"), rows)
        return
    width = max(len(name) for _, name, _ in rows)
    for kind, name, summary in rows:
        print(f"{kind:6}  {name:{width}}  {summary}")


def datasets(json: Json = False) -> None:
    """List the data set layouts that 'semiseg prepare' reads, and where to get public data sets."""
    from semiseg.datasets import LAYOUTS

    rows = [(layout.name, layout.summary, layout.where) for layout in LAYOUTS.values()]
    if json:
        _print_json(("name", "layout", "where"), rows)
        return
    width = max(len(name) for name, _, _ in rows)
    for name, summary, where in rows:
        print(f"{name:{width}}  {summary}\n{'':{width}}  from: {where}")
