"""Lists of images: valid and invalid entries, and paths outside the list's folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import replicas
from consoles import Listening
from semiseg.console import Quiet
from semiseg.datasets import detect
from semiseg.datasets.base import Options, Scan
from semiseg.errors import UserError
from semiseg.workflows.prepare import prepare

PLAIN = np.diag([1.0, 1.0, 4.0, 1.0])


def scan(source: Path, options: Options | None = None) -> Scan:
    layout, _ = detect(source)
    assert layout.name == "manifest"
    return layout.scan(source, options or Options())


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Images and labels of four blocks with unrelated names in two folders."""
    for number in range(4):
        label = replicas.blocks(number)
        for channel in range(2):
            image = replicas.scan_of(label, 10 * number + channel)
            place = (
                tmp_path / "scans" / f"site{number % 2}" / f"{number // 2}" / f"c{channel}.nii.gz"
            )
            replicas.save(place, image, PLAIN)
        replicas.write_volume(tmp_path / "drawn" / f"L{number}.nrrd", label, PLAIN)
    return tmp_path


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def row(number: int, *more: str, sign: str = ",") -> str:
    place = f"scans/site{number % 2}/{number // 2}"
    return sign.join((f"{place}/c0.nii.gz", f"{place}/c1.nii.gz", f"drawn/L{number}.nrrd", *more))


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_list_of_volumes(volumes: Path, sign: str) -> None:
    head = sign.join(("image", "image_2", "label", "patient", "part", "identifier"))
    lines = [
        row(0, "anna", "train", "a0", sign=sign),
        row(1, "anna", "Training", "a1", sign=sign),
        row(2, "bert", "test", "b", sign=sign),
        "",
        row(3, "carl", "", "", sign=sign).replace("drawn/L3.nrrd", ""),
    ]
    path = write(volumes / "list.csv", "\ufeff" + head, *lines)
    result = scan(path)
    assert [(c.identifier, c.patient, c.has_label, c.part) for c in result.cases] == [
        ("a0", "anna", True, "train"), ("a1", "anna", True, "train"),
        ("b", "bert", True, "test"), ("scans_site1_1_c0", "carl", False, None),
    ]  # fmt: skip
    assert result.split is not None
    assert (result.split.train, result.split.test) == (("anna", "carl"), ("bert",))
    assert result.name == "list"
    volume = result.cases[2].read()
    for channel in range(2):
        expected = replicas.scan_of(replicas.blocks(2), 20 + channel)
        np.testing.assert_array_equal(volume.image[:, channel], np.moveaxis(expected, 2, 0))
    assert volume.label is not None
    np.testing.assert_array_equal(volume.label, np.moveaxis(replicas.blocks(2), 2, 0))


def test_the_same_list_as_json_in_a_folder(volumes: Path) -> None:
    entries: list[dict[str, Any]] = []
    for number in range(4):
        place = f"scans/site{number % 2}/{number // 2}"
        files = [f"{place}/c0.nii.gz", str(volumes / place / "c1.nii.gz")]  # absolute but inside
        entries.append(
            {"image": files, "label": f"drawn/L{number}.nrrd", "identifier": f"n{number}"}
        )
    entries[1] = {"image": entries[1]["image"][0], "image_2": entries[1]["image"][1], "label": None}
    (volumes / "semiseg.json").write_text(json.dumps(entries))
    result = scan(volumes)
    assert [(c.identifier, c.has_label) for c in result.cases] == [
        ("n0", True), ("scans_site1_0_c0", False), ("n2", True), ("n3", True)
    ]  # fmt: skip
    assert [case.read().image.shape for case in result.cases] == [(5, 2, 26, 24)] * 4
    assert result.split is None
    assert result.name == volumes.name


