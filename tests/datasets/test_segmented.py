"""Segmentations of 3D Slicer: names, colours, and codes that differ between files."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

import replicas
from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.datasets import detect
from semiseg.datasets.base import Naming, Options, Scan
from semiseg.errors import UserError
from semiseg.formats.segments import Segment, read_segments
from semiseg.workflows.prepare import prepare


@pytest.fixture
def source(tmp_path: Path) -> Path:
    replicas.slicer(tmp_path / "source", 4)
    return tmp_path / "source"


def scan(folder: Path, *classes: str) -> Scan:
    return detect(folder)[0].scan(folder, Options(classes=classes or None))


def test_segments_of_a_header(source: Path) -> None:
    assert read_segments(source / "p0.seg.nrrd") == (
        Segment(1, "small", "#e61a33"), Segment(7, "large", "#80ad4f"),
    )  # fmt: skip
    assert read_segments(source / "p0.nrrd") == ()
    assert read_segments(source / "none.nrrd") == ()
    assert read_segments(source / "a.nii.gz") == ()
    lines = ["NRRD0004", "Segment0_Name:=a", "Segment0_LabelValue:=x", "Segment1_Name:=b",
             "Segment1_LabelValue:=300", "Segment2_Name:=c", "Segment2_LabelValue:=3",
             "Segment2_Color:=nan 1 0", "", "Segment3_Name:=d", "Segment3_LabelValue:=4"]  # fmt: skip
    (source / "odd.nrrd").write_text("\n".join(lines))
    assert read_segments(source / "odd.nrrd") == (Segment(3, "c", None),)


def test_classes_are_matched_by_name(source: Path, tmp_path: Path) -> None:
    manifest = prepare(source, tmp_path / "data", console=Quiet())
    assert manifest.task.classes == ("background", "large", "small")
    assert manifest.task.colours == {"large": "#80ad4f", "small": "#e61a33"}
    data = PreparedData(tmp_path / "data")
    for number in range(4):
        expected = np.moveaxis(replicas.blocks(number), 2, 0)
        np.testing.assert_array_equal(data.label(f"p{number}"), expected)


def test_names_choose_segments(source: Path) -> None:
    result = scan(source, "Small")
    assert result.classes == ("background", "Small")
    for number, case in enumerate(result.cases):
        label = case.read().label
        np.testing.assert_array_equal(label, np.moveaxis(replicas.blocks(number) == 2, 2, 0))
    with pytest.raises(UserError, match=r"matches no segment \(large, small\)"):
        scan(source, "liver")
    codes = Options(classes=("large",), naming=Naming(codes={1: 1}))
    label = detect(source)[0].scan(source, codes).cases[0].read().label
    assert label is not None
    assert set(np.unique(label)) == {0, 1, 7}  # codes of the file: `prepare` names them


def test_what_does_not_fit_is_refused(source: Path) -> None:
    label = SimpleITK.ReadImage(str(source / "p1.seg.nrrd"))
    SimpleITK.WriteImage(label * 2, str(source / "p1.seg.nrrd"))  # without its metadata
    with pytest.raises(UserError, match=r"p0\.seg\.nrrd names its segments but .*p1\.seg\.nrrd"):
        scan(source)
    replicas.slicer(source, 4)
    label = SimpleITK.ReadImage(str(source / "p1.seg.nrrd"))
    label.SetMetaData("Segment1_LabelValue", "9")
    SimpleITK.WriteImage(label, str(source / "p1.seg.nrrd"))
    with pytest.raises(UserError, match=r"p1\.seg\.nrrd holds code 2, which none of its segments"):
        scan(source).cases[1].read()
