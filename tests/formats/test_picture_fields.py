"""Fields of PNG and TIFF that change the meaning of values: honoured, or refused in a sentence."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from semiseg.errors import UserError
from semiseg.formats import TIFF, remarks
from semiseg.formats.header import read_header
from semiseg.formats.mask_values import MaskValues
from semiseg.formats.masks import read_picture_mask
from semiseg.formats.pictures import read_picture

MASK = np.zeros((8, 16), bool)
MASK[2:5, 3:9] = True
CODES = np.tile(np.arange(4, dtype=np.uint8), (8, 4))


def tiff(path: Path, bits: int, data: bytes, photometric: int = 1, **tags: int) -> Path:
    """An uncompressed TIFF of 8 x 16 pixels, little-endian."""
    found = {256: 16, 257: 8, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 8,
             279: len(data)} | {int(key[1:]): value for key, value in tags.items()}  # fmt: skip
    data += b"\0" * (len(data) % 2)
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(found.items())
    )
    start = b"II*\0" + struct.pack("<I", 8 + len(data))
    path.write_bytes(start + data + struct.pack("<H", len(found)) + entries + bytes(4))
    return path


def png(path: Path, rows: NDArray[np.uint8], bits: int, kind: int, width: int) -> Path:
    """A PNG of packed rows; ``kind`` is its colour type."""

    def chunk(name: bytes, content: bytes) -> bytes:
        whole = name + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", width, len(rows), bits, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def packed(values: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """[H, W] of 1, 2 or 4 bits as bytes."""
    each = 8 // bits
    wide = values.reshape(len(values), -1, each).astype(int)
    return (wide << (bits * np.arange(each)[::-1])).sum(axis=-1).astype(np.uint8)


def test_a_boolean_tiff_holds_what_was_written(tmp_path: Path) -> None:
    """tifffile stores booleans as 'white is zero'; NumPy, napari and scikit-image read them back."""
    tifffile.imwrite(tmp_path / "one.tif", MASK)
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([MASK, ~MASK]))
    assert read_header(tmp_path / "one.tif").inverted
    one = read_picture_mask(tmp_path / "one.tif")
    np.testing.assert_array_equal(one.codes, MASK)
    assert one.inverted
    np.testing.assert_array_equal(read_picture_mask(tmp_path / "stack.tif").codes, [MASK, ~MASK])
    np.testing.assert_array_equal(TIFF.read_mask(tmp_path / "stack.tif").codes, [MASK, ~MASK])


def test_codes_and_8_bits_of_white_is_zero_are_stored_values(tmp_path: Path) -> None:
    """ImageJ saves masks with an inverted table: 255 is the object, and shown black."""
    tiff(tmp_path / "a.tif", 8, (MASK * np.uint8(255)).tobytes(), photometric=0)
    np.testing.assert_array_equal(read_picture_mask(tmp_path / "a.tif").codes, MASK)
    tiff(tmp_path / "b.tif", 8, CODES.tobytes(), photometric=0)
    np.testing.assert_array_equal(read_picture_mask(tmp_path / "b.tif").codes, CODES)
    image = read_picture(tmp_path / "b.tif").image[0, 0]  # a picture is read as it is shown
    np.testing.assert_array_equal(image, 255 - CODES)


def test_ink_of_a_fax_is_black(tmp_path: Path) -> None:
    """Fax compressions store black ink as 1, so a mask in white on black is read as it is shown."""
    Image.fromarray(MASK).save(tmp_path / "a.tif", compression="group4")
    mask = read_picture_mask(tmp_path / "a.tif")
    np.testing.assert_array_equal(mask.codes, MASK)
    assert not mask.inverted


@pytest.mark.parametrize("order", [1, 2])
def test_the_order_of_bits(tmp_path: Path, order: int) -> None:
    data = np.packbits(MASK, axis=1, bitorder="big" if order == 1 else "little").tobytes()
    tiff(tmp_path / "a.tif", 1, data, t266=order)
    np.testing.assert_array_equal(read_picture_mask(tmp_path / "a.tif").codes, MASK)


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("form", ["png", "tif"])
def test_codes_of_2_and_4_bits(tmp_path: Path, bits: int, form: str) -> None:
    """Pillow spreads them over 0 to 255, which is right for pictures and not for codes."""

    def write(values: NDArray[np.uint8]) -> Path:
        path = tmp_path / f"a.{form}"
        if form == "tif":
            return tiff(path, bits, packed(values, bits).tobytes())
        return png(path, packed(values, bits), bits, 0, 16)

    np.testing.assert_array_equal(read_picture_mask(write(CODES)).codes, CODES)
    step = 255 // (2**bits - 1)
    np.testing.assert_array_equal(read_picture(write(CODES)).image[0, 0], step * CODES)
    white = MASK * np.uint8(2**bits - 1)
    assert read_picture_mask(write(white)).encoding == "binary"
    np.testing.assert_array_equal(read_picture_mask(write(white)).codes, MASK)
    levels = MaskValues(known=(step, 2 * step, 3 * step))
    np.testing.assert_array_equal(
        read_picture_mask(write(CODES), values=levels).codes, step * CODES
    )


def test_12_bits(tmp_path: Path) -> None:
    values = np.arange(128, dtype=np.uint16).reshape(8, 16) * 30
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(8, 16, 2), axis=-1)[..., 4:]
    data = np.packbits(bits.reshape(8, -1), axis=1).tobytes()
    found = read_picture(tiff(tmp_path / "a.tif", 12, data))
    np.testing.assert_array_equal(found.image[0, 0], values)
    with pytest.raises(UserError, match="packed or compressed in an unusual way"):
        read_picture(tiff(tmp_path / "b.tif", 12, data, photometric=0))
    with pytest.raises(UserError, match="has 14 bits per value"):
        read_picture(tiff(tmp_path / "c.tif", 14, data + bytes(64)))


def test_white_is_zero_of_16_bits(tmp_path: Path) -> None:
    values = np.arange(128, dtype=np.uint16).reshape(8, 16)
    tiff(tmp_path / "a.tif", 16, values.tobytes(), photometric=0)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").image[0, 0], 65535 - values)


@pytest.mark.parametrize("kind", [2, 4, 6])
def test_half_of_16_bits_per_channel_is_never_lost(tmp_path: Path, kind: int) -> None:
    samples = {2: 3, 4: 2, 6: 4}[kind]
    rows = np.random.default_rng(0).integers(0, 255, (4, 6 * samples * 2), np.uint8)
    with pytest.raises(UserError, match=r"16 bits per channel with colour or transparency"):
        read_picture(png(tmp_path / "a.png", rows, 16, kind, 6))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_planes_and_samples_beyond_colours(tmp_path: Path, planar: str) -> None:
    values = np.random.default_rng(0).integers(0, 255, (8, 16, 4), np.uint8)
    stored = values if planar == "contig" else values.transpose(2, 0, 1)
    options: dict[str, Any] = {"photometric": "rgb", "planarconfig": planar}
    tifffile.imwrite(
        tmp_path / "a.tif", stored[..., :3] if planar == "contig" else stored[:3], **options
    )
    found = read_picture(tmp_path / "a.tif").image[0]
    np.testing.assert_array_equal(found, values.transpose(2, 0, 1)[:3])
    tifffile.imwrite(tmp_path / "b.tif", stored, extrasamples=["unassalpha"], **options)
    found_alpha = read_picture(tmp_path / "b.tif")
    np.testing.assert_array_equal(found_alpha.image[0], values.transpose(2, 0, 1)[:3])
    assert found_alpha.remarks == {remarks.TRANSPARENT: "b.tif"}
    tifffile.imwrite(tmp_path / "c.tif", stored, extrasamples=["unspecified"], **options)
    with pytest.raises(UserError, match="4 values per pixel, of which 3 are colours"):
        read_picture(tmp_path / "c.tif")


def test_two_channels_are_not_grey(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (8, 16, 2), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig")
    with pytest.raises(UserError, match="2 values per pixel, of which 1 are colours"):
        read_picture(tmp_path / "a.tif")


def test_a_mosaic_of_colours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has values with the meaning CFA"):
        read_picture(tiff(tmp_path / "a.tif", 8, CODES.tobytes(), photometric=32803))


def test_the_calibration_of_imagej(tmp_path: Path) -> None:
    """ImageJ stores signed 16-bit images, such as CT, as unsigned with an offset."""
    values = np.arange(128, dtype=np.uint16).reshape(8, 16)
    line = {"cf": 0, "c0": -32768.0, "c1": 1.0, "vunit": "Gray Value"}
    tifffile.imwrite(tmp_path / "a.tif", values, imagej=True, metadata=line)
    found = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.image[0, 0], values.astype(int) - 32768)
    assert found.remarks == {remarks.SCALED: "a.tif"}
    curve = {"cf": 1, "c0": 0.0, "c1": 1.0, "c2": 2.0}
    tifffile.imwrite(tmp_path / "b.tif", values, imagej=True, metadata=curve)
    with pytest.raises(UserError, match="ImageJ calibration that is not linear"):
        read_picture(tmp_path / "b.tif")
    plain = read_picture_mask(tmp_path / "a.tif", values=MaskValues(known=range(1, 128)))
    np.testing.assert_array_equal(plain.codes, values)  # codes are those that are stored


def test_transparency_is_said_if_it_says_anything(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (8, 16, 4), np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").remarks == {remarks.TRANSPARENT: "a.png"}
    values[..., 3] = 255
    Image.fromarray(values).save(tmp_path / "b.png")
    assert read_picture(tmp_path / "b.png").remarks == {}
    palette = Image.fromarray(CODES * np.uint8(60)).convert("P")
    palette.save(tmp_path / "c.png", transparency=0)
    assert read_picture(tmp_path / "c.png").remarks == {remarks.TRANSPARENT: "c.png"}