def test_a_list_of_pictures_is_prepared(tmp_path: Path) -> None:
    lines = ["image,label,patient"]
    for number in range(6):
        picture, disc = replicas.photograph(number)
        picture.save(tmp_path / f"p{number}.jpg")
        Image.fromarray(np.where(disc, 255, 0).astype(np.uint8)).save(tmp_path / f"m{number}.png")
        lines.append(f"p{number}.jpg,{f'm{number}.png' if number else ''},dog{number // 2}")
    path = write(tmp_path / "dogs.csv", *lines)
    manifest = prepare(path, tmp_path / "out", console=Quiet())
    assert manifest.layout == "manifest"
    assert manifest.task.kind == "pictures"
    assert [case.patient for case in manifest.cases] == [f"dog{n // 2}" for n in range(6)]
    assert [case.labelled for case in manifest.cases] == [False] + [True] * 5
    (tmp_path / "p3.jpg").rename(tmp_path / "p3.nii.gz")
    write(path, *(line.replace("p3.jpg", "p3.nii.gz") for line in lines))
    with pytest.raises(UserError, match="both pictures and volumes"):
        scan(path)
    write(path, "image,image_2", "p1.jpg,p2.jpg")
    with pytest.raises(UserError, match="several channel files"):
        scan(path)


@pytest.mark.parametrize(
    "name",
    ["../secret.nii.gz", "scans/../../secret.nii.gz", "{outside}/secret.nii.gz", "link.nii.gz",
     "links/secret.nii.gz", "scans/a\0.nii.gz", "/etc/passwd", "~/secret.nii.gz/../../../../x"],
)  # fmt: skip
@pytest.mark.parametrize("column", ["image", "label"])
def test_no_path_leaves_the_folder(tmp_path: Path, name: str, column: str) -> None:
    base = tmp_path / "set"
    replicas.save(base / "scans" / "a.nii.gz", replicas.scan_of(replicas.blocks(0), 0))
    replicas.save(tmp_path / "secret.nii.gz", replicas.scan_of(replicas.blocks(0), 0))
    (base / "link.nii.gz").symlink_to(tmp_path / "secret.nii.gz")
    (base / "links").symlink_to(tmp_path)
    entry = {"image": "scans/a.nii.gz"} | {column: name.format(outside=tmp_path)}
    (base / "semiseg.json").write_text(json.dumps([entry]))
    with pytest.raises(UserError, match="is not in") as raised:
        scan(base)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ([], "no column 'image'"),
        (["picture,label"], "unknown column 'picture'"),
        (["image,lable", "a,b"], "did you mean 'label', or remove the column?"),
        (
            ["image,Label,Quality", "a,b,good"],
            "unknown column 'Quality': remove it, or rename it to one of image,",
        ),
        (
            ["Bild;Maske;Quelle", "a;b;c"],
            "unknown columns 'Bild', 'Maske' and 'Quelle': remove them, or rename each to",
        ),
        (["Image,IMAGE", "a,b"], "the same column twice"),
        (["sep=;", "image;label", "scans/site0/0/c0.nii.gz"], "line 3, has 1 columns"),
        (
            ["image,label", "scans/site0/0/c0.nii.gz,n/a"],
            "leave the label of an image without one empty",
        ),
        (["image", "C:\\Data\\c0.nii.gz"], "path of another computer: write paths relative"),
        (["image", "D:\\Data\\scans\\site0\\0\\c0.nii.gz"], "(scans/site0/0/c0.nii.gz)"),
        (["image", "\\\\server\\share\\scans\\site0\\0\\c0.nii.gz"], "(scans/site0/0/c0.nii.gz)"),
        (["image,image", "a,b"], "the same column twice"),
        (["image,image_1", "a,b"], "unknown column 'image_1'"),
        (["label", "b"], "no column 'image'"),
        (["image"], "lists no image"),
        (["image,label", "scans/site0/0/c0.nii.gz"], "line 2, has 1 columns"),
        (["image,label", ",drawn/L0.nrrd"], "line 2, has an empty image"),
        (["image", "scans/none.nii.gz"], "line 2, names scans/none.nii.gz, which is missing"),
        (["image", "list.csv"], "which is not an image"),
        (["image,part", "scans/site0/0/c0.nii.gz,holdout"], "the part 'holdout'"),
        (["image,identifier", "scans/site0/0/c0.nii.gz,../../x"], "identifier '../../x'"),
        (["image,identifier", "scans/site0/0/c0.nii.gz,.hidden"], "identifier '.hidden'"),
        (["image,image_2", "scans/site0/0/c0.nii.gz,scans/site0/0/c0.nii.gz"], "two channels"),
        (['image\n"scans'], "cannot be read as CSV"),
    ],
)
def test_lists_that_cannot_be_meant(volumes: Path, lines: list[str], word: str) -> None:
    path = write(volumes / "list.csv", *lines)
    with pytest.raises(UserError) as raised:
        scan(path)
    said = str(raised.value)
    assert word in said
    assert str(path) in said
    assert "\n" not in said


