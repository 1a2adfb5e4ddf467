"""``--classes`` with codes and colours, ``--ignore-value``, and conversion to class codes."""

import numpy as np
import pytest

from semiseg.data.task import IGNORE_INDEX
from semiseg.datasets.naming import (
    own_codes,
    read_naming,
    slices_without_labels,
    without_empty_slices,
)
from semiseg.errors import UserError


def test_plain_names_and_codes() -> None:
    assert read_naming(None, None)[0] is None
    names, naming = read_naming(["RV", "LV"], None)
    assert (names, naming.codes, naming.colours) == (("background", "RV", "LV"), None, None)
    assert (naming.ignore_value, naming.certain) == (IGNORE_INDEX, False)
    names, naming = read_naming(["3=liver", "7=tumour", "9=liver"], "200")
    assert names == ("background", "liver", "tumour")
    assert naming.codes == {3: 1, 7: 2, 9: 1}
    assert (naming.ignore_value, naming.certain) == (200, True)


def test_a_class_of_255_is_not_ignored() -> None:
    assert read_naming(["255=polyp"], None)[1].ignore_value is None
    assert read_naming(["polyp"], "none")[1].ignore_value is None
    with pytest.raises(UserError, match="--ignore-value 255 is also a class of --classes"):
        read_naming(["255=polyp"], "255")


def test_colours() -> None:
    words = ["#FF0000=polyp", "#00ff00 = tool", "#0000ff=polyp", "#ffffff=background"]
    names, naming = read_naming(words, "#e0E0c0")
    assert names == ("background", "polyp", "tool")
    assert naming.colours == {0: 0, 0xFF0000: 1, 0x00FF00: 2, 0x0000FF: 1, 0xFFFFFF: 0}
    assert (naming.codes, naming.void, naming.ignore_value) == (None, 0xE0E0C0, IGNORE_INDEX)
    assert read_naming(["#000000=polyp", "#ffffff=background"], None)[1].colours == {
        0: 1, 0xFFFFFF: 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("classes", "ignore_value", "words"),
    [
        (["#ff0000=polyp", "tool"], None, "write every class as #RRGGBB=NAME"),
        (["#ff0000=polyp", "3=tool"], None, "write every class as #RRGGBB=NAME"),
        (["#f00=polyp"], None, "write every class as #RRGGBB=NAME"),
        (["#ff0000"], None, "write every class as #RRGGBB=NAME"),
        (["#ff0000=a", "#FF0000=b"], None, "each colour once"),
        (["#ffffff=background"], None, "name each class once"),
        (["#ff0000=a"], "#ff0000", "is also a class of --classes"),
        (None, "256", "give the value"),
        (None, "0", "give the value"),
        (None, "-1", "give the value"),
        (None, "#ff", "give the value"),
        (None, "void", "give the value"),
    ],
)
def test_words_that_do_not_fit(
    classes: list[str] | None, ignore_value: str | None, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        read_naming(classes, ignore_value)


def test_own_codes() -> None:
    label = np.array([[[0, 1, 2, 9, 255]]], np.uint8)
    same, unnamed = own_codes(label, None, IGNORE_INDEX, "x")
    assert same is label
    assert not unnamed
    table, unnamed = own_codes(label, {2: 1, 9: 2}, IGNORE_INDEX, "x")
    assert table.ravel().tolist() == [0, 0, 1, 2, 255]
    assert unnamed == {1}
    table, unnamed = own_codes(label, {2: 1, 255: 2}, None, "x")
    assert table.ravel().tolist() == [0, 0, 1, 0, 2]
    assert unnamed == {1, 9}
    nine, _ = own_codes(label[..., :4], None, 9, "x")
    assert nine.ravel().tolist() == [0, 1, 2, 255]
    for value in (None, 9):
        with pytest.raises(UserError, match=r"label of x holds class code 255"):
            own_codes(label, None, value, "x")
    assert own_codes(label[..., :3], None, None, "x")[0].tolist() == [[[0, 1, 2]]]


def test_slices() -> None:
    label = np.zeros((4, 2, 3), np.uint8)
    label[1, 0, 0] = 2
    label[2, 0] = IGNORE_INDEX
    label[3] = IGNORE_INDEX
    assert slices_without_labels(label) == (3,)
    declared = without_empty_slices(label)
    np.testing.assert_array_equal(declared[1], label[1])
    assert (declared[[0, 2, 3]] == IGNORE_INDEX).all()
    assert slices_without_labels(declared) == (0, 2, 3)
