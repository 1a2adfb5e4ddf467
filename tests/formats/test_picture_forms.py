"""Pictures of all forms: depth, pages, compression, orientation, colours, and invalid sizes."""

import logging
import struct
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError
from semiseg.formats.header import read_header
from semiseg.formats.mask_values import MaskValues
from semiseg.formats.masks import colours_of, read_picture_mask
from semiseg.formats.pictures import picture_shape, read_picture
from semiseg.formats.tiff import tiff_header, write_tiff_stack


def noise(*shape: int, dtype: str = "uint16", seed: int = 0) -> NDArray[np.generic]:
    top = 256 if dtype == "uint8" else 60_000
    return np.random.default_rng(seed).integers(0, top, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", "uint32"])
@pytest.mark.parametrize("packed", [None, "zlib"])
def test_deep_tiffs_keep_their_values(tmp_path: Path, dtype: str, packed: str | None) -> None:
    values = noise(6, 8, dtype="uint16").astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, compression=packed)
    header = read_header(tmp_path / "a.tif")
    assert (header.height, header.width, header.channels) == (6, 8, 1)
    assert (header.deep, header.pages) == (True, 1)
    image = read_picture(tmp_path / "a.tif").image
    assert image.shape == (1, 1, 6, 8)
    np.testing.assert_array_equal(image[0, 0], values)


def test_deep_pngs_keep_their_values(tmp_path: Path) -> None:
    values = noise(6, 8)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_header(tmp_path / "a.png").deep
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").image[0, 0], values)
    small = np.minimum(values, 30_000)
    Image.fromarray(small).save(tmp_path / "b.png")
    assert read_picture(tmp_path / "b.png").image.dtype == np.int16


@pytest.mark.parametrize("planar", [False, True])
def test_deep_colours(tmp_path: Path, planar: bool) -> None:
    values = noise(6, 8, 3)
    stored = np.moveaxis(values, 2, 0) if planar else values
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="rgb",
        planarconfig="separate" if planar else "contig",
    )  # fmt: skip
    np.testing.assert_array_equal(
        read_picture(tmp_path / "a.tif").image[0], np.moveaxis(values, 2, 0)
    )
    grey = read_picture(tmp_path / "a.tif", 1).image[0, 0]
    assert np.abs(grey - values @ [0.299, 0.587, 0.114]).max() <= 1
    assert read_picture(tmp_path / "a.tif", 3).image.shape == (1, 3, 6, 8)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("written", ["plain", "imagej", "lzw", "zlib"])
def test_stacks(tmp_path: Path, dtype: str, written: str) -> None:
    values = noise(4, 6, 8, dtype="uint8").astype(dtype)
    path = tmp_path / "a.tif"
    if written == "lzw":  # Pillow supports it, tifffile alone does not
        pages = [Image.fromarray(page) for page in values]
        pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_lzw")
    else:
        tifffile.imwrite(
            path, values, imagej=written == "imagej", photometric="minisblack",
            compression="zlib" if written == "zlib" else None, metadata={"axes": "ZYX"},
        )  # fmt: skip
    header = read_header(path)
    assert (header.pages, header.height, header.width) == (4, 6, 8)
    volume = read_picture(path, max_side=4)  # a stack is a volume: it is not reduced
    assert volume.image.shape == (4, 1, 6, 8)
    assert volume.spacing is None
    np.testing.assert_array_equal(volume.image[:, 0], values)
    assert (volume.image.dtype == np.uint8) == (dtype == "uint8")


def test_coloured_stacks(tmp_path: Path) -> None:
    values = noise(3, 6, 8, 3, dtype="uint8")
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").image, np.moveaxis(values, 3, 1))


def test_white_is_zero(tmp_path: Path) -> None:
    values = noise(3, 6, 8, dtype="uint8")
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").image[:, 0], 255 - values)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_tiffs_are_turned_as_pillow_turns_others(tmp_path: Path, orientation: int) -> None:
    values = noise(6, 9, dtype="uint8")
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(tmp_path / "a.png", exif=exif)
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(tmp_path / "a.tif", values.astype(np.uint16), extratags=[tag])
    expected = read_picture(tmp_path / "a.png").image
    assert picture_shape(tmp_path / "a.tif") == picture_shape(tmp_path / "a.png")
    assert picture_shape(tmp_path / "a.tif") == expected.shape[2:]
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").image, expected)