@pytest.mark.parametrize("suffix", [".nii.gz", ".png"])
def test_all_missing_files_are_named_at_once(tmp_path: Path, suffix: str) -> None:
    lines = ["image,label,patient"]
    for n in range(6):
        image, label = tmp_path / f"i{n}{suffix}", tmp_path / f"l{n}{suffix}"
        if suffix == ".png":
            picture, disc = replicas.photograph(n)
            picture.save(image)
            Image.fromarray(np.where(disc, 255, 0).astype(np.uint8)).save(label)
        else:
            replicas.save(image, replicas.scan_of(replicas.blocks(n), n), PLAIN)
            replicas.save(label, replicas.blocks(n), PLAIN)
        lines.append(f"{image.name},{label.name},p{n}")
    path = write(tmp_path / "list.csv", *lines)
    (tmp_path / f"i1{suffix}").rename(tmp_path / "elsewhere")
    (tmp_path / f"l3{suffix}").unlink()
    console = Listening()
    with pytest.raises(UserError, match=r"^2 of 6 images cannot be used"):
        prepare(path, tmp_path / "out", console=console)
    said = "\n".join(console.said)
    assert f"line 3, names i1{suffix}, which is missing" in said
    assert f"line 5, names l3{suffix}, which is missing" in said
    manifest = prepare(path, tmp_path / "out", skip_bad=True, console=Quiet())
    assert [case.patient for case in manifest.cases] == ["p0", "p2", "p4", "p5"]
    (tmp_path / "elsewhere").rename(tmp_path / f"i1{suffix}")
    manifest = prepare(path, tmp_path / "out", skip_bad=True, overwrite=True, console=Quiet())
    assert [case.patient for case in manifest.cases] == ["p0", "p1", "p2", "p4", "p5"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[{"image": "a.png", "image": "b.png"}]', "'image' occurs twice in one entry"),
        ("{", "cannot be read as JSON"),
        ("[" * 5000, "cannot be read as JSON"),
        ('{"image": "a.nii.gz"}', "is not a list"),
        ('["a.nii.gz"]', "entry 1, is not an object"),
        ('[{"image": 7}]', "a value that is not text"),
        ('[{"image": []}]', "an empty image"),
        ('[{"image": ["a.nii.gz", ""]}]', "an empty image"),
        ('[{"image": "a.nii.gz", "patient": 7}]', "a value that is not text"),
        ("[]", "lists no image"),
    ],
)
def test_json_that_cannot_be_meant(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "semiseg.json").write_text(text)
    with pytest.raises(UserError, match=word):
        scan(tmp_path)


def test_a_case_listed_twice_is_refused(volumes: Path) -> None:
    head = "image,image_2,label,patient,part,identifier"
    lines = [row(0, "a", "train", "x"), row(1, "a", "test", "y"), row(2, "b", "train", "x")]
    path = write(volumes / "list.csv", head, *lines)
    with pytest.raises(UserError, match="same identifier 'x'"):
        prepare(path, volumes / "out", console=Quiet())
    write(path, head, *lines[:2])
    with pytest.raises(UserError, match="'a'"):  # one patient in two parts
        prepare(path, volumes / "out", console=Quiet())
    assert not (volumes / "out").exists()


