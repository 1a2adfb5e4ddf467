"""Parsing of YAML, whose library raises errors of many types."""

from typing import Any

import yaml

PROBLEMS_OF_YAML = (
    yaml.YAMLError, ValueError, RecursionError, TypeError, LookupError, AttributeError,
)  # fmt: skip


def parse_yaml(text: str) -> Any:
    """Parse YAML; unlike `yaml.safe_load`, refuse a name that occurs twice in one section.

    Raises:
        ValueError: if ``text`` is not YAML, or has a date, number or nesting that Python cannot represent.
    """
    try:
        return yaml.load(text, _Loader)
    except PROBLEMS_OF_YAML as error:
        raise ValueError(str(error)) from None


class _Loader(yaml.SafeLoader):
    """Refuses duplicate names, of which only the last would count."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping; raises ValueError for a duplicate name."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((name for name in names if names.count(name) > 1 and name != "<<"), None)
        if twice is not None:
            raise ValueError(f"'{twice}' occurs twice")
        return super().construct_mapping(node, deep)
