"""The table of methods. It imports no torch; a class is imported when it is used.

A method in another package appears here through the entry point group ``semiseg.methods``, whose
value is an `Entry`.
"""

from semiseg.errors import unknown
from semiseg.methods.entries import BUILT_IN as BUILT_IN
from semiseg.methods.entries import Entry as Entry
from semiseg.plugins import with_plugins

AUTO = "auto"
"""Stands for the recommended method."""
RECOMMENDED = "self-training"


def table() -> dict[str, Entry]:
    """Return all methods by name, built-in ones first."""
    return with_plugins(BUILT_IN, "semiseg.methods")


def entry(name: str) -> Entry:
    """Return the entry of ``name``, or of the recommended method for ``auto``.

    Raises:
        UserError: for an unknown name, with the nearest one.
    """
    entries = table()
    if name == AUTO:
        name = RECOMMENDED
    if name not in entries:
        raise unknown("method", name, [AUTO, *entries])
    return entries[name]
