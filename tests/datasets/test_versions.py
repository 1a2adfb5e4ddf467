"""Versions of masks in the names of files and folders."""

from pathlib import Path

import numpy as np
import pytest

import mask_replicas
from semiseg.errors import UserError
from small_pictures import MASK, picture, scan


def test_an_older_version_is_not_proposed(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / "images" / f"{name}.png", ord(name))
        for place in ("masks", "masks/old"):
            mask_replicas.save_picture(
                tmp_path / place / f"{name}.png", MASK.astype(np.uint8) * 255
            )
    with pytest.raises(UserError) as raised:
        scan(tmp_path)
    assert str(raised.value) == (
        "a.png has several versions of the same mask (masks/a.png and old/a.png): remove all but one."
    )


@pytest.mark.parametrize(("one", "other"), [("v1", "v2"), ("draft", "final")])
def test_versions_of_a_mask_are_not_united(tmp_path: Path, one: str, other: str) -> None:
    for name in "abc":
        picture(tmp_path / "images" / f"{name}.png", ord(name))
        for index, version in enumerate((one, other)):
            path = tmp_path / "masks" / f"{name}_mask_{version}.png"
            mask_replicas.save_picture(path, np.roll(MASK, index).astype(np.uint8) * 255)
    with pytest.raises(
        UserError, match=rf"a.png has several versions .* --labels {other}"
    ) as raised:
        scan(tmp_path)
    assert f"a_mask_{one}.png and a_mask_{other}.png" in str(raised.value)
    label = scan(tmp_path, labels=other).cases[0].read().label
    assert label is not None
    np.testing.assert_array_equal(label[0] != 0, np.roll(MASK, 1))


@pytest.mark.parametrize(
    ("newer", "older", "having", "words"),
    [
        ("masks_corrected", "masks", (0, 1), "with --labels masks_corrected (2 images then without a label), "
         "or copy them over those of masks and remove masks_corrected"),
        ("masks_korrigiert", "masks", (0, 1, 2, 3), "take the newest ones with --labels masks_korrigiert"),
        ("masks-corrigés", "masks", (0, 1, 2, 3), "take the newest ones with --labels masks-corrigés"),
        ("masks", "masks_old", (0, 1, 2, 3), "take the newest ones with --labels masks"),
        ("labels_v2", "labels_v1", (0, 1, 2, 3), "take the newest ones with --labels labels_v2"),
    ],
)  # fmt: skip
def test_folders_of_versions(
    tmp_path: Path, newer: str, older: str, having: tuple[int, ...], words: str
) -> None:
    for n in range(4):
        picture(tmp_path / "images" / f"x{n}.png", n)
        for place, shift in ((older, 0), (newer, 1)):
            if place == older or n in having:
                mask = np.roll(MASK, shift, 0).astype(np.uint8) * 255
                mask_replicas.save_picture(tmp_path / place / f"x{n}.png", mask)
    with pytest.raises(UserError, match="has several versions of its masks, in ") as raised:
        scan(tmp_path)
    assert str(raised.value).endswith(f"{words}.")
    result = scan(tmp_path, labels=newer)
    assert [case.has_label for case in result.cases] == [n in having for n in range(4)]
    label = result.cases[0].read().label
    assert label is not None
    np.testing.assert_array_equal(label[0] != 0, np.roll(MASK, 1, 0))


def test_folders_of_versions_of_different_images(tmp_path: Path) -> None:
    for n in range(4):
        picture(tmp_path / "images" / f"x{n}.png", n)
        place = tmp_path / ("masks" if n < 2 else "masks_corrected")
        mask_replicas.save_picture(place / f"x{n}.png", MASK.astype(np.uint8) * 255)
    with pytest.raises(UserError, match="of different images, so put all into one folder 'masks'"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("image", "mask", "newer", "option"),
    [
        ("x{n}/image", "x{n}/mask", "x{n}/mask_corrected", "corrected"),
        ("images/x{n}", "masks/x{n}", "masks/x{n}_korrigiert", "korrigiert"),
        ("images/x{n}", "masks/x{n}", "masks/x{n}_mask_neu", "neu"),
        ("images/x{n}", "labels/original/x{n}", "labels/corrected/x{n}", "corrected"),
        ("images/x{n}", "masks/x{n}", "masks/corrected/x{n}", "corrected"),
    ],
)
def test_a_corrected_version_of_some_masks(
    tmp_path: Path, image: str, mask: str, newer: str, option: str
) -> None:
    for n in range(4):
        picture(tmp_path / f"{image.format(n=n)}.png", n)
        for path, shift in ((mask, 0), (newer, 1)):
            if path == mask or n < 3:
                pixels = np.roll(MASK, shift, 0).astype(np.uint8) * 255
                mask_replicas.save_picture(tmp_path / f"{path.format(n=n)}.png", pixels)
    said = rf"several versions .*--labels {option} \(the masks of 1 image without this version"
    with pytest.raises(UserError, match=said):
        scan(tmp_path)
    result = scan(tmp_path, labels=option)  # the option that is proposed works
    assert [case.has_label for case in result.cases] == [True, True, True, False]
    label = result.cases[0].read().label
    assert label is not None
    np.testing.assert_array_equal(label[0] != 0, np.roll(MASK, 1, 0))
