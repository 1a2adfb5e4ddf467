"""Measures of cases, and the fingerprint of a data set."""

import numpy as np
import pytest

from semiseg.data.fingerprint import (
    PERCENTILES,
    SAMPLE,
    CaseMeasures,
    Fingerprint,
    Intensities,
    measures_of,
    summarise,
)
from semiseg.data.volume import Volume

SHAPE = (4, 1, 12, 10)


def volume(seed: int, shape: tuple[int, ...] = SHAPE, labelled: bool = True) -> Volume:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, (shape[0], *shape[2:])).astype(np.uint8) if labelled else None
    return Volume(rng.integers(-100, 500, shape).astype(np.int16), label)


def voxels(case: Volume) -> dict[int, int] | None:
    return None if case.label is None else dict(enumerate(np.bincount(case.label.ravel()).tolist()))


def fingerprint(volumes: list[Volume], spacing: tuple[float, float, float] | None) -> Fingerprint:
    shapes = [(v.image.shape[0], *v.image.shape[2:]) for v in volumes]
    return summarise(
        [measures_of(v) for v in volumes],
        [voxels(v) for v in volumes],
        shapes,
        [spacing] * len(volumes),
        3,
        [True] * len(volumes),
    )


def test_a_case_is_measured_as_numpy_does() -> None:
    case = volume(0, (4, 2, 12, 10))
    found = measures_of(case)
    assert case.label is not None
    for channel in range(2):
        values = case.image[:, channel]
        under = values[case.label > 0]
        for got, wanted in ((found.image, values), ((found.foreground or ()), under)):
            one = got[channel]
            assert (one.low, one.high) == (wanted.min(), wanted.max())
            assert one.mean == pytest.approx(wanted.mean())
            assert one.deviation == pytest.approx(wanted.std())
            assert one.percentiles == pytest.approx(np.percentile(wanted, PERCENTILES))


def test_a_large_case_is_sampled_but_its_extremes_are_not() -> None:
    values = np.random.default_rng(0).normal(0, 1, 5 * SAMPLE + 3)
    values[1] = 1e6
    found = Intensities.of(values)
    assert found.high == 1e6
    assert found.percentiles == pytest.approx(np.percentile(values, PERCENTILES), abs=0.02)


def test_what_is_ignored_is_no_foreground() -> None:
    case = volume(1)
    assert case.label is not None
    label = case.label.copy()
    label[:2] = 255
    found = measures_of(Volume(case.image, label))
    alone = measures_of(Volume(case.image[2:], case.label[2:]))
    assert found.foreground == alone.foreground


def test_unlabelled_and_empty_labels_have_no_foreground() -> None:
    assert measures_of(volume(0, labelled=False)).foreground is None
    empty = Volume(volume(0).image, np.zeros((4, 12, 10), np.uint8))
    assert measures_of(empty).foreground is None


def test_a_set_is_the_median_of_its_cases() -> None:
    volumes = [volume(seed, (3 + seed, 1, 12, 10 + seed)) for seed in range(5)]
    volumes.append(volume(9, labelled=False))
    found = fingerprint(volumes, (8.0, 2.0, 1.0))
    assert found.shape.low == (3, 12, 10)
    assert found.shape.median == (4.5, 12, 11.5)
    assert found.shape.high == (7, 12, 14)
    assert found.anisotropy == pytest.approx(8 / 1.5)
    assert found.image[0].mean == pytest.approx(np.median([v.image.mean() for v in volumes]))
    labels = [v.label for v in volumes if v.label is not None]
    counts = sum(np.bincount(label.ravel(), minlength=3) for label in labels)
    assert found.shares == pytest.approx(counts / counts.sum())
    assert found.present == (5, 5, 5)
    assert Fingerprint.model_validate_json(found.model_dump_json()) == found


def test_without_spacing_and_labels() -> None:
    found = fingerprint([volume(0, labelled=False)], None)
    assert found.spacing is None
    assert found.anisotropy is None
    assert found.foreground is None
    assert found.shares == (0, 0, 0)


@pytest.mark.parametrize(
    ("low", "high", "dtype", "ct"),
    [(-1000, 1200, np.int16, True), (0, 1200, np.int16, False), (-1000, 1200, np.float32, False)],
)
def test_a_ct_is_known_by_air_and_bone(low: int, high: int, dtype: type, ct: bool) -> None:
    image = np.linspace(low, high, 480).reshape(SHAPE).astype(dtype)
    assert fingerprint([Volume(image, volume(0).label)], None).hounsfield is ct


def test_measures_are_json() -> None:
    found = measures_of(volume(3))
    assert CaseMeasures.model_validate_json(found.model_dump_json()) == found
