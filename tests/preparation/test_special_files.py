"""Pipes, sockets and devices are never opened: every command ends, and says what it left out."""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

import replicas
from semiseg.console import Quiet
from semiseg.data.splits import read_split
from semiseg.errors import UserError
from semiseg.files import check_file, is_special
from semiseg.formats import FORMATS, is_image
from semiseg.formats.dicom_files import is_dicom
from semiseg.formats.segments import read_segments
from semiseg.workflows.inputs import find_images
from semiseg.workflows.pack import unpack
from semiseg.workflows.prepare import prepare


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in range(4):
        label = replicas.blocks(number)
        replicas.save(tmp_path / f"set/images/c{number}.nii.gz", replicas.scan_of(label, number))
        replicas.save(tmp_path / f"set/labels/c{number}.nii.gz", label)
    return tmp_path / "set"


def test_a_source_with_special_files_is_prepared(source: Path, tmp_path: Path) -> None:
    os.mkfifo(source / "images" / "c9.nii.gz")
    os.mkfifo(source / "images" / "pipe")
    (source / "labels" / "c8.nii.gz").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(source / "s"))
        manifest = prepare(source, tmp_path / "data", console=Quiet())
    assert len(manifest.cases) == 4
    note = next(note for note in manifest.notes if "pipes, sockets or devices" in note)
    assert note.startswith("4 files left out")
    for name in ("images/c9.nii.gz", "images/pipe", "labels/c8.nii.gz", "s"):
        assert name in note


def test_a_list_that_names_a_pipe_is_refused(source: Path, tmp_path: Path) -> None:
    os.mkfifo(source / "pipe.nii.gz")
    (source / "semiseg.csv").write_text(
        "image,label\nimages/c0.nii.gz,labels/c0.nii.gz\npipe.nii.gz,\n"
    )
    with pytest.raises(UserError, match=r"pipe\.nii\.gz"):
        prepare(source, tmp_path / "data", console=Quiet())


@pytest.mark.parametrize("ending", [end for one in FORMATS for end in one.suffixes])
def test_no_format_opens_a_pipe(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    os.mkfifo(path)
    kind = next(one for one in FORMATS if one.recognises(path))
    for read in (kind.read_image, kind.read_mask):
        with pytest.raises(UserError, match="is a pipe, socket or device"):
            read(path)


@pytest.mark.parametrize(
    "read", [read_segments, is_dicom, lambda path: read_split(path, ["a"], ["a"]),
             lambda path: unpack(path, path.with_name("out"), console=Quiet()),
             lambda path: find_images([path.parent])],
)  # fmt: skip
def test_nothing_else_opens_a_pipe(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "a.seg.nrrd")
    with contextlib.suppress(UserError):
        assert not read(tmp_path / "a.seg.nrrd")


def test_files_are_told_from_others(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    assert [is_special(tmp_path / name) for name in ("pipe", "link", "broken", "nothing", ".")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert is_special(Path("/dev/null"))
    assert is_image(Path("a.nii.gz"))
    for name, sentence in (
        ("pipe", "is a pipe"),
        ("broken", "does not exist"),
        (".", "is a folder"),
    ):
        with pytest.raises(UserError, match=sentence):
            check_file(tmp_path / name)