@pytest.mark.parametrize(
    ("described", "resolution", "spacing"),
    [
        ({"unit": "um", "spacing": 3.0}, (2.0, 4.0), (0.003, 0.00025, 0.0005)),
        ({"unit": "mm", "spacing": 5.0}, (0.5, 0.5), (5.0, 2.0, 2.0)),
        ({"unit": "mm"}, (0.5, 0.5), None),  # no distance of slices
        ({"unit": "pixel", "spacing": 5.0}, (0.5, 0.5), None),
        ({"spacing": 5.0}, (72.0, 72.0), None),
    ],
)
def test_spacing_is_taken_where_it_is_beyond_doubt(
    tmp_path: Path, described: dict[str, object], resolution: tuple[float, float],
    spacing: tuple[float, float, float] | None,
) -> None:  # fmt: skip
    tifffile.imwrite(
        tmp_path / "a.tif", noise(4, 6, 8), imagej=True, resolution=resolution,
        metadata={"axes": "ZYX", **described},
    )  # fmt: skip
    found = read_picture(tmp_path / "a.tif").spacing
    assert found == (None if spacing is None else pytest.approx(spacing))


def test_a_printers_resolution_is_no_spacing(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", noise(4, 6, 8), photometric="minisblack", resolution=(300, 300),
        resolutionunit="INCH",
    )  # fmt: skip
    assert read_picture(tmp_path / "a.tif").spacing is None


def test_deep_pictures_are_reduced_antialiased(tmp_path: Path) -> None:
    stripes = np.zeros((64, 128), np.uint16)
    stripes[:, ::2] = 20_000
    for name in ("a.png", "a.tif"):
        if name == "a.png":
            Image.fromarray(stripes).save(tmp_path / name)
        else:
            tifffile.imwrite(tmp_path / name, stripes)
        small = read_picture(tmp_path / name, max_side=32).image
        assert small.shape == (1, 1, 16, 32)
        assert 9_000 < small[0, 0, 4:-4, 4:-4].min() <= small[0, 0, 4:-4, 4:-4].max() < 11_000


@pytest.mark.parametrize("mode", ["RGBA", "LA", "CMYK", "P", "1"])
def test_other_modes_of_8_bits(tmp_path: Path, mode: str) -> None:
    shape = {"RGBA": (6, 8, 4), "LA": (6, 8, 2), "CMYK": (6, 8, 4)}.get(mode, (6, 8))
    values = noise(*shape, dtype="uint8")
    if mode == "1":
        picture = Image.fromarray(values > 128)
    elif mode == "P":
        picture = Image.fromarray(noise(6, 8, 3, dtype="uint8")).quantize(16)
    else:
        picture = Image.fromarray(values, mode=mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    picture.save(path)
    grey = mode in ("LA", "1")
    image = read_picture(path).image
    assert image.shape == (1, 1 if grey else 3, 6, 8)
    assert image.dtype == np.uint8
    expected = np.asarray(picture.convert("L" if grey else "RGB")).reshape(6, 8, -1)
    if mode in ("RGBA", "LA"):  # transparency is dropped, not blended
        expected = values[..., :-1]
    np.testing.assert_array_equal(image[0], np.moveaxis(expected, 2, 0))


def test_animations_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(6, 8, dtype="uint8", seed=n)) for n in range(3)]
    for name, kind in (("a.png", "PNG"), ("b.png", "GIF"), ("c.jpg", "GIF")):
        frames[0].save(tmp_path / name, format=kind, save_all=True, append_images=frames[1:])
        for read in (read_header, read_picture, read_picture_mask):
            with pytest.raises(UserError, match=rf"{name} is animated \(3 frames in a {kind}\)"):
                read(tmp_path / name)


