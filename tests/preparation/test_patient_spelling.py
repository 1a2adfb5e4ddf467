"""Patients whose names differ in capitals, blanks and leading zeros, in lists and in names of files."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from consoles import Listening
from semiseg.console import Quiet
from semiseg.data.manifest import Manifest
from semiseg.errors import UserError
from semiseg.workflows.inspect import inspect
from semiseg.workflows.prepare import prepare
from small_pictures import MASK, mask_replicas, picture

PEOPLE = ("P01", "p01", "P02", " P2 ", "P 3", "P03", "P04", "P05", "P05", "P11")
EXPECTED = ["P01"] * 2 + ["P02"] * 2 + ["P 3"] * 2 + ["P04", "P05", "P05", "P11"]
NOTE = "P01 and p01, P02 and P2, 'P 3' and P03"


def listed(folder: Path, people: Sequence[str] = PEOPLE, parts: Sequence[str] = ()) -> Path:
    rows = ["image,label,patient,part"]
    for n, who in enumerate(people):
        picture(folder / f"scans/i{n}.png", n)
        mask_replicas.save_picture(folder / f"drawn/m{n}.png", MASK.astype("uint8") * 255)
        rows.append(f"scans/i{n}.png,drawn/m{n}.png,{who},{parts[n] if parts else ''}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder / "list.csv"


def patients(manifest: Manifest) -> list[str]:
    return [case.patient for case in manifest.cases]


def test_a_list_names_one_patient_in_several_spellings(tmp_path: Path) -> None:
    said = Listening()
    manifest = prepare(listed(tmp_path / "s"), tmp_path / "data", console=said)
    assert patients(manifest) == EXPECTED
    parts = [set(manifest.split.part(part)) for part in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set(EXPECTED)) == len(set.union(*parts))
    wanted = (
        f"3 patients have names in several spellings ({NOTE}), which count as one: if these are different "
        "people, give them different names."
    )
    assert wanted in said.said
    assert wanted in manifest.notes
    seen = Listening()
    inspect(tmp_path / "data", console=seen)
    assert any(NOTE in line for line in seen.said)


def test_a_patient_in_two_parts_by_two_spellings_is_refused(tmp_path: Path) -> None:
    parts = ["train", "test", *["train"] * 7, "test"]
    path = listed(tmp_path / "s", parts=parts)
    with pytest.raises(UserError, match=r"has 'P01' in train and 'p01' in test, .* one patient"):
        prepare(path, tmp_path / "data", console=Quiet())
    people = ["P01", "P1", "P02", "P03"]
    path = listed(tmp_path / "t", people, ["train", "train", "test", "validation"])
    split = prepare(path, tmp_path / "data", console=Quiet()).split
    assert (split.train, split.validation, split.test) == (("P01",), ("P03",), ("P02",))


def test_a_given_split_is_kept_and_what_it_separates_is_said(tmp_path: Path) -> None:
    path = listed(tmp_path / "s", ["P01", "p01", "P02", "P2"])
    split = {"train": ["P01", "P02", "P2"], "validation": [], "test": ["p01"]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    manifest = prepare(path, tmp_path / "data", split=tmp_path / "split.json", console=Quiet())
    assert patients(manifest) == ["P01", "p01", "P02", "P2"]
    (note,) = [note for note in manifest.notes if "spelling" in note]
    assert "(P01 in train and p01 in test): if they are one person" in note


@pytest.mark.parametrize(
    "names", ["P01_pre P1_post p02_pre P2_post", "A1-left a01-right B1-left B1-right"]
)
def test_names_of_files_in_several_spellings(tmp_path: Path, names: str) -> None:
    for n, name in enumerate(names.split()):
        picture(tmp_path / f"s/images/{name}.png", n)
        mask_replicas.save_picture(tmp_path / f"s/masks/{name}.png", MASK.astype("uint8") * 255)
    manifest = prepare(tmp_path / "s", tmp_path / "data", console=Quiet())
    found = patients(manifest)
    assert len(set(found)) == 2
    assert len({name[0].lower() + name.split("0")[-1] for name in found}) == 2
    assert any("several spellings" in note for note in manifest.notes)


def test_folders_of_a_patient_in_several_spellings(tmp_path: Path) -> None:
    for n, who in enumerate(("Pat 1", "pat_01", "Pat 2", "Pat 2")):
        picture(tmp_path / f"s/{who}/images/x{n}.png", n)
        mask_replicas.save_picture(tmp_path / f"s/{who}/masks/x{n}.png", MASK.astype("uint8") * 255)
    assert len(set(patients(prepare(tmp_path / "s", tmp_path / "data", console=Quiet())))) == 2
