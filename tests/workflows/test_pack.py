"""``pack`` and ``unpack``; damaged and malicious files."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semiseg.console import Quiet
from semiseg.data.check import check_data
from semiseg.data.manifest import Manifest, PreparedData, write_manifest
from semiseg.data.task import normalise
from semiseg.errors import UserError
from semiseg.preparation import pack as container
from semiseg.testing.data import write_slices
from semiseg.workflows.pack import pack, unpack

QUIET = Quiet()


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    """Eight cases; p1 has 32-bit values, p2 is a picture of 8 bits."""
    made = write_slices(tmp_path / "data")
    cases = list(made.manifest.cases)
    for index, dtype in ((0, np.float32), (1, np.uint8)):
        name = cases[index].identifier
        values = np.asarray(made.image(name), np.float32)
        values = np.clip(values / 2, 0, 255) if dtype == np.uint8 else values / 3
        values = values.astype(dtype)
        np.save(tmp_path / "data" / "images" / f"{name}.npy", values)
        bounds = (float(values.min()), float(values.max()))
        cases[index] = cases[index].model_copy(update={"bounds": bounds})
    write_manifest(tmp_path / "data", made.manifest.model_copy(update={"cases": tuple(cases)}))
    return check_data(tmp_path / "data")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("bits", [8, 16])
def test_there_and_back(data: PreparedData, tmp_path: Path, bits: int) -> None:
    pack(data.folder, tmp_path / "x.semiseg", bits=bits, console=QUIET)
    written = unpack(tmp_path / "x.semiseg", tmp_path / "deep" / "back", console=QUIET)
    back = check_data(tmp_path / "deep" / "back")
    assert back.manifest == written
    assert back.manifest.model_copy(update={"notes": ()}) == data.manifest
    assert f"were packed with {bits} bits" in written.notes[-1]
    for case in data.manifest.cases:
        name, original = case.identifier, data.image(case.identifier)
        if case.labelled:
            np.testing.assert_array_equal(back.label(name), data.label(name))
        restored = back.image(name)
        if name != "p1" and (bits == 16 or name == "p2"):
            np.testing.assert_array_equal(restored, original)
            assert restored.dtype == original.dtype
        seen = [
            normalise(np.asarray(i), data.task.intensity, case.bounds) for i in (restored, original)
        ]
        assert np.abs(seen[0] - seen[1]).max() <= 1 / (2**bits - 1) + 1e-6
    assert names(tmp_path) == ["data", "deep", "x.semiseg"]
    assert names(tmp_path / "deep") == ["back"]


def test_the_same_data_make_the_same_file(data: PreparedData, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pack(data.folder, tmp_path / name, console=QUIET)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_one_part(data: PreparedData, tmp_path: Path) -> None:
    manifest = pack(data.folder, tmp_path / "x", part="train", console=QUIET)
    assert [case.patient for case in manifest.cases] == ["p1", "p2", "p3", "p4", "p5", "p6"]
    back = unpack(tmp_path / "x", tmp_path / "back", console=QUIET)
    assert back.split.train == data.manifest.split.train
    assert back.split.labelled_order == data.manifest.split.labelled_order
    assert (back.split.validation, back.split.test) == ((), ())
    assert "only the train part" in " ".join(back.notes)
    assert pack(data.folder, tmp_path / "v", part="validation", console=QUIET).split.train == ()
    with pytest.raises(UserError, match="is empty"):
        pack(data.folder, tmp_path / "t", part="test", console=QUIET)
    with pytest.raises(UserError, match="did you mean 'train'"):
        pack(data.folder, tmp_path / "t", part="trian", console=QUIET)
    assert not (tmp_path / "t").exists()


def test_what_is_there_is_not_replaced_unasked(data: PreparedData, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--bits 12"):
        pack(data.folder, tmp_path / "x", bits=12, console=QUIET)
    (tmp_path / "x").write_text("dear")
    with pytest.raises(UserError, match="--overwrite"):
        pack(data.folder, tmp_path / "x", console=QUIET)
    with pytest.raises(UserError, match="is a folder"):
        pack(data.folder, tmp_path, console=QUIET)
    assert (tmp_path / "x").read_text() == "dear"
    with pytest.raises(UserError, match="exists and is not a packed data set"):
        pack(data.folder, tmp_path / "x", overwrite=True, console=QUIET)
    (tmp_path / "x").unlink()
    for _ in range(2):
        pack(data.folder, tmp_path / "x", overwrite=True, console=QUIET)
    with pytest.raises(UserError, match="--overwrite"):
        unpack(tmp_path / "x", data.folder, console=QUIET)
    unpack(tmp_path / "x", data.folder, overwrite=True, console=QUIET)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1").write_text("dear")
    with pytest.raises(UserError, match="not a prepared data set"):
        unpack(tmp_path / "x", tmp_path / "thesis", overwrite=True, console=QUIET)
    assert names(tmp_path) == ["data", "thesis", "x"]


def refused(file: Path, why: str) -> None:
    out = file.with_name("back")
    before = names(file.parent)
    with pytest.raises(UserError, match=why) as raised:
        unpack(file, out, console=QUIET)
    assert str(raised.value).isprintable()
    assert names(file.parent) == before


def test_files_that_are_no_pack(data: PreparedData, tmp_path: Path) -> None:
    refused(tmp_path / "missing", "does not exist")
    refused(data.folder, "is a folder")
    (tmp_path / "text").write_text("hello")
    refused(tmp_path / "text", "is not a pack of semiseg, or it is truncated")
    with zipfile.ZipFile(tmp_path / "zip", "w") as file:
        file.writestr("a.txt", "hello")
    refused(tmp_path / "zip", "is not a pack of semiseg: give a file")


def test_every_truncation_and_every_flipped_byte_is_noticed(
    data: PreparedData, tmp_path: Path
) -> None:
    pack(data.folder, tmp_path / "x", console=QUIET)
    whole = (tmp_path / "x").read_bytes()
    original = {
        c.identifier: np.asarray(data.label(c.identifier))
        for c in data.manifest.cases
        if c.labelled
    }
    for length in np.linspace(0, len(whole) - 1, 12).astype(int):
        (tmp_path / "cut").write_bytes(whole[:length])
        refused(tmp_path / "cut", "not a pack of semiseg")
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), 40):
        spoilt = bytearray(whole)
        spoilt[position] ^= 0x55
        (tmp_path / "spoilt").write_bytes(spoilt)
        try:
            unpack(tmp_path / "spoilt", tmp_path / "back", overwrite=True, console=QUIET)
        except UserError:
            continue
        back = PreparedData(tmp_path / "back")  # a byte that is not read, such as a date
        for name, label in original.items():
            np.testing.assert_array_equal(back.label(name), label)


def rewritten(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Replace members of a packed file."""
    with zipfile.ZipFile(source) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)


