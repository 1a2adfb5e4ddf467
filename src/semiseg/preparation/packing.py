"""Coding of images as arrays of 8 or 16 bits that compress well.

Values outside an image's intensity bounds are clipped, as they are for networks. Neighbours in a row
are replaced by their differences, and for 16 bits the lower bytes come before the upper ones, which
saves a tenth of the size of cardiac images.
"""

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from semiseg.data.task import Bounds

Bits = Literal[8, 16]
STORED: dict[int, np.dtype[Any]] = {8: np.dtype("u1"), 16: np.dtype("<u2")}
ROUNDABLE = 256  # in a narrower range, rounding to whole numbers costs more than 1/255


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=0)]


class Coding(BaseModel):
    """The linear coding of an image: intensity = offset + step * code, in the type ``dtype``.

    ``offset`` and ``step`` have one value for all channels, or one per channel.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bits: Bits
    dtype: Literal["uint8", "int16", "float32"]
    offset: tuple[Finite, ...]
    step: tuple[Positive, ...]
    exact: bool

    def codes(self, image: NDArray[np.generic]) -> NDArray[Any]:
        """[..., C, H, W] intensities -> codes."""
        scaled = np.rint(
            (np.asarray(image, np.float64) - _column(self.offset)) / _column(self.step)
        )
        return np.clip(scaled, 0, 2**self.bits - 1).astype(STORED[self.bits])

    def restore(self, codes: NDArray[Any], channel: int | None = None) -> NDArray[np.generic]:
        """[..., C, H, W] codes -> intensities; or [rows, W] codes of one ``channel``."""
        if channel is None or len(self.step) == 1:
            step, offset = _column(self.step), _column(self.offset)
        else:
            step, offset = self.step[channel], self.offset[channel]
        values = codes * step + offset
        if self.dtype != "float32":
            bounds = np.iinfo(self.dtype)
            values = np.clip(np.rint(values), bounds.min, bounds.max)
        return np.asarray(values, self.dtype)


def choose(image: NDArray[np.generic], bounds: Bounds | None, bits: Bits) -> Coding:
    """Choose the coding of an image: exact if its values are whole numbers of a small range.

    Args:
        image: [D, C, H, W] as stored: uint8, int16 or float32.
        bounds: the intensities that become 0 and 1, for clipping; None does not clip.
        bits: bits per code.
    """
    whole = _choose(image, None, bits)
    if whole.exact:
        return whole
    if bounds is None:
        pairs: list[tuple[float, float] | None] = [None] * image.shape[1]
    else:
        pairs = [(low, high) for low, high in np.array(bounds, np.float64).reshape(-1, 2).tolist()]
    parts = np.split(image, len(pairs), axis=1)
    codings = [_choose(part, pair, bits) for part, pair in zip(parts, pairs, strict=True)]
    return Coding(
        bits=bits,
        dtype=max((c.dtype for c in codings), key=["uint8", "int16", "float32"].index),
        offset=tuple(c.offset[0] for c in codings),
        step=tuple(c.step[0] for c in codings),
        exact=all(c.exact for c in codings),
    )


def _choose(image: NDArray[np.generic], bounds: tuple[float, float] | None, bits: Bits) -> Coding:
    """The coding of one channel, or of channels with a common scale."""
    top = 2**bits - 1
    name: Literal["uint8", "int16", "float32"] = "float32"
    low, high = float(image.min()), float(image.max())
    if image.dtype in (np.uint8, np.int16):
        name = "uint8" if image.dtype == np.uint8 else "int16"
        if high - low <= top:
            exactly_8 = 8 if high - low <= 255 else bits
            return Coding(bits=exactly_8, dtype=name, offset=(low,), step=(1.0,), exact=True)
    if bounds is not None and bounds[0] < bounds[1]:
        low, high = bounds
    if name == "int16":
        if np.ceil(high) - np.floor(low) <= top:
            floor = float(np.floor(low))
            return Coding(bits=bits, dtype=name, offset=(floor,), step=(1.0,), exact=False)
        if high - low < ROUNDABLE:
            name = "float32"
    step = (high - low) / top or 1.0
    return Coding(bits=bits, dtype=name, offset=(low,), step=(step,), exact=False)


def _column(values: tuple[float, ...]) -> NDArray[np.float64] | float:
    """Values per channel for [..., C, H, W], or a single value for any shape."""
    return values[0] if len(values) == 1 else np.array(values)[:, None, None]


def to_planes(codes: NDArray[Any]) -> NDArray[np.uint8]:
    """[..., W] codes -> [bytes per code, values], which compresses well: differences, byte by byte."""
    differences = codes.copy()
    differences[..., 1:] -= codes[..., :-1]  # wraps around, and so does the sum
    return differences.reshape(-1, 1).view(np.uint8).T


def from_planes(planes: NDArray[np.uint8], width: int, bits: Bits) -> NDArray[Any]:
    """The inverse of `to_planes` for rows of ``width`` codes: [rows, width]."""
    dtype = STORED[bits]
    differences = np.ascontiguousarray(planes.T).view(dtype).reshape(-1, width)
    return np.cumsum(differences, axis=-1, dtype=dtype)
