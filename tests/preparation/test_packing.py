"""Codes of 8 or 16 bits: rounding errors, and exact decoding of bytes."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from semiseg.data.task import Intensity, bounds_of, normalise
from semiseg.preparation.packing import Bits, choose, from_planes, to_planes

INTENSITIES = (
    Intensity(kind="minmax"),
    Intensity(kind="percentile", low=0.5, high=99.5),
    Intensity(kind="window", low=-125.0, high=275.0),
)


def decoded(codes: NDArray[Any], bits: Bits) -> NDArray[Any]:
    return from_planes(to_planes(codes), codes.shape[-1], bits).reshape(codes.shape)


def image(kind: str, seed: int, spread: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(seed % 3 * 40, spread, (2, 1, 9, 11))
    if kind == "uint8":
        return np.clip(values, 0, 255).astype(np.uint8)
    return values.astype(kind)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("intensity", INTENSITIES, ids=lambda i: i.kind)
@pytest.mark.parametrize("kind", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("spread", [0.7, 20.0, 36.0, 49.0, 51.0, 300.0, 4000.0])
def test_what_a_network_sees_stays_within_a_step(
    bits: int, intensity: Intensity, kind: str, spread: float
) -> None:
    for seed in range(12):
        original = image(kind, seed, spread)
        bounds = bounds_of(original, intensity)
        coding = choose(original, bounds if intensity.clips else None, bits)
        codes = decoded(coding.codes(original), coding.bits)
        restored = coding.restore(codes)
        if coding.exact:
            np.testing.assert_array_equal(restored, original)
            assert restored.dtype == original.dtype
        if kind == "uint8" or (kind == "int16" and bits == 16):
            assert coding.exact
        far = np.abs(
            normalise(restored, intensity, bounds) - normalise(original, intensity, bounds)
        )
        assert far.max() <= 1 / (2**bits - 1) + 1e-6 * (bits == 8) + 3e-7


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["minmax", "percentile", "zscore"])
def test_each_channel_has_its_own_codes(
    bits: Literal[8, 16], kind: Literal["minmax", "percentile", "zscore"]
) -> None:
    intensity = Intensity(kind=kind, low=0.5, high=99.5)
    rng = np.random.default_rng(0)
    original = rng.normal(0, 1, (3, 2, 9, 11)) * np.array([1, 5000])[:, None, None]
    bounds = bounds_of(original, intensity)
    coding = choose(original.astype(np.float32), bounds if intensity.clips else None, bits)
    codes = decoded(coding.codes(original), coding.bits)
    far = np.abs(
        normalise(coding.restore(codes), intensity, bounds) - normalise(original, intensity, bounds)
    )
    assert far.max() <= (8 if kind == "zscore" else 1) / (2**bits - 1) + 1e-6


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from([(8, np.uint8), (16, np.dtype("<u2"))]))
def test_bytes_come_back(data: st.DataObject, pair: tuple[int, np.dtype]) -> None:
    bits, dtype = pair
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=4, max_side=7))
    codes = data.draw(arrays.arrays(dtype, shape))
    np.testing.assert_array_equal(decoded(codes, bits), codes)