def with_json(name: str, change: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    """Replace the content of a JSON member, with a matching digest."""

    def changed(members: dict[str, bytes]) -> None:
        content = json.loads(members[name])
        change(content)
        members[name] = json.dumps(content).encode()
        if name != "pack.json":
            described = json.loads(members["pack.json"])
            described["digests"][name] = hashlib.sha256(members[name]).hexdigest()
            members["pack.json"] = json.dumps(described).encode()

    return changed


def _outside(content: Any) -> None:
    content["cases"][0]["identifier"] = "../../evil"


def _larger(content: Any) -> None:
    content["cases"][0]["shape"] = [100_000, 1, 100_000, 100_000]


def _twice(content: Any) -> None:
    content["cases"].append(content["cases"][0])


def _negative(content: Any) -> None:
    content["cases"][0]["shape"] = [-2, 1, -36, 32]


def _fewer_classes(content: Any) -> None:
    content["task"]["classes"] = ["background", "disc"]


def _older(content: Any) -> None:
    content["format"] = "semiseg pack 1"


def _newer(content: Any) -> None:
    content["format"] = "semiseg pack 9"


def _infinite(content: Any) -> None:
    content["codings"]["p1"]["step"] = 1e999


def _uncoded(content: Any) -> None:
    del content["codings"]["p1"]


def _no_digest(content: Any) -> None:
    del content["digests"]["labels/p2"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m.update({"../evil": b"x"}), "has the unexpected member ../evil"),
        (lambda m: m.update({"/etc/cron": b"x"}), "has the unexpected member /etc/cron"),
        (lambda m: m.update({"images/p1": m["images/p1"] + b"x"}), "bytes instead of"),
        (lambda m: m.update({"labels/p1": m["labels/p2"]}), "or it is truncated"),
        (lambda m: m.pop("labels/p1"), "lacks labels/p1"),
        (lambda m: m.update({"manifest.json": b"{}"}), "pack the data again with this version"),
        (lambda m: m.update({"pack.json": b"\xff"}), "pack the data again with this version"),
        (with_json("manifest.json", _outside), "'../../evil', which"),
        (with_json("manifest.json", _larger), "bytes instead of"),
        (with_json("manifest.json", _twice), "the case p1 is named twice"),
        (
            with_json("manifest.json", _negative),
            r"cases\.0\.shape\.0 must be greater than or equal to 1",
        ),
        (with_json("manifest.json", _fewer_classes), "holds class code 2"),
        (with_json("pack.json", _older), "pack the data again with this version"),
        (with_json("pack.json", _newer), "pack the data again with this version"),
        (with_json("pack.json", _infinite), "pack the data again with this version"),
        (with_json("pack.json", _uncoded), "has no coding of p1"),
        (with_json("pack.json", _no_digest), "has no digest of labels/p2"),
    ],
)
def test_packs_made_to_do_harm(
    data: PreparedData, tmp_path: Path, change: Callable[[dict[str, bytes]], None], why: str
) -> None:
    pack(data.folder, tmp_path / "x", console=QUIET)
    rewritten(tmp_path / "x", tmp_path / "y", change)
    refused(tmp_path / "y", why)


def test_a_pack_without_room_is_refused(
    data: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(data.folder, tmp_path / "x", console=QUIET)
    monkeypatch.setattr(container.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    refused(tmp_path / "x", "free space or choose another folder")


def test_a_set_that_came_out_of_a_pack_is_not_taken_for_its_source(
    data: PreparedData, tmp_path: Path
) -> None:
    """Its values may differ from those that `prepare` would write."""
    pack(data.folder, tmp_path / "x", bits=8, console=QUIET)
    manifest: Manifest = unpack(tmp_path / "x", tmp_path / "back", console=QUIET)
    assert manifest.task == data.task
    assert not (tmp_path / "back" / "records.jsonl").exists()
