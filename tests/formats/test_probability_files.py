"""Every class has a file of its own."""

from pathlib import Path

import pytest

from semiseg.formats import format_of


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["liver", "tumour"], ["liver", "tumour"]),
        (["a b", "a-b"], ["a-b-1", "a-b-2"]),
        (["A", "a", "b"], ["A-1", "a-2", "b"]),
        (["a b", "a-b", "a-b-1"], ["a-b-1-1", "a-b-2", "a-b-1"]),
        (["/", "?"], ["--1", "--2"]),
        (["l" * 300, "l" * 301, "ü" * 150], [f"{'l' * 40}-1", f"{'l' * 40}-2", "ü" * 20]),
    ],
)
def test_pictures_have_one_file_per_class(classes: list[str], names: list[str]) -> None:
    path = Path("x_prob.png")
    files = format_of(path).probability_files(path, ["background", *classes])
    assert [file.name for file in files] == [f"x_prob_{name}.png" for name in names]
    assert len({file.name.lower() for file in files}) == len(classes)


def test_volumes_have_one_file() -> None:
    path = Path("x_prob.nii.gz")
    assert format_of(path).probability_files(path, ["background", "a b", "a-b"]) == [path]
