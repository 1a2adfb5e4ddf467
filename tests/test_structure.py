"""The structure of the package: short files, no cycles, no catch-all modules, no heavy libraries."""

import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

import grimp
import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "semiseg"
MEDIAN, MOST = 150, 500  # lines of a file
CATCH_ALL = {"utils", "util", "helpers", "helper", "misc", "common_utils"}
# there is no CPU build of torchvision beside the pinned torch, and timm imports it
UNWANTED = {"torchvision", "timm"}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    """The imports of all modules, also within functions, but not under TYPE_CHECKING."""
    return grimp.build_graph(
        "semiseg",
        include_external_packages=True,
        exclude_type_checking_imports=True,
        cache_dir=None,
    )


def cycles(
    nodes: Iterable[str], successors: Callable[[str], Iterable[str]]
) -> list[list[str]]:  # fmt: skip
    """Strongly connected components of two nodes or more, each sorted (Tarjan 1972)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = lowest[node] = len(index)
        stack.append(node)
        for other in successors(node):
            if other not in index:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], index[other])
        if lowest[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in nodes:
        if node not in index:
            visit(node)
    return found


def test_cycles_are_found() -> None:
    edges = {"a": "b", "b": "cd", "c": "a", "d": "e", "e": "", "f": "gd", "g": "f"}
    assert sorted(cycles(edges, edges.__getitem__)) == [["a", "b", "c"], ["f", "g"]]
    assert cycles("de", edges.__getitem__) == []


def test_files_are_short() -> None:
    lines = {
        str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert statistics.median(lines.values()) < MEDIAN
    assert {name: count for name, count in lines.items() if count > MOST} == {}


def test_modules_do_not_import_each_other_in_a_circle(imports: grimp.ImportGraph) -> None:
    modules = sorted(name for name in imports.modules if name.partition(".")[0] == "semiseg")
    assert len(modules) > 100
    inner = set(modules)
    assert cycles(
        modules, lambda name: imports.find_modules_directly_imported_by(name) & inner
    ) == []  # fmt: skip


def test_no_module_is_a_catch_all() -> None:
    parts = {part for path in PACKAGE.rglob("*.py") for part in path.relative_to(PACKAGE).parts}
    assert {part.removesuffix(".py") for part in parts} & CATCH_ALL == set()


def test_no_library_is_imported_that_does_not_fit_the_pinned_torch(
    imports: grimp.ImportGraph,
) -> None:
    assert "torch" in imports.modules  # the graph also contains external packages
    assert imports.modules & UNWANTED == set()
