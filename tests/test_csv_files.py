"""CSV files: names that a spreadsheet would run as formulas, and damaged files."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semiseg.csv_files import from_cell, read_csv, to_cell, write_rows
from semiseg.errors import UserError


@given(st.text())
def test_names_come_back(name: str) -> None:
    cell = to_cell(name)
    assert from_cell(cell) == name
    assert cell == name or not cell.startswith(("=", "+", "-", "@"))


def test_numbers_are_not_marked() -> None:
    assert [to_cell(value) for value in ("-1.5", "+2e3", -3, "3", "")] == [
        "-1.5", "+2e3", -3, "3", "",
    ]  # fmt: skip
    assert to_cell("=1+2") == "'=1+2"
    assert to_cell("-2+3") == "'-2+3"


def test_a_table_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_rows(path, [["case", "=dice"], ["@cmd", 0.5]])
    write_rows(path, [["'quoted", "-0.5"]], append=True)
    with path.open(newline="") as file:
        assert list(csv.reader(file))[1] == ["'@cmd", "0.5"]
    assert read_csv(path, ["case"]) == [
        {"case": "@cmd", "=dice": "0.5"}, {"case": "'quoted", "=dice": "-0.5"},
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"table\.csv is damaged \(it has no column 'hd95'\): x"):
        read_csv(path, ["hd95"], "x")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'a,b\n"' + b"x" * 200_000])
def test_what_is_not_a_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"table\.csv is damaged"):
        read_csv(path)
