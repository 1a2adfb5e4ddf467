"""Folders of pictures of all forms: scans and errors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.datasets import detect
from semiseg.datasets.base import Options, Scan
from semiseg.datasets.naming import read_naming
from semiseg.datasets.pairing import pair_files
from semiseg.errors import UserError
from semiseg.formats import is_picture
from semiseg.workflows.prepare import prepare

LIVER = np.zeros((8, 12), np.uint8)
LIVER[2:6, 2:8] = 255
TUMOUR = np.zeros((8, 12), np.uint8)
TUMOUR[3:7, 4:6] = 255  # partly within the liver


def save(path: Path, values: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def picture(path: Path, seed: int = 0, dtype: str = "uint8") -> None:
    save(path, np.random.default_rng(seed).integers(0, 256, (8, 12)).astype(dtype))


def stack(path: Path, pages: int = 3, dtype: str = "uint16") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(pages).integers(0, 200, (pages, 8, 12)).astype(dtype)
    tifffile.imwrite(path, values, photometric="minisblack")


def scan(folder: Path, *classes: str, ignore_value: str | None = None) -> Scan:
    names, naming = read_naming(list(classes) or None, ignore_value)
    layout, _ = detect(folder)
    assert layout.name == "pictures"
    return layout.scan(folder, Options(classes=names, naming=naming))


def labels(result: Scan) -> dict[str, NDArray[np.uint8] | None]:
    read = {case.identifier: case.read() for case in result.cases}
    result.afterwards(remarks(result))
    return {name: None if v.label is None else v.label[0] for name, v in read.items()}


def remarks(result: Scan) -> dict[str, list[str]]:
    """Remarks, collected as in ``prepare``."""
    found: dict[str, list[str]] = {}
    for case in result.cases:
        for word, file in case.read().remarks.items():
            found.setdefault(word, []).append(file)
    return found


def notes(result: Scan) -> Sequence[str]:
    return result.afterwards(remarks(result))


def by_folder(root: Path) -> None:
    picture(root / "images" / "a.png")
    picture(root / "images" / "b.png", 1)
    picture(root / "images" / "c.png", 2)
    save(root / "masks" / "liver" / "a.png", LIVER)
    save(root / "masks" / "tumour" / "a.png", TUMOUR)
    save(root / "masks" / "liver" / "b.png", LIVER)


def by_ending(root: Path) -> None:
    picture(root / "a.png")
    picture(root / "b.png", 1)
    picture(root / "c.png", 2)
    save(root / "a_liver.png", LIVER)
    save(root / "a_tumour.png", TUMOUR)
    save(root / "b_liver.png", LIVER)


def by_ending_in_folders(root: Path) -> None:
    by_ending(root / "masks")
    for name in "abc":
        (root / "images").mkdir(exist_ok=True)
        (root / "masks" / f"{name}.png").rename(root / "images" / f"{name}.png")


def by_ending_and_mask(root: Path) -> None:
    by_ending(root)
    for path in root.glob("*_*.png"):
        path.rename(path.with_name(f"{path.stem}_mask.png"))


def by_mask_and_ending(root: Path) -> None:
    by_ending(root)
    for path in root.glob("*_*.png"):
        path.rename(path.with_name(path.name.replace("_", "_mask_")))


FORMS = [by_folder, by_ending, by_ending_in_folders, by_ending_and_mask, by_mask_and_ending]


@pytest.mark.parametrize("form", FORMS)
def test_one_mask_a_class(tmp_path: Path, form: object) -> None:
    assert callable(form)
    form(tmp_path)
    result = scan(tmp_path)
    assert result.classes == ("background", "liver", "tumour")
    found = labels(result)
    assert list(found) == ["a", "b", "c"]
    expected = np.where(TUMOUR, 2, np.where(LIVER, 1, 0))  # the later class covers the earlier one
    np.testing.assert_array_equal(found["a"], expected)
    np.testing.assert_array_equal(found["b"], LIVER > 0)
    assert found["c"] is None
    (note,) = (note for note in notes(result) if "overlap" in note)
    assert "in 1 picture masks of several classes overlap (such as " in note
    assert "liver < tumour" in note


def test_the_order_of_classes_is_that_of_their_names(tmp_path: Path) -> None:
    by_folder(tmp_path)
    result = scan(tmp_path, "tumour", "liver")
    np.testing.assert_array_equal(labels(result)["a"], np.where(LIVER, 2, np.where(TUMOUR, 1, 0)))
    only = scan(tmp_path, "tumour")
    np.testing.assert_array_equal(labels(only)["a"], TUMOUR > 0)
    assert "masks without a class count as background: liver." in notes(only)
    with pytest.raises(UserError, match=r"names 'spleen', but the masks of .* are of liver"):
        scan(tmp_path, "liver", "spleen")
    with pytest.raises(UserError, match="give --classes only names"):
        scan(tmp_path, "1=liver")


def test_a_mask_of_one_class_is_black_and_white(tmp_path: Path) -> None:
    by_folder(tmp_path)
    save(tmp_path / "masks" / "tumour" / "a.png", (TUMOUR > 0) + (LIVER > 0) * np.uint8(1))
    with pytest.raises(UserError, match=r"tumour/a\.png holds several class codes"):
        labels(scan(tmp_path))
    partly = np.where(LIVER > 0, np.uint8(1), np.uint8(0))
    partly[0] = IGNORE_INDEX
    save(tmp_path / "masks" / "liver" / "a.png", partly)
    save(tmp_path / "masks" / "tumour" / "a.png", TUMOUR)
    found = labels(scan(tmp_path))["a"]
    assert found is not None
    assert (found[0] == IGNORE_INDEX).all()
    np.testing.assert_array_equal(found[1:], np.where(TUMOUR, 2, np.where(LIVER, 1, 0))[1:])


def test_what_pairs_by_the_usual_rules_stays_as_it_is(tmp_path: Path) -> None:
    """``a_2.png`` is another picture, ``a_mask.png`` a mask, folders of patients are folders."""
    for name in ("a", "a_2", "a_flipped"):
        picture(tmp_path / "one" / f"{name}.png")
        save(tmp_path / "one" / f"{name}_mask.png", LIVER)
    for patient in ("p1", "p2"):
        picture(tmp_path / "two" / "images" / patient / "x.png")
        save(tmp_path / "two" / "masks" / patient / "x.png", LIVER)
    for folder in (tmp_path / "one", tmp_path / "two"):
        found = pair_files(folder, is_picture)
        assert all(pair.label and not pair.classes for pair in found.pairs)


def test_names_that_are_no_classes(tmp_path: Path) -> None:
    for name in ("a", "a_2", "b", "b_2"):
        picture(tmp_path / f"{name}.png")
    found = pair_files(tmp_path, is_picture)
    assert len(found.pairs) == 4
    assert not any(pair.masks for pair in found.pairs)
    for number in range(5):
        picture(tmp_path / f"n{number}.png")
        picture(tmp_path / f"n{number}_look{number}.png")
    assert not any(pair.masks for pair in pair_files(tmp_path, is_picture).pairs)


def coloured(codes: NDArray[np.generic], **colours: tuple[int, int, int]) -> NDArray[np.uint8]:
    out = np.zeros((*codes.shape, 3), np.uint8)
    for code, colour in enumerate(colours.values(), start=1):
        out[codes == code] = colour
    return out


def coloured_set(root: Path) -> NDArray[np.uint8]:
    codes = np.where(TUMOUR, 2, np.where(LIVER, 1, 0)).astype(np.uint8)
    for name, part in (("a", codes), ("b", codes * (codes == 2)), ("c", codes * 0)):
        picture(root / "images" / f"{name}.png")
        save(root / "masks" / f"{name}.png", coloured(part, red=(255, 0, 0), blue=(0, 0, 255)))
    return codes


def test_colours_are_numbered_in_their_own_order(tmp_path: Path) -> None:
    codes = coloured_set(tmp_path)
    result = scan(tmp_path)
    assert result.classes == ("background", "#0000ff", "#ff0000")
    found = labels(result)
    np.testing.assert_array_equal(found["a"], np.select([codes == 2, codes == 1], [1, 2]))
    np.testing.assert_array_equal(found["b"], codes == 2)
    assert found["c"] is not None
    assert not found["c"].any()


def test_colours_are_named(tmp_path: Path) -> None:
    codes = coloured_set(tmp_path)
    result = scan(tmp_path, "#ff0000=polyp", "#0000ff=tool")
    assert result.classes == ("background", "polyp", "tool")
    np.testing.assert_array_equal(labels(result)["a"], codes)
    one = scan(tmp_path, "#ff0000=polyp")
    np.testing.assert_array_equal(labels(one)["a"], codes == 1)
    assert "colours without a class count as background: #0000ff." in notes(one)
    ignored = labels(scan(tmp_path, "#ff0000=polyp", ignore_value="#0000ff"))["a"]
    np.testing.assert_array_equal(ignored, np.where(codes == 2, IGNORE_INDEX, codes))
    ignored = labels(scan(tmp_path, ignore_value="#0000ff"))["a"]
    np.testing.assert_array_equal(ignored, np.where(codes == 2, IGNORE_INDEX, codes))
    with pytest.raises(UserError, match="with the colours #0000ff, #ff0000: name each colour"):
        scan(tmp_path, "polyp", "tool")


def test_colours_of_the_source_are_kept(tmp_path: Path) -> None:
    coloured_set(tmp_path / "rgb")
    for words, expected in (
        ((), {"#0000ff": "#0000ff", "#ff0000": "#ff0000"}),
        (("#ff0000=polyp", "#0000ff=tool"), {"polyp": "#ff0000", "tool": "#0000ff"}),
        (("#ff0000=polyp", "#0000ff=polyp"), {"polyp": "#ff0000"}),
    ):
        out = tmp_path / f"data{len(words)}{expected.keys()}"
        task = prepare(tmp_path / "rgb", out, classes=words or None, console=Quiet()).task
        assert task.colours == expected
        assert PreparedData(out).task == task
    for name in "abc":
        picture(tmp_path / "palette" / "images" / f"{name}.png")
        mask = Image.fromarray(np.where(LIVER, 3, 0).astype(np.uint8))
        mask.putpalette([0, 0, 0, 9, 9, 9, 0, 128, 0, 128, 64, 0])
        (tmp_path / "palette" / "masks").mkdir(exist_ok=True)
        mask.save(tmp_path / "palette" / "masks" / f"{name}.png")
    task = prepare(tmp_path / "palette", tmp_path / "p", classes=["3=liver"], console=Quiet()).task
    assert task.colours == {"liver": "#804000"}


def test_one_colour_needs_one_name(tmp_path: Path) -> None:
    codes = coloured_set(tmp_path)
    for name in "ab":
        save(tmp_path / "masks" / f"{name}.png", coloured(codes * (codes == 1), red=(255, 0, 0)))
    result = scan(tmp_path, "polyp")
    assert result.classes == ("background", "polyp")
    np.testing.assert_array_equal(labels(result)["a"], codes == 1)


def test_a_coloured_jpeg_mask_is_refused(tmp_path: Path) -> None:
    codes = coloured_set(tmp_path)
    (tmp_path / "masks" / "a.png").unlink()
    save(tmp_path / "masks" / "a.jpg", coloured(codes, red=(255, 0, 0), blue=(0, 0, 255)))
    for words in ((), ("#ff0000=polyp",)):
        with pytest.raises(UserError, match=r"a\.jpg is a coloured JPEG"):
            labels(scan(tmp_path, *words))


def test_stacks_are_volumes(tmp_path: Path) -> None:
    for name, pages in (("a", 3), ("b", 2)):
        stack(tmp_path / "images" / f"{name}.tif", pages)
    codes = np.stack([LIVER, TUMOUR, LIVER * 0]) // np.uint8(255)
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "masks" / "a.tif", codes, photometric="minisblack")
    result = scan(tmp_path)
    assert (result.kind, result.intensity.kind) == ("volumes", "percentile")
    volume = result.cases[0].read()
    assert volume.image.shape == (3, 1, 8, 12)
    np.testing.assert_array_equal(volume.label, codes)
    assert result.cases[1].read().label is None


def test_8_bits_have_a_window_and_more_have_percentiles(tmp_path: Path) -> None:
    picture(tmp_path / "8" / "a.png")
    save(tmp_path / "8" / "a_mask.png", LIVER)
    picture(tmp_path / "16" / "a.png", dtype="uint16")
    save(tmp_path / "16" / "a_mask.png", LIVER)
    stack(tmp_path / "stack" / "a.tif", dtype="uint8")
    assert scan(tmp_path / "8").intensity.kind == scan(tmp_path / "stack").intensity.kind
    assert scan(tmp_path / "8").intensity.kind == "window"
    assert scan(tmp_path / "16").intensity.kind == "percentile"
    assert scan(tmp_path / "16").kind == "pictures"


def test_mixed_depths_and_pages_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "one" / "a.png")
    picture(tmp_path / "one" / "b.png", dtype="uint16")
    with pytest.raises(UserError, match=r"b\.png has more than 8 bits .*a\.png has 8"):
        scan(tmp_path / "one")
    stack(tmp_path / "two" / "a.tif", 3)
    picture(tmp_path / "two" / "b.png", dtype="uint16")
    with pytest.raises(UserError, match=r"a\.tif is a stack of 3 pages but .*b\.png is a single"):
        scan(tmp_path / "two")


def test_partly_labelled_sets_say_so_where_a_mask_is_ambiguous(tmp_path: Path) -> None:
    codes = np.where(TUMOUR, 2, np.where(LIVER, 1, 0)).astype(np.uint8)
    codes[0] = IGNORE_INDEX
    empty = np.zeros_like(codes)
    empty[0] = IGNORE_INDEX  # 0 and 255 alone: black and white, or a picture without structures?
    for name, values in (("a", codes), ("b", empty)):
        picture(tmp_path / "images" / f"{name}.png")
        save(tmp_path / "masks" / f"{name}.png", values)
    with pytest.raises(UserError, match=r"b\.png is black and white .* use --ignore-value 255"):
        labels(scan(tmp_path))
    with pytest.raises(UserError, match="if 255 marks ignored pixels: --ignore-value 255"):
        labels(scan(tmp_path, "liver", "tumour"))
    found = labels(scan(tmp_path, ignore_value="255"))
    np.testing.assert_array_equal(found["a"], codes)
    np.testing.assert_array_equal(found["b"], empty)


def test_a_turned_picture_and_its_mask(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    values = np.kron(LIVER // np.uint8(2) + np.uint8(9), np.ones((4, 4), np.uint8))
    (tmp_path / "images").mkdir()
    Image.fromarray(values).save(tmp_path / "images" / "a.jpg", exif=exif, quality=95)
    save(tmp_path / "masks" / "a.png", np.rot90(np.kron(LIVER, np.ones((4, 4), np.uint8)), -1))
    volume = scan(tmp_path).cases[0].read()
    assert volume.label is not None
    assert volume.image.shape[2:] == volume.label.shape[1:] == (48, 32)
    np.testing.assert_array_equal(volume.image[0, 0] > 70, volume.label[0] == 1)
    save(tmp_path / "masks" / "a.png", np.kron(LIVER, np.ones((4, 4), np.uint8)))
    with pytest.raises(UserError, match="32 x 48 pixels but its picture has 48 x 32"):
        labels(scan(tmp_path))


def test_boolean_masks_and_gif(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / "images" / f"{name}.png", ord(name))
    (tmp_path / "masks").mkdir()
    Image.fromarray(LIVER > 0).save(tmp_path / "masks" / "a.png")
    Image.fromarray(LIVER > 0).save(tmp_path / "masks" / "b.gif")
    Image.fromarray(LIVER).convert("P").save(tmp_path / "masks" / "c.gif")
    for label in labels(scan(tmp_path)).values():
        np.testing.assert_array_equal(label, LIVER > 0)


def test_palettes_that_differ_are_read_as_colours(tmp_path: Path) -> None:
    codes = np.where(TUMOUR, 2, np.where(LIVER, 1, 0)).astype(np.uint8)
    red_and_blue = [0, 0, 0, 255, 0, 0, 0, 0, 255]
    (tmp_path / "masks").mkdir()
    for name, order in (("a", (0, 1, 2)), ("b", (0, 2, 1))):
        picture(tmp_path / "images" / f"{name}.png", ord(name))
        mask = Image.fromarray(np.array(order, np.uint8)[codes])
        mask.putpalette([red_and_blue[3 * order.index(n) + c] for n in range(3) for c in range(3)])
        mask.save(tmp_path / "masks" / f"{name}.png")
    result = scan(tmp_path)
    assert result.classes == ("background", "#0000ff", "#ff0000")
    for label in labels(result).values():
        np.testing.assert_array_equal(label, np.array([0, 2, 1])[codes])
    with pytest.raises(UserError, match="have different palettes"):
        scan(tmp_path, "1=liver", "2=tumour")
