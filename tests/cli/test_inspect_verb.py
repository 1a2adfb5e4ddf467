"""``semiseg inspect``: its text, its JSON and wrong input."""

import json
from pathlib import Path

import pytest
from commandline import call, refused, tree, well


def test_text_says_what_the_data_are(data: Path) -> None:
    before = tree(data)
    said = well(call("inspect", data)).out
    assert "All              10 patients = 20 volumes = 80 slices" in said
    assert "Unlabelled       2 patients = 4 volumes = 16 slices" in said
    assert "upper bound of Dice" in said
    assert "(at an input of 64 x 64 pixels, chosen from the data)" in said
    # the ten generated patients are similar but not identical
    assert "identical" not in said
    assert tree(data) == before


def test_json_is_all_that_is_printed(phantom: Path, data: Path, tmp_path: Path) -> None:
    words = ("--size", "96", "--json")
    said = well(call("inspect", phantom, *words, "--classes", "RV,Myo,LV", "-o", tmp_path / "o"))
    found = json.loads(said.out)
    assert found == json.loads((tmp_path / "o" / "inspect.json").read_text())
    assert found["size"] == 96
    assert len(found["cases"]) == 20
    of_data = json.loads(well(call("inspect", data, *words)).out)
    assert of_data["cases"] == found["cases"]
    assert of_data["warnings"] == found["warnings"]
    refused(call("inspect", data, "-o", tmp_path / "o"), tmp_path / "o", "--overwrite")
    well(call("inspect", data, "-o", tmp_path / "o", "--overwrite"))


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        (("nowhere",), ["nowhere does not exist"]),
        (("DATA", "--size", "3"), ["--size 3"]),
        (("DATA", "--size", "many"), ["--size"]),
        (("DATA", "--layout", "nifti"), ["--layout", "is a prepared data set"]),
        (("DATA", "--classes", "a"), ["--classes", "is a prepared data set"]),
        (("DATA", "-o", "DATA"), ["lies within the data"]),
        (("PHANTOM", "--classes", "a,a"), ["--classes"]),
        (("PHANTOM", "--patient-pattern", "("), ["--patient-pattern"]),
        (("PHANTOM", "--layout", "nifty"), ["did you mean 'nifti'?"]),
    ],
)
def test_wrong_words_are_refused(
    data: Path, phantom: Path, words: tuple[str, ...], fragments: list[str]
) -> None:
    before = tree(data, phantom)
    places = {"DATA": data, "PHANTOM": phantom}
    refused(call("inspect", *(places.get(word, word) for word in words)), *fragments)
    assert tree(data, phantom) == before