def test_tiffs_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(noise(6, 8))
        file.write(noise(5, 7))
    with pytest.raises(UserError, match=r"a\.tif has pages of different sizes"):
        read_header(path)
    tifffile.imwrite(path, noise(4, 6, 8), imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(UserError, match="has the axes CYX"):
        read_header(path)
    tifffile.imwrite(path, noise(2, 4, 6, 8), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(UserError, match="other channels or time points as separate files"):
        read_header(path)
    tifffile.imwrite(path, noise(6, 8).astype(np.complex64))
    with pytest.raises(UserError, match="has complex64 values"):
        read_header(path)
    path.write_text("no picture")
    for read in (read_header, read_picture, read_picture_mask):
        with pytest.raises(UserError, match=r"a\.tif cannot be read as a picture"):
            read(path)


@pytest.mark.parametrize("pages", [1, 4])
@pytest.mark.parametrize("packed", [None, "zlib"])
def test_truncated_tiffs_are_refused(tmp_path: Path, pages: int, packed: str | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(pages, 40, 50), photometric="minisblack", compression=packed)
    content = path.read_bytes()
    for keep in (3, 30, 300, len(content) // 2, len(content) - 40):
        path.write_bytes(content[:keep])
        with pytest.raises(UserError, match=r"a\.tif "):
            read_picture(path)


def test_another_format_under_the_name_of_a_tiff_is_read(tmp_path: Path) -> None:
    values = noise(6, 8, dtype="uint8")
    Image.fromarray(values).save(tmp_path / "a.tif", format="PNG")
    assert tiff_header(tmp_path / "a.tif") is None
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").image[0, 0], values)


def png_header(width: int, height: int) -> bytes:
    """A PNG of the given size with almost no pixel data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff_claiming(path: Path, height: int, width: int, pages: int) -> None:
    """A small TIFF whose tags are changed to larger pages."""
    tifffile.imwrite(
        path, np.ones((pages, 16, 16), np.uint16), photometric="minisblack", metadata=None,
        compression="zlib", rowsperstrip=16,
    )  # fmt: skip
    with tifffile.TiffFile(path, mode="r+b") as file:
        for page in file.pages:
            page.tags["ImageLength"].overwrite(height)
            page.tags["ImageWidth"].overwrite(width)
            page.tags["RowsPerStrip"].overwrite(height)


@pytest.mark.parametrize("form", ["png", "large png", "tif", "stack"])
def test_absurd_sizes_are_refused_before_memory_is_taken(tmp_path: Path, form: str) -> None:
    path = tmp_path / ("a.png" if "png" in form else "a.tif")
    if form == "png":  # Pillow only warns about 100 million pixels
        path.write_bytes(png_header(10_000, 10_000))
    elif form == "large png":
        path.write_bytes(png_header(200_000, 200_000))
    elif form == "tif":
        tiff_claiming(path, 60_000, 60_000, 1)
    else:
        tiff_claiming(path, 40_000, 40_000, 2)
    read_picture(_warm(tmp_path))  # import the libraries before measuring
    tracemalloc.start()
    for read in (read_header, read_picture, read_picture_mask, picture_shape):
        with pytest.raises(UserError, match=r"a\.\w+ .* too large to be"):
            read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def _warm(folder: Path) -> Path:
    tifffile.imwrite(folder / "warm.tif", noise(6, 8))
    Image.fromarray(noise(6, 8, dtype="uint8")).save(folder / "warm.png")
    read_header(folder / "warm.png")
    return folder / "warm.tif"


def test_a_picture_of_one_value_packs_well_and_is_read(tmp_path: Path) -> None:
    values = np.zeros((1200, 1000, 3), np.uint8)
    values[0, 0] = 9
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").image.shape == (1, 3, 1200, 1000)
    stack = np.zeros((8, 500, 500), np.uint16)
    stack[0, 0, 0] = 300
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", compression="zlib")
    assert read_picture(tmp_path / "a.tif").image.shape == (8, 1, 500, 500)


CODES = np.kron(np.array([[0, 1, 2], [2, IGNORE_INDEX, 0]], np.uint8), np.ones((4, 4), np.uint8))


def saved(path: Path, codes: NDArray[np.generic]) -> Path:
    Image.fromarray(codes).save(path)
    return path


def test_255_beside_codes_is_ignored_and_beside_black_it_is_white(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    mask = read_picture_mask(saved(path, CODES))
    assert mask.encoding == "codes"
    np.testing.assert_array_equal(mask.codes, CODES)
    two = np.where(CODES == 2, 0, CODES)  # one class, partly labelled
    np.testing.assert_array_equal(read_picture_mask(saved(path, two)).codes, two)
    white = np.where(CODES == IGNORE_INDEX, CODES, 0)
    mask = read_picture_mask(saved(path, white))
    assert mask.encoding == "binary"
    np.testing.assert_array_equal(mask.codes, white > 0)
    certain = read_picture_mask(path, values=MaskValues(certain=True))
    assert certain.encoding == "codes"
    np.testing.assert_array_equal(certain.codes, white)
    whole = saved(path, np.full((8, 8), IGNORE_INDEX, np.uint8))
    assert read_picture_mask(whole).codes.max() == 1
    assert read_picture_mask(whole, values=MaskValues(certain=True)).codes.min() == IGNORE_INDEX


def test_another_value_of_what_is_ignored(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.png", np.where(CODES == IGNORE_INDEX, 9, CODES))
    mask = read_picture_mask(path, values=MaskValues(ignore_value=9, certain=True))
    np.testing.assert_array_equal(mask.codes == 9, CODES == IGNORE_INDEX)
    # black, white and a grey for ignored pixels
    greys = np.select(
        [CODES == 1, CODES == IGNORE_INDEX], [np.uint8(255), np.uint8(128)], np.uint8(0)
    )
    mask = read_picture_mask(saved(path, greys), values=MaskValues(ignore_value=128, certain=True))
    assert mask.encoding == "binary"
    np.testing.assert_array_equal(mask.codes, np.select([CODES == 1, greys == 128], [1, 128]))


def test_grey_levels_that_are_named_are_codes(tmp_path: Path) -> None:
    greys = np.select([CODES == 1, CODES == 2], [np.uint8(128), np.uint8(255)], np.uint8(0))
    path = saved(tmp_path / "m.png", greys)
    with pytest.raises(UserError, match="name the levels, for example --classes 128=liver"):
        read_picture_mask(path)
    mask = read_picture_mask(path, values=MaskValues((128, 255), None))
    np.testing.assert_array_equal(mask.codes, greys)
    partly = saved(tmp_path / "p.png", np.where(CODES == IGNORE_INDEX, CODES, 0))
    assert read_picture_mask(partly, values=MaskValues((3,))).codes.max() == IGNORE_INDEX
    with pytest.raises(UserError, match="contains 255 in addition to class codes"):
        read_picture_mask(saved(path, CODES), values=MaskValues(ignore_value=None))


COLOURS = {0: 0, 0xFF0000: 1, 0x00FF00: 2, 0xE0E0C0: IGNORE_INDEX}


def coloured(codes: NDArray[np.generic]) -> NDArray[np.uint8]:
    wheel = {code: colour for colour, code in COLOURS.items()}
    out = np.zeros((*codes.shape, 3), np.uint8)
    for code, colour in wheel.items():
        out[codes == code] = (colour >> 16, colour >> 8 & 255, colour & 255)
    return out


@pytest.mark.parametrize("form", ["RGB", "RGBA", "palette", "tif"])
def test_colours_are_classes(tmp_path: Path, form: str) -> None:
    picture = Image.fromarray(coloured(CODES))
    path = tmp_path / ("m.tif" if form == "tif" else "m.png")
    if form == "RGBA":
        picture.putalpha(255)
    (picture.quantize(16) if form == "palette" else picture).save(path)
    mask = read_picture_mask(path, values=MaskValues(colours=COLOURS))
    assert (mask.encoding, mask.unnamed) == ("colours", ())
    np.testing.assert_array_equal(mask.codes, CODES)
    few = {colour: code for colour, code in COLOURS.items() if code != 2}
    mask = read_picture_mask(path, values=MaskValues(colours=few))
    assert mask.unnamed == ("#00ff00",)
    np.testing.assert_array_equal(mask.codes, np.where(CODES == 2, 0, CODES))


def test_colours_of_a_set(tmp_path: Path) -> None:
    one = saved(tmp_path / "a.png", coloured(np.where(CODES == 2, 0, CODES)))
    other = saved(tmp_path / "b.png", coloured(CODES))
    empty = saved(tmp_path / "c.png", np.zeros((8, 12), np.uint8))
    found = (0, 0x00FF00, 0xE0E0C0, 0xFF0000)
    assert colours_of([one, other, empty]) == colours_of([other, empty, one]) == found
    white = np.repeat((CODES == 1).astype(np.uint8)[..., None] * np.uint8(255), 3, 2)
    assert colours_of([saved(tmp_path / "d.png", white), empty]) is None
    palette = tmp_path / "e.png"
    Image.fromarray(coloured(CODES)).quantize(16).save(palette)
    assert colours_of([palette]) is None  # palette indices are codes
    smooth = Image.fromarray(coloured(CODES)).resize((90, 60), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "f.png")
    with pytest.raises(UserError, match=r"f\.png is a coloured mask with more colours than"):
        colours_of([one, tmp_path / "f.png"])


def test_coloured_jpegs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.jpg"
    Image.fromarray(coloured(CODES)).save(path)
    for values in (MaskValues(), MaskValues(colours=COLOURS)):
        with pytest.raises(UserError, match=r"m\.jpg is a coloured JPEG"):
            read_picture_mask(path, values=values)


def test_masks_of_stacks(tmp_path: Path) -> None:
    codes = np.stack([CODES, CODES[::-1], CODES * 0])
    path = tmp_path / "m.tif"
    write_tiff_stack(path, codes)
    np.testing.assert_array_equal(read_picture_mask(path, (3, 8, 12)).codes, codes)
    with pytest.raises(UserError, match="has 3 pages but its image has 2"):
        read_picture_mask(path, (2, 8, 12))
    with pytest.raises(UserError, match="8 x 12 pixels but its picture has 12 x 8"):
        read_picture_mask(path, (3, 12, 8))


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_masks_fit_the_turned_picture(tmp_path: Path, orientation: int) -> None:
    """Also masks with the picture's EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = np.kron(np.arange(6).reshape(2, 3) * 40, np.ones((8, 8), int)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "a.jpg", exif=exif, quality=95)
    shape = picture_shape(tmp_path / "a.jpg")
    shown = read_picture(tmp_path / "a.jpg").image[0, 0]
    turned = (shown > 100).astype(np.uint8)
    assert turned.shape == shape
    mask = read_picture_mask(saved(tmp_path / "seen.png", turned * np.uint8(255)), shape)
    np.testing.assert_array_equal(mask.codes, turned)
    stored = Image.fromarray((values > 100) * np.uint8(255))
    stored.save(tmp_path / "stored.png", exif=exif)
    np.testing.assert_array_equal(read_picture_mask(tmp_path / "stored.png", shape).codes, turned)


def test_several_tiffs_are_read_at_a_time(tmp_path: Path) -> None:
    """Each thread gets the messages about its own file, and nothing is printed."""
    whole, broken = [], []
    for number in range(6):
        path = tmp_path / f"n{number}.tif"
        with tifffile.TiffWriter(path) as file:
            for page in range(5):
                file.write(noise(20, 30, seed=5 * number + page), metadata=None)
        whole.append(path)
        if number % 2:
            content = path.read_bytes()
            path.write_bytes(content[: int(len(content) * 0.7)])
            broken.append(whole.pop())

    def read(path: Path) -> str:
        try:
            return str(read_picture(path).image.shape)
        except UserError as error:
            return str(error)

    before = list(logging.getLogger("tifffile").handlers), logging.getLogger("tifffile").propagate
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(read, (whole + broken) * 10))
    for path, answer in zip((whole + broken) * 10, answers, strict=True):
        assert ("cannot be read" in answer) == (path in broken)
    after = list(logging.getLogger("tifffile").handlers), logging.getLogger("tifffile").propagate
    assert before == after


def test_the_header_of_a_png_needs_no_pixel_but_sees_its_turn(tmp_path: Path) -> None:
    path, exif = tmp_path / "a.png", Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(60, 80, dtype="uint8")).save(path, exif=exif)
    content = path.read_bytes()
    path.write_bytes(content[:-200])
    header = read_header(path)
    assert (header.height, header.width, header.turned) == (80, 60, True)
    with pytest.raises(UserError, match="cannot be read"):
        read_picture(path)
    start = content.index(b"eXIf") - 4
    end = start + 12 + struct.unpack(">I", content[start : start + 4])[0]
    last = content.index(b"IEND") - 4
    assert end < last
    path.write_bytes(content[:start] + content[end:last] + content[start:end] + content[last:])
    assert read_header(path) == header
    assert read_picture(path).image.shape == (1, 1, 80, 60)


@pytest.mark.parametrize(
    ("unit", "factor"), [("mm", 1.0), ("µm", 1e-3), (None, 1e-3), ("pixel", 0)]
)
def test_the_sizes_of_ome_tiff(tmp_path: Path, unit: str | None, factor: float) -> None:
    sizes: dict[str, object] = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 3.0}
    if unit is not None:
        sizes |= {f"PhysicalSize{axis}Unit": unit for axis in "XYZ"}
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, noise(4, 6, 8), ome=True, metadata={"axes": "ZYX", **sizes})
    expected = tuple(factor * step for step in (3.0, 0.5, 0.25)) if factor else None
    spacing = read_picture(path).spacing
    assert spacing == (expected if expected is None else pytest.approx(expected))
