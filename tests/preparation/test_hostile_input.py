"""Sources, arrays and manifests that are malicious or look malicious."""

import gzip
import json
import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest

from semiseg.console import Console, Quiet
from semiseg.data.identifiers import flaw_of, identifier_key
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.formats import HDF5, sizes
from semiseg.formats.nifti import read_nifti
from semiseg.formats.sizes import check_announced
from semiseg.testing.data import write_slices
from semiseg.text import one_line
from semiseg.workflows.prepare import prepare


def hearts(source: Path, names: tuple[str, ...] = ("a", "b", "c", "d")) -> Path:
    for seed, name in enumerate(names):
        label = np.random.default_rng(seed).integers(0, 2, (8, 7, 3)).astype(np.uint8)
        for kind, values in (("images", 90 * label.astype(np.int16) + seed), ("labels", label)):
            (source / kind).mkdir(parents=True, exist_ok=True)
            image = nibabel.Nifti1Image(values, np.eye(4))
            nibabel.save(image, source / kind / "x.nii")
            os.rename(
                source / kind / "x.nii",
                os.fsencode(source / kind) + b"/" + os.fsencode(name) + b".nii",
            )
    return source


def refused(source: Path, out: Path, **options: Any) -> str:
    """The error message; checks that no output is left."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(UserError) as raised:
        prepare(source, out, console=Quiet(), **options)
    assert sorted(out.parent.iterdir()) == before
    sentence = str(raised.value)
    assert sentence.isprintable()
    return sentence


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("line\nbreak", "unprintable characters: rename the file"),
        ("bell\x07", "unprintable characters"),
        ("escape\x1b[31mred", "unprintable characters"),
        ("turned\u202egnp", "unprintable characters"),
        ("con", "name of a device"),
        ("what?", "contains the character ?"),
        ("x" * 190, "longer than 180 bytes"),
        ("ü" * 100, "longer than 180 bytes"),
        ("end ", "begins or ends with a dot or a space"),
        ("back\\slash", "contains the character"),
        (os.fsdecode(b"latin\xfc"), "unprintable"),
        ("A", "'A' and 'a' are identical"),
    ],
)
def test_names_that_cannot_be_files_everywhere(tmp_path: Path, name: str, why: str) -> None:
    sentence = refused(hearts(tmp_path / "source", ("a", "b", name)), tmp_path / "data")
    assert why in sentence
    assert len(sentence) < 500


def test_letters_of_any_language_are_names(tmp_path: Path) -> None:
    names = ("患者一", "Jürgen Müller", "пациент", "a.b-c_d (2)")
    manifest = prepare(hearts(tmp_path / "s", names), tmp_path / "data", console=Quiet())
    assert {case.identifier for case in manifest.cases} == set(names)


def test_flaws() -> None:
    for name in ("..", "../x", "a/b", "/etc/passwd", "", " ", ".hidden", "a:b", "NUL.txt"):
        assert flaw_of(name), name
    for name in ("a", "patient001_frame01", "x..y", "é"):
        assert flaw_of(name) is None
    assert identifier_key("e\u0301") == identifier_key("\u00e9")  # decomposed (macOS) and composed
    assert identifier_key("ﬁle") == identifier_key("file")


def test_nothing_unprintable_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    text = "images/\x1b[2Jgone\n.png"
    assert one_line(text) == "images/\\x1b[2Jgone\\n.png"
    Console().warn(text)
    assert capsys.readouterr().out == "note: images/\\x1b[2Jgone\\n.png\n"
    assert str(UserError(text)) == one_line(text)


@pytest.mark.parametrize("name", ["../secret.nii", "/etc/hostname", "imagesTr/../../secret.nii"])
@pytest.mark.parametrize("key", ["image", "label"])
def test_a_description_that_points_outside_is_refused(tmp_path: Path, name: str, key: str) -> None:
    source = hearts(tmp_path / "source")
    (tmp_path / "secret.nii").write_bytes((source / "labels" / "a.nii").read_bytes())
    for role in ("images", "labels"):
        (source / role).rename(source / f"{role}Tr")
    entry = {"image": "imagesTr/a.nii", "label": "labelsTr/a.nii"} | {key: name}
    (source / "dataset.json").write_text(json.dumps({"training": [entry]}))
    assert "is not in" in refused(source, tmp_path / "data")


@pytest.mark.parametrize("name", ["../x", "a/b", "/tmp/x", "..", ".hidden", "a\nb"])
def test_manifests_that_point_outside_are_refused(tmp_path: Path, name: str) -> None:
    write_slices(tmp_path / "data")
    path = tmp_path / "data" / "manifest.json"
    content = json.loads(path.read_text())
    content["cases"][0]["identifier"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="semiseg did not write this file") as raised:
        PreparedData(tmp_path / "data")
    assert str(raised.value).isprintable()


class Trap:
    """Writes a file when unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


