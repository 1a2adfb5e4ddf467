"""Parsing and writing of YAML, whose library raises errors of many types and follows YAML 1.1."""

import re
from typing import Any

import yaml

PROBLEMS_OF_YAML = (
    yaml.YAMLError, ValueError, RecursionError, TypeError, LookupError, AttributeError,
)  # fmt: skip
FLOAT = re.compile(
    r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"
    r"|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)
PLAIN = {
    "null": (re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    "int": (re.compile(r"[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")),
    "float": (FLOAT, list("-+.0123456789")),
    "merge": (re.compile(r"<<$"), ["<"]),
}  # the first that matches counts
"""The words without quotes that are no text: their pattern and their first characters.

YAML 1.1 also reads 12:30 as 750, 010 as 8, 0x10 as 16, 1_000 as 1000, no as false, and dates. Here they are
texts, which the types of the settings refuse.
"""


def parse_yaml(text: str) -> Any:
    """Parse YAML; unlike `yaml.safe_load`, refuse a name that occurs twice in one section.

    Words such as 12:30, 010, no and 2001-01-01 are texts, and 1e-4 is a number.

    Raises:
        ValueError: if ``text`` is not YAML, or has a number or nesting that Python cannot represent.
    """
    try:
        return yaml.load(text, _Loader)
    except PROBLEMS_OF_YAML as error:
        raise ValueError(str(error)) from None


def write_yaml(content: Any, width: int | None = None) -> str:
    """The YAML of ``content``, in its order, which `parse_yaml` and other programs read alike."""
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=width))


class _Loader(yaml.SafeLoader):
    """Refuses duplicate names, of which only the last would count."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping; raises ValueError for a duplicate name."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((name for name in names if names.count(name) > 1 and name != "<<"), None)
        if twice is not None:
            raise ValueError(f"'{twice}' occurs twice")
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes also the texts that are numbers only to `parse_yaml`, such as '1e-4'."""


for _tag, (_pattern, _first) in PLAIN.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", *PLAIN["float"])
