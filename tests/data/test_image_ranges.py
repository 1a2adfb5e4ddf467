"""Images that are unlike the training images."""

import dataclasses

import numpy as np
import pytest

from semiseg.data.fingerprint import measures_of
from semiseg.data.image_ranges import Difference, ImageRanges, differences, ranges_of, sentences
from semiseg.data.task import Intensity, Task
from semiseg.data.volume import Volume

MR = Intensity(kind="percentile", low=0.5, high=99.5)
CT = Intensity(kind="window", low=-160, high=240)
PICTURE = Intensity(kind="window", low=0, high=255)


def task(intensity: Intensity, kind: str = "volumes", channels: int = 1) -> Task:
    return Task(
        name="x", kind=kind, channels=channels, classes=("background", "a"), intensity=intensity,
        median_shape=(4, 40, 40),
    )  # type: ignore[arg-type]  # fmt: skip


def scan(number: int, **changed: object) -> Volume:
    """A dark background with a brighter body, 40 x 40 pixels of 1 to 1.1 mm."""
    rng = np.random.default_rng(number)
    image = rng.normal(100, 10, (4, 1, 40, 40))
    image[:, :, 10:30, 10:30] += 300 + 20 * rng.random()
    step = 1 + number / 100
    return dataclasses.replace(
        Volume(image.astype(np.float32), spacing=(8.0, step, step)), **changed  # type: ignore[arg-type]
    )  # fmt: skip


def ranges(volumes: list[Volume]) -> ImageRanges:
    found = ranges_of(
        [measures_of(v) for v in volumes],
        [(v.image.shape[0], *v.image.shape[2:]) for v in volumes],
        [v.spacing for v in volumes],
    )
    assert found is not None
    return found


TRAINING = ranges([scan(number) for number in range(11)])


def kinds(volume: Volume, whole: bool = True, deep: bool = False) -> list[str]:
    return [d.kind for d in differences(volume, TRAINING, task(MR), whole, deep)]


def test_other_images_of_the_same_kind_are_alike() -> None:
    for number in range(11, 40):
        assert kinds(scan(number, spacing=(8.0, 1.05, 1.05))) == []


def test_a_scale_of_intensities_does_not_matter_where_images_are_scaled_by_themselves() -> None:
    one = scan(3)
    assert kinds(dataclasses.replace(one, image=one.image * 50 - 1000)) == []


def test_inverted_contrast_is_unlike() -> None:
    one = scan(3)
    (found,) = differences(
        dataclasses.replace(one, image=-one.image), TRAINING, task(MR), True, False
    )
    assert found.kind == "intensity"
    assert "of the range between the 0.5th and 99.5th percentiles (training images: " in found.words


@pytest.mark.parametrize(
    ("spacing", "whole", "deep", "expected"),
    [
        ((8.0, 1.1, 1.1), True, False, []),
        ((8.0, 1.1 * 1.4, 1.1 * 1.4), True, False, []),
        ((8.0, 1.1 * 1.6, 1.1 * 1.6), True, False, ["spacing", "field of view"]),
        ((8.0, 1.1 * 1.6, 1.1 * 1.6), False, False, ["spacing"]),
        ((8.0, 1 / 1.6, 1 / 1.6), False, False, ["spacing"]),
        ((20.0, 1.0, 1.0), True, False, []),  # slices alone are seen
        ((20.0, 1.0, 1.0), False, True, ["slice distance"]),
        (None, True, False, ["spacing"]),
    ],
)
def test_spacing(
    spacing: tuple[float, float, float] | None, whole: bool, deep: bool, expected: list[str]
) -> None:
    assert kinds(scan(4, spacing=spacing), whole, deep) == expected


def test_the_words_give_both_values() -> None:
    (one, two) = differences(scan(4, spacing=(8.0, 2.0, 2.0)), TRAINING, task(MR), True, False)
    assert one == Difference("spacing", "2 x 2 mm (training images: 1 to 1.1 mm)")
    assert two.words == "80 x 80 mm (training images: sides of 40 to 44 mm)"


def ct(number: int) -> Volume:
    rng = np.random.default_rng(number)
    image = rng.normal(40, 15, (2, 1, 40, 40))
    image[..., :10] = -1000
    image[..., 30:33, 30:33] = 900
    return Volume(image.astype(np.int16), spacing=(5.0, 1.0, 1.0))


def test_modality() -> None:
    trained = ranges([ct(number) for number in range(10)])
    assert differences(ct(11), trained, task(CT), True, False) == []
    (found,) = differences(scan(1, spacing=(5.0, 1.0, 1.0)), trained, task(CT), True, False)
    assert found == Difference("modality", "does not look like CT (training images: CT)")
    (found,) = differences(
        dataclasses.replace(ct(1), spacing=(8.0, 1.0, 1.0)), TRAINING, task(MR), True, False
    )
    assert found == Difference("modality", "looks like CT (training images: not CT)")


def test_a_ct_without_air_leaves_the_modality_open() -> None:
    no_air = dataclasses.replace(ct(1), image=np.maximum(ct(1).image, -850))
    trained = ranges([*(ct(number) for number in range(10)), no_air])
    assert trained.ct is None
    assert differences(ct(11), trained, task(CT), True, False) == []


def picture(number: int, size: int, level: float) -> Volume:
    rng = np.random.default_rng(number)
    image = rng.normal(level, 20, (1, 3, size, size)).clip(0, 255)
    return Volume(image.astype(np.uint8))


def test_pictures_are_compared_as_stored() -> None:
    trained = ranges([picture(n, 64 + n, 120 + n) for n in range(20)])
    told = task(PICTURE, "pictures", 3)
    assert differences(picture(30, 70, 125), trained, told, True, False) == []
    (dark,) = differences(picture(30, 70, 40), trained, told, True, False)
    assert dark.kind == "intensity"
    assert dark.words.startswith(("5% of channel 0 at", "median of channel 0 at"))
    assert differences(picture(30, 200, 125), trained, told, True, False) == []  # resized anyway
    (large,) = differences(picture(30, 200, 125), trained, told, False, False)
    assert large == Difference("size", "200 x 200 pixels (training images: 64 to 83)")
    wide = picture(30, 70, 125)
    wide = dataclasses.replace(wide, image=np.tile(wide.image, (1, 1, 1, 2))[..., :120])
    (aspect,) = differences(wide, trained, told, True, False)
    assert aspect.kind == "aspect ratio"
    assert differences(wide, trained, told, False, False) == []


def test_no_images_have_no_ranges() -> None:
    assert ranges_of([], [], []) is None


def test_one_sentence_of_each_kind() -> None:
    one, other = Difference("size", "big"), Difference("modality", "CT")
    assert sentences([("a", [one]), ("b", []), ("c", [one, other])]) == [
        "2 images unlike the training images in size, for example a: big; check their masks.",
        "1 image unlike the training images in modality, for example c: CT; check its mask.",
    ]