def test_pickled_arrays_are_never_unpickled(tmp_path: Path) -> None:
    data = write_slices(tmp_path / "data")
    trap = str(tmp_path / "sprung")
    objects = np.empty(2, object)
    objects[:] = Trap(trap)
    np.save(data.folder / "images" / "p1.npy", objects, allow_pickle=True)
    (data.folder / "images" / "p2.npy").write_bytes(pickle.dumps(Trap(trap)))
    for name in ("p1", "p2"):
        with pytest.raises(UserError, match="missing or damaged"):
            data.image(name)
    assert not Path(trap).exists()
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["image"] = np.void(pickle.dumps(Trap(trap)))
    with pytest.raises(UserError):
        HDF5.read_slices(tmp_path / "x.h5")
    assert not Path(trap).exists()


def header(shape: tuple[int, ...], path: Path, zeros: int = 0) -> None:
    """A NIfTI header that announces ``shape``, and ``zeros`` bytes."""
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    content = bytearray(image.to_bytes())
    struct.pack_into("<8h", content, 40, len(shape), *shape, *([1] * (7 - len(shape))))
    raw = bytes(content) + bytes(zeros)
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("shape", [(30000, 30000, 30000), (30000, 30000, 3), (9, 9, 9000, 9)])
def test_absurd_headers_take_no_memory(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    header(shape, tmp_path / name)
    tracemalloc.start()
    with pytest.raises(UserError, match="announces"):
        read_nifti(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_bomb_is_measured_against_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 MB of zeros in 40 kB: valid, but too much for a machine with 40 MB free."""
    header((200, 1000, 100), tmp_path / "x.nii.gz", 40_000_000)
    assert (tmp_path / "x.nii.gz").stat().st_size < 50_000
    monkeypatch.setattr(sizes, "free_memory", lambda: 40_000_000)
    with pytest.raises(UserError, match=r"needs 0\.1 GB of memory .* 0\.0 GB are free"):
        read_nifti(tmp_path / "x.nii.gz")
    monkeypatch.setattr(sizes, "free_memory", lambda: None)
    with pytest.raises(UserError, match="constant"):
        read_nifti(tmp_path / "x.nii.gz")


def test_what_memory_is_free_is_known() -> None:
    free = sizes.free_memory()
    assert free is not None
    assert 2**20 < free < 2**50


def test_negative_sizes_are_absurd(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1234")
    check_announced(tmp_path / "x", (2, 2), 1, compressed=False)
    for shape in ((-2, 2), (-2, -2), (3, 2)):
        with pytest.raises(UserError, match="cannot hold"):
            check_announced(tmp_path / "x", shape, 1, compressed=False)


def test_hdf5_links_and_holes_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["image"] = np.arange(12.0).reshape(3, 4)
    (tmp_path / "raw").write_bytes(bytes(96))
    made = {
        "external": lambda f: f.__setitem__("image", h5py.ExternalLink("secret.h5", "image")),
        "soft": lambda f: f.__setitem__("image", h5py.SoftLink("/elsewhere")),
        "stored": lambda f: f.create_dataset(
            "image", (3, 4), "f8", external=[(str(tmp_path / "raw"), 0, 96)]
        ),
        "group": lambda f: f.create_group("image"),
    }
    layout = h5py.VirtualLayout((3, 4), "f8")
    layout[...] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "image", (3, 4))
    made["virtual"] = lambda f: f.create_virtual_dataset("image", layout)
    for name, make in made.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            make(file)
        with pytest.raises(UserError, match="only links to its array 'image'"):
            HDF5.read_slices(tmp_path / f"{name}.h5")
    with h5py.File(tmp_path / "hole.h5", "w") as file:
        file.create_dataset("image", (100_000, 100_000), "f8", chunks=(100, 100))
    with pytest.raises(UserError, match="announces 100000 x 100000"):
        HDF5.read_slices(tmp_path / "hole.h5")
    assert HDF5.read_slices(tmp_path / "secret.h5").image.shape == (1, 1, 3, 4)
