"""Reading slices of a prepared data set."""

import json
from pathlib import Path

import numpy as np
import pytest

from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.testing.data import write_slices


def test_slices_are_those_of_the_arrays(small_data: PreparedData) -> None:
    for _ in range(2):  # without and with a known offset of the values
        for name in ("p1", "p7"):
            for index in range(2):
                image = small_data.image_slice(name, index)
                np.testing.assert_array_equal(image, small_data.image(name)[index])
                assert image.flags.writeable  # in memory: the file does not change
                label = small_data.label_slice(name, index)
                np.testing.assert_array_equal(label, small_data.label(name)[index])
    for index in (-1, 2):
        with pytest.raises(IndexError):
            small_data.image_slice("p1", index)


def test_arrays_in_another_order_are_read_too(tmp_path: Path) -> None:
    data = write_slices(tmp_path / "data")
    image = np.asfortranarray(data.image("p1"))
    np.save(data.folder / "images" / "p1.npy", image)
    np.testing.assert_array_equal(data.image_slice("p1", 1), image[1])


def test_a_set_of_an_older_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = write_slices(tmp_path / "data").folder / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"format": 1, "consequences": []}))
    with pytest.raises(
        UserError, match=r"manifest\.json was written by an older version"
    ) as caught:
        PreparedData(path.parent)
    assert str(caught.value).endswith("of semiseg: prepare the data again.")


def test_missing_and_shortened_arrays_are_one_sentence(tmp_path: Path) -> None:
    data = write_slices(tmp_path / "data")
    path = data.folder / "images" / "p1.npy"
    data.image_slice("p1", 0)
    path.write_bytes(path.read_bytes()[:-10])
    data.image_slice("p1", 0)
    with pytest.raises(UserError, match=r"p1\.npy is missing or damaged"):
        data.image_slice("p1", 1)
    path.unlink()
    for known in ("p1", "p99"):
        with pytest.raises(UserError, match="is missing or damaged"):
            data.image_slice(known, 0)


CONTRADICTIONS = {
    "other channels": (("task", "channels"), 3, "p1 has 1 channels, but the task 3"),
    "no structure": (("task", "classes"), ["background"], "classes"),
    "no background": (("task", "classes"), ["a", "b", "c"], "the first is background"),
    "one class twice": (("task", "classes"), ["background", "a", "a"], "different names"),
    "a percentile above 100": (
        ("task", "intensity"), {"kind": "percentile", "low": 0.5, "high": 99500}, "from 0 to 100",
    ),
    "a window from high to low": (
        ("task", "intensity"), {"kind": "window", "low": 1, "high": 0}, "low must be below",
    ),
    "a patient in two parts": (("split", "validation"), ["p1"], "p1 is in train and in validation"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_manifest_that_contradicts_itself_is_refused(tmp_path: Path, name: str) -> None:
    (section, key), value, words = CONTRADICTIONS[name]
    path = write_slices(tmp_path / "data").folder / "manifest.json"
    content = json.loads(path.read_text())
    content[section][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=words) as caught:
        PreparedData(path.parent)
    assert str(path) in str(caught.value)


def test_a_case_named_twice_is_refused(tmp_path: Path) -> None:
    path = write_slices(tmp_path / "data").folder / "manifest.json"
    content = json.loads(path.read_text())
    content["cases"].append(content["cases"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="the case p1 is named twice"):
        PreparedData(path.parent)


def test_values_that_no_preparation_writes_are_refused(tmp_path: Path) -> None:
    data = write_slices(tmp_path / "data")
    label = np.array(data.label("p1"))
    label[1, 0, 0] = 77
    np.save(data.folder / "labels" / "p1.npy", label)
    data.label_slice("p1", 0)
    with pytest.raises(UserError, match=r"p1\.npy holds class code 77, but the task has only 3"):
        data.label_slice("p1", 1)
    image = np.array(data.image("p1"), np.float32)
    image[1, 0, 3] = np.nan
    np.save(data.folder / "images" / "p1.npy", image)
    data = PreparedData(data.folder)
    data.image_slice("p1", 0)
    with pytest.raises(UserError, match=r"p1\.npy has intensities that are not finite"):
        data.image_slice("p1", 1)
