"""Registries of named entries that other packages can extend through entry points."""

import functools
import importlib
import importlib.metadata
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from semiseg.errors import UserError


class Named(Protocol):
    """An entry of a registry."""

    @property
    def name(self) -> str:
        """The name that users type."""


N = TypeVar("N", bound=Named)


@functools.cache
def entry_points(group: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    """The installed entry points of ``group``; reading them takes 10 ms, so they are read once."""
    return tuple(importlib.metadata.entry_points(group=group))


def with_plugins(built_in: Sequence[N], group: str) -> dict[str, N]:
    """Entries by name: the built-in ones first, then those of the entry point ``group``.

    A built-in entry takes precedence over an entry of the same name in another package.

    Raises:
        UserError: if an entry of another package cannot be imported.
    """
    entries = {entry.name: entry for entry in built_in}
    for point in entry_points(group):
        try:
            entry = point.load()
        except Exception as error:
            raise UserError(
                f"The entry point {point.value} of {group} cannot be loaded "
                f"({type(error).__name__}: {error}): repair or remove the package that provides it."
            ) from error
        entries.setdefault(entry.name, entry)
    return entries


def load_target(target: str) -> Any:
    """Import ``module:name``."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
