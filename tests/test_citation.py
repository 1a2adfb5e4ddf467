"""CITATION.cff: the keys that its schema requires, and agreement with the package's metadata."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import semiseg

ROOT = Path(__file__).parents[1]
REQUIRED = {"cff-version", "message", "title", "authors"}  # by the schema of CFF 1.2.0
REQUIRED_OF_REFERENCE = {"type", "title", "authors"}


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_required_keys(citation: dict[str, Any]) -> None:
    assert citation.keys() >= REQUIRED
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"]


def test_version_and_licence_are_those_of_the_package(citation: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["title"] == project["name"]
    assert citation["version"] == project["version"] == semiseg.__version__
    assert citation["license"] == project["license"]


def test_references_are_complete(citation: dict[str, Any]) -> None:
    assert len(citation["references"]) == 3
    for reference in citation["references"]:
        assert reference.keys() >= REQUIRED_OF_REFERENCE | {"year", "conference"}
        assert reference["type"] == "conference-paper"
        for author in reference["authors"]:
            assert author.keys() == {"family-names", "given-names"}
        assert isinstance(reference["year"], int)
