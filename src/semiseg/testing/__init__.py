"""Checks for methods, for this package's tests and those of other packages. They need pytest.

A method of another package inherits `MethodConformance` in a test file of its own and names itself:

    from semiseg.testing import MethodConformance


    class TestMine(MethodConformance):
        name = "mine"
        terms = {"supervised", "consistency"}
        golden = {0: 0.84147, 5: 0.52908, 10: 0.4119, 19: 0.34383}

`semiseg.testing.data` writes small data sets and has settings that make runs on them small.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semiseg.testing.conformance import MethodConformance

__all__ = ["MethodConformance"]


def __getattr__(name: str) -> Any:
    """Import the class when it is asked for: its imports take seconds, and need pytest."""
    if name != "MethodConformance":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    pytest.register_assert_rewrite("semiseg.testing.conformance")
    from semiseg.testing.conformance import MethodConformance

    return MethodConformance
