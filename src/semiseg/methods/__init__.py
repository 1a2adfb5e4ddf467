"""The table of methods. It imports no torch; a class is imported when it is used.

A method in another package appears here through the entry point group ``semiseg.methods``, whose
value is an `Entry`.
"""

from semiseg.errors import unknown
from semiseg.methods.entries import BUILT_IN as BUILT_IN
from semiseg.methods.entries import Entry as Entry
from semiseg.plugins import with_plugins


def table() -> dict[str, Entry]:
    """Return all methods by name, built-in ones first."""
    return with_plugins(BUILT_IN, "semiseg.methods")


def entry(name: str) -> Entry:
    """Return the entry of ``name``; raises `UserError` with the nearest name if it is unknown."""
    entries = table()
    if name not in entries:
        raise unknown("method", name, entries)
    return entries[name]