def test_a_column_of_patients_with_gaps_is_refused(volumes: Path) -> None:
    head = "image,image_2,label,patient"
    path = write(volumes / "list.csv", head, row(0, "a"), row(1, ""), row(2, "b"))
    with pytest.raises(UserError, match=r"line 3, names no patient although other rows do"):
        scan(path)


def test_only_lists_may_be_files(volumes: Path) -> None:
    path = write(volumes / "list.csv", "image", "scans/site0/0/c0.nii.gz")
    for source, layout in ((path, "volumes"), (volumes / "drawn" / "L0.nrrd", None)):
        with pytest.raises(UserError, match="is a file: give the folder"):
            prepare(source, volumes / "out", layout=layout, console=Quiet())
    with pytest.raises(UserError, match=r"holds neither semiseg\.csv"):
        prepare(volumes, volumes.parent / "out", layout="manifest", console=Quiet())
    with pytest.raises(UserError, match="contains the source"):
        prepare(path, volumes, console=Quiet(), overwrite=True)


def test_paths_of_windows(volumes: Path) -> None:
    lines = [row(n).replace("/", "\\") for n in range(4)]
    result = scan(write(volumes / "list.csv", "image,image_2,label", *lines))
    plain = scan(write(volumes / "other.csv", "image,image_2,label", *map(row, range(4))))
    assert [case.files for case in result.cases] == [case.files for case in plain.cases]


@pytest.mark.parametrize(
    ("first", "sign", "encoding"),
    [
        ("sep=;\r\n", ";", "utf-8-sig"),
        ("sep=,\n", ",", "utf-8"),
        ("sep=|\n", "|", "utf-8"),
        ("", "\t", "utf-16"),
        ("", ";", "utf-8-sig"),
    ],
)
def test_lists_of_spreadsheets(volumes: Path, first: str, sign: str, encoding: str) -> None:
    lines = [
        sign.join(("Image", " IMAGE_2", "Label ", "Patient")),
        *(row(n, f"p{n}", sign=sign) for n in range(4)),
    ]
    path = volumes / "list.csv"
    path.write_bytes((first + "\r\n".join(lines) + "\r\n").encode(encoding))
    result = scan(path)
    assert [case.patient for case in result.cases] == ["p0", "p1", "p2", "p3"]
    assert all(case.has_label for case in result.cases)
    assert result.cases[0].read().image.shape == (5, 2, 26, 24)


def test_capitals_in_json(volumes: Path) -> None:
    entries = [
        {"Image": f"scans/site0/{n}/c0.nii.gz", "Label": f"drawn/L{2 * n}.nrrd"} for n in range(2)
    ]
    (volumes / "semiseg.json").write_text(json.dumps(entries))
    assert [case.has_label for case in scan(volumes).cases] == [True, True]


def test_names_that_other_systems_take_as_the_same(tmp_path: Path) -> None:
    label = replicas.blocks(0)
    for name in ("Anna Mu\u0308ller.nii.gz", "b.nii.gz", "B.nii.gz", "c.nii.gz"):
        replicas.save(tmp_path / "Scans" / name, replicas.scan_of(label, 0))
    names = ["Scans/Anna M\u00fcller.nii.gz", "scans/b.nii.gz", "SCANS/B.nii.gz", "Scans/C.NII.GZ"]
    result = scan(write(tmp_path / "list.csv", "image", *names))
    found = [case.files[0].relative_to(tmp_path).as_posix() for case in result.cases]
    assert found == [
        "Scans/Anna Mu\u0308ller.nii.gz",
        "Scans/b.nii.gz",
        "Scans/B.nii.gz",
        "Scans/c.nii.gz",
    ]
    two = scan(write(tmp_path / "list.csv", "image", "Scans/c.nii.gz", "Scans/B.NII.GZ"))
    with pytest.raises(UserError, match=r"Scans/B\.NII\.GZ, which is missing"):
        two.cases[1].read()
