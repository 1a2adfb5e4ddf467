"""Layouts with a dataset.json: nnU-Net's raw form and the Decathlon."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

import replicas
from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.datasets import detect
from semiseg.datasets.base import Options, Scan
from semiseg.datasets.description import read_description
from semiseg.errors import UserError
from semiseg.workflows.prepare import prepare


def scan(folder: Path, options: Options | None = None) -> Scan:
    return detect(folder)[0].scan(folder, options or Options())


def describe(folder: Path, **changes: Any) -> None:
    path = folder / "dataset.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_nnunet_takes_a_file_a_channel(tmp_path: Path, ending: str) -> None:
    replicas.nnunet(tmp_path, ending=ending)
    layout, evidence = detect(tmp_path)
    assert layout.name == "nnunet"
    assert "dataset.json" in evidence
    assert f"block_000_0000{ending}" in evidence
    result = scan(tmp_path)
    assert result.classes == ("background", "large", "small")
    assert {case.identifier: case.has_label for case in result.cases} == {
        **{f"block_{n:03d}": True for n in range(6)},
        **{f"block_{n:03d}": False for n in range(6, 9)},
    }
    volume = result.cases[2].read()
    label = replicas.blocks(2)
    for channel, sign in ((0, 1), (1, -1)):
        image = sign * replicas.scan_of(label, 20 + channel)
        np.testing.assert_array_equal(volume.image[:, channel], np.moveaxis(image, 2, 0))
    assert volume.label is not None
    np.testing.assert_array_equal(volume.label, np.moveaxis(label, 2, 0))


@pytest.mark.parametrize("ignore", [{"ignore": 2}, {"ignore": "2"}])
def test_what_nnunet_ignores_is_ignored(tmp_path: Path, ignore: dict[str, Any]) -> None:
    source = tmp_path / "source"
    replicas.nnunet(source, 3, 1)
    describe(source, labels={"background": 0, "large": 1} | ignore)
    assert scan(source).classes == ("background", "large")
    before = np.asarray(scan(source).cases[0].read().label)
    for options in ({}, {"classes": ["1=big"]}):
        prepare(source, tmp_path / "data", console=Quiet(), overwrite=True, **options)
        label = np.array(PreparedData(tmp_path / "data").label("block_000"))
        np.testing.assert_array_equal(label, np.where(before == 2, IGNORE_INDEX, before))
    describe(source, labels={"0": "background", "1": "large", "2": "ignore"})
    assert scan(source).ignore_value == 2
    prepare(source, tmp_path / "all", console=Quiet(), classes=["1=big", "2=small"])
    np.testing.assert_array_equal(PreparedData(tmp_path / "all").label("block_000"), before)


def test_nnunet_channels_that_do_not_fit(tmp_path: Path) -> None:
    replicas.nnunet(tmp_path)
    image = tmp_path / "imagesTr" / "block_001_0001.nii.gz"
    content = image.read_bytes()
    image.unlink()
    second = scan(tmp_path).cases[1]
    assert (second.identifier, second.has_label) == ("block_001", True)
    with pytest.raises(
        UserError, match=r"block_001_0001\.nii\.gz is missing, channel 1 \(ADC\) of block_001"
    ):
        second.read()
    image.write_bytes(content)
    surplus = image.with_name("block_001_0002.nii.gz")
    surplus.write_bytes(content)
    with pytest.raises(UserError, match=r"block_001_0002\.nii\.gz is one channel more than the 2"):
        scan(tmp_path).cases[1].read()
    surplus.rename(image.with_name("block_001.nii.gz"))
    with pytest.raises(UserError, match=r"block_001\.nii\.gz has no channel number"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, "'whole' is a region"),
        ({"labels": {"background": 0, "large": 1, "ignore": [2, 3]}}, "label 'ignore' needs one"),
        ({"labels": {"background": 0, "large": 2}}, "must name the codes"),
        ({"file_ending": ".png"}, "file_ending '.png'"),
        ({"file_ending": 7}, "file_ending '7'"),
        ({"channel_names": {"1": "T2", "2": "ADC"}}, "must name the channels"),
        ({"channel_names": {}}, "must name the channels"),
        ({"channel_names": "T2"}, "must name the channels"),
    ],
)
def test_descriptions_of_nnunet_that_cannot_be_meant(
    tmp_path: Path, changes: dict[str, Any], word: str
) -> None:
    replicas.nnunet(tmp_path, 2, 0)
    describe(tmp_path, **changes)
    with pytest.raises(UserError, match=word) as raised:
        scan(tmp_path)
    assert "dataset.json" in str(raised.value)


def test_nnunet_of_the_first_version_and_with_test_labels(tmp_path: Path) -> None:
    replicas.nnunet(tmp_path)
    described = {"modality": {"0": "T2", "1": "ADC"}, "channel_names": None, "file_ending": None}
    entries = [{"image": "./imagesTr/block_000.nii.gz", "label": "./labelsTr/block_000.nii.gz"}]
    describe(tmp_path, **described, training=entries)
    for number in (7, 8):
        label = tmp_path / "labelsTs" / f"block_{number:03d}.nii.gz"
        replicas.save(label, replicas.blocks(number), np.diag([1.0, 1.0, 4.0, 1.0]))
    result = scan(tmp_path)
    assert detect(tmp_path)[0].name == "nnunet"
    assert result.cases[0].read().image.shape[1] == 2
    assert result.split is not None
    assert result.split.test == ("block_007", "block_008")
    replicas.save(tmp_path / "labelsTs" / "other.nii.gz", replicas.blocks(1))
    assert any("1 label without an image" in note for note in scan(tmp_path).notes)


def test_regions_are_read_where_classes_are_named(tmp_path: Path) -> None:
    replicas.nnunet(tmp_path, 2, 0)
    describe(tmp_path, labels={"background": 0, "whole": [1, 2], "core": 2})
    assert scan(tmp_path, Options(classes=("rim", "core"))).classes == (
        "background", "rim", "core"
    )  # fmt: skip


@pytest.mark.parametrize("modalities", [1, 2])
def test_decathlon(tmp_path: Path, modalities: int) -> None:
    replicas.decathlon(tmp_path, 3, modalities)
    layout, evidence = detect(tmp_path)
    assert layout.name == "decathlon"
    assert "dataset.json" in evidence
    result = scan(tmp_path)
    assert result.name == "Blocks"
    assert [(c.identifier, c.has_label) for c in result.cases] == [
        ("block_000", True), ("block_001", True), ("block_002", True), ("block_003", False)
    ]  # fmt: skip
    assert result.cases[3].read().image.shape == (5, modalities, 26, 24)
    source = np.asarray(nibabel.load(tmp_path / result.cases[0].source).dataobj)
    source = source.reshape(*source.shape[:3], modalities)
    np.testing.assert_array_equal(
        result.cases[0].read().image, np.moveaxis(np.moveaxis(source, 2, 0), 3, 1)
    )


def test_decathlon_that_names_files_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    replicas.decathlon(folder, 2, 1)
    other = tmp_path / "other.nii.gz"
    replicas.save(other, replicas.blocks(0))
    for name in ("../other.nii.gz", str(other), "imagesTr/../../other.nii.gz", "", "a\0b"):
        entries = [{"image": "imagesTr/block_000.nii.gz", "label": name}]
        describe(folder, training=entries)
        with pytest.raises(UserError, match="is not in"):
            scan(folder)


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    replicas.decathlon(tmp_path, 2, 1)
    (tmp_path / "dataset.json").write_text('{"labels": {"0": "background", "1": "a", "1": "b"}}')
    with pytest.raises(UserError, match=r"dataset\.json: '1' occurs twice"):
        scan(tmp_path)


def test_a_wrong_number_of_modalities_is_refused(tmp_path: Path) -> None:
    replicas.decathlon(tmp_path, 2, 2)
    describe(tmp_path, modality={"0": "MRI"})
    with pytest.raises(UserError, match=r"block_000\.nii\.gz has 4 axes"):
        scan(tmp_path).cases[0].read()
    describe(tmp_path, modality={"0": "T1", "1": "T2", "2": "PD"})
    with pytest.raises(UserError, match="export 3 axes and, as a fourth, 3 channels"):
        scan(tmp_path).cases[0].read()


@pytest.mark.parametrize("name", ["label", "lables", "Labels", "channel_name"])
def test_a_misspelt_entry_of_dataset_json_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({name: {"0": "background", "1": "a"}}))
    with pytest.raises(UserError, match=f"'{name}' is not read, and looks like"):
        read_description(tmp_path)


def test_other_entries_of_dataset_json_are_not_read(tmp_path: Path) -> None:
    content = {"labels": {"0": "background", "1": "a"}, "label": {}, "modalities": {"0": "CT"}}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert read_description(tmp_path) == content
