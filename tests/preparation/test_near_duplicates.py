"""Duplicates and near-duplicates: comparison with loops, and robustness."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from semiseg.formats.pictures import read_picture
from semiseg.preparation import near_duplicates
from semiseg.preparation.near_duplicates import (
    NEAR,
    PICTURE,
    VOLUME,
    Fingerprint,
    near_duplicate_pairs,
    reduced,
)

Image = NDArray[np.float32]


def scene(seed: int, side: int = 96) -> Image:
    """A smooth random picture [1, side, side] of 0 to 255."""
    noise = np.random.default_rng(seed).normal(size=(side, side))
    smooth = ndimage.gaussian_filter(noise, side / 30)
    return (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)[None]


def similarity(one: Image, other: Image) -> float:
    return float(signature(one) @ signature(other))


def signature(*planes: NDArray[np.generic], shape: near_duplicates.Shape = PICTURE) -> Image:
    fingerprint = Fingerprint(shape)
    for plane in planes:
        fingerprint.add(plane)
    return fingerprint.signature()


@pytest.mark.parametrize("count", [3, 5, 8, 31, 32, 64])
def test_reduced_is_the_mean_of_each_run(count: int) -> None:
    array = np.random.default_rng(0).normal(size=(4, count)).astype(np.float32)
    size = 5
    expected = np.empty((4, size))
    for run in range(size):
        if count < size:
            expected[:, run] = array[:, int((run + 0.5) * count / size)]
        else:
            expected[:, run] = array[:, run * count // size : (run + 1) * count // size].mean(1)
    np.testing.assert_allclose(reduced(array, 1, size), expected, rtol=1e-5)
    np.testing.assert_allclose(reduced(array.T.copy(), 0, size), expected.T, rtol=1e-5)


def test_the_measure_survives_what_does_not_make_another_image() -> None:
    image = scene(0)
    rng = np.random.default_rng(1)
    changed = {
        "brighter": 0.5 * image + 60,
        "gamma": 255 * (image / 255) ** 0.7,
        "noisy": image + rng.normal(0, 20, image.shape).astype(np.float32),
        "smaller": ndimage.zoom(image, (1, 0.6, 0.5), order=1),
        "a dark corner": image * (np.hypot(*np.mgrid[:96, :96]) > 10),
        "cut": image[:, 1:-1, 1:-1],
    }
    for what, other in changed.items():
        assert similarity(image, other) > NEAR, what


def test_other_images_are_not_alike_although_their_coarse_brightness_is() -> None:
    rows, columns = np.mgrid[:96, :96] - 48
    vignette = 4 * np.maximum(70 - np.hypot(rows, columns), 0)
    images = [scene(seed) + vignette for seed in range(8)]
    for i in range(8):
        for j in range(i):
            assert similarity(images[i], images[j]) < 0.6


def test_volumes_are_compared_as_wholes() -> None:
    volume = [scene(seed, 40) for seed in range(12)]
    whole = signature(*volume, shape=VOLUME)
    assert whole.shape == (8 * 16 * 16,)
    assert whole @ signature(*[2 * p + 5 for p in volume], shape=VOLUME) > 0.999
    assert whole @ signature(*volume[::-1], shape=VOLUME) < 0.6
    assert signature(*volume[:1], shape=VOLUME).shape == whole.shape


def test_an_image_without_detail_is_like_nothing() -> None:
    for value in (0.0, 0.1, 1e6):
        flat = signature(np.full((1, 40, 40), value, np.float32))
        assert not flat.any()


def test_the_digest_is_of_values_types_and_shapes() -> None:
    def digest(*planes: NDArray[np.generic]) -> str:
        fingerprint = Fingerprint(PICTURE)
        for plane in planes:
            fingerprint.add(plane)
        return fingerprint.digest

    plane = np.arange(24, dtype=np.int16).reshape(1, 4, 6)
    changed = plane.copy()
    changed[0, 3, 5] += 1
    others = [
        digest(plane.reshape(1, 6, 4)), digest(plane.view(np.uint16)), digest(changed),
        digest(plane, plane), digest(plane[:, :, ::-1]),
    ]  # fmt: skip
    assert digest(plane) == digest(np.asfortranarray(plane))
    assert len({digest(plane), *others}) == 6


@pytest.mark.parametrize("block", [1, 3, 1024])
def test_pairs_are_those_of_a_loop(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK", block)
    monkeypatch.setattr(near_duplicates, "FEWEST", 99)
    vectors = np.random.default_rng(2).normal(size=(10, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = {
        (i, j): float(vectors[i] @ vectors[j])
        for i in range(10) for j in range(i + 1, 10) if vectors[i] @ vectors[j] >= 0.5
    }  # fmt: skip
    found = near_duplicate_pairs(vectors, 0.5)
    assert {(i, j) for i, j, _ in found} == set(expected)
    values = [value for *_, value in found]
    assert values == sorted(values, reverse=True)
    for i, j, value in found:
        assert value == pytest.approx(expected[i, j], abs=1e-6)


def test_what_all_images_share_makes_none_alike() -> None:
    frame = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((12, 12)))  # a strong pattern
    images = [600 * frame + scene(seed)[0] for seed in range(12)]
    images.append(images[4] * 0.9 + 3)
    signatures = np.stack([signature(image[None]) for image in images])
    assert np.triu(signatures @ signatures.T > NEAR, 1).sum() == 78  # all pairs
    assert [pair[:2] for pair in near_duplicate_pairs(signatures)] == [(4, 12)]
    flat = np.zeros((2, signatures.shape[1]), np.float32)
    assert [pair[:2] for pair in near_duplicate_pairs(np.concatenate([signatures, flat]))] == [
        (4, 12)
    ]


def test_of_too_many_pairs_the_most_alike_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK", 2)
    angles = np.array([0, 0.3, 0.31, 0.5, 0.9, 0.9001])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    everything = near_duplicate_pairs(vectors, 0.5)
    monkeypatch.setattr(near_duplicates, "MOST_PAIRS", 3)
    assert near_duplicate_pairs(vectors, 0.5) == everything[:3]
    assert everything[0][:2] == (4, 5)


def test_the_known_pairs_of_kvasir() -> None:
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("SEMISEG_DATA", beside)) / "kvasir-seg" / "images"
    files = sorted(folder.glob("*.jpg"))
    if not files:
        pytest.skip("Kvasir-SEG is not here: set SEMISEG_DATA to the folder that holds kvasir-seg")
    found = near_duplicate_pairs(
        np.stack([signature(read_picture(file).image[0]) for file in files])
    )
    named = {frozenset((files[i].stem[:9], files[j].stem[:9])) for i, j, _ in found}
    known = [
        ("cju76lseh", "cju772304"), ("cju886ryx", "cju8amfdt"), ("cju5fydru", "cju7avvi5"),
    ]  # fmt: skip
    there = {file.stem[:9] for file in files}
    assert named == {frozenset(pair) for pair in known if there.issuperset(pair)}
