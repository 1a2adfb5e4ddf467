"""Which files below a folder are predicted, and where their masks lie."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.data.task import Intensity, Task
from semiseg.errors import UserError
from semiseg.workflows.image_files import image_files
from semiseg.workflows.inputs import as_inputs, find_images

TASK = Task(
    name="t", kind="pictures", channels=1, classes=("background", "a"),
    intensity=Intensity(kind="window", low=0, high=255), median_shape=(1, 8, 8),
)  # fmt: skip


def draw(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(0, 256, 4, np.uint8).reshape(8, 8)).save(path)


def test_masks_and_other_files_are_left_out_and_named(tmp_path: Path) -> None:
    draw(
        tmp_path / "images" / "a.png", tmp_path / "images" / "b.png",
        tmp_path / "images" / "b_mask.png", tmp_path / "images" / "b_mask_1.png",
        tmp_path / "labels" / "a.png", tmp_path / "images" / ".hidden.png",
        tmp_path / "images" / "unmasked.png", tmp_path / "images" / "c_seg.png",
    )  # fmt: skip
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "images" / "LICENSE").write_text("x")
    said: list[str] = []
    found = image_files(tmp_path, said.append)
    # c_seg belongs to no image here, so it is an image
    assert [path.name for path in found] == ["a.png", "b.png", "c_seg.png", "unmasked.png"]
    assert said == [
        f"not predicted in {tmp_path}: 3 masks by their names.",
        f"not read in {tmp_path}: 2 files that are not images (1 .txt and 1 without suffix).",
    ]


def test_the_folder_of_the_masks_is_not_searched(tmp_path: Path) -> None:
    draw(tmp_path / "x.png", tmp_path / "out" / "x.png", tmp_path / "outer" / "x.png")
    found = image_files(tmp_path, out=tmp_path / "out")
    assert found == [tmp_path / "outer" / "x.png", tmp_path / "x.png"] or found == [
        tmp_path / "x.png", tmp_path / "outer" / "x.png",
    ]  # fmt: skip


def test_sub_folders_keep_their_places(tmp_path: Path) -> None:
    draw(*(tmp_path / patient / "image.png" for patient in ("p1", "p2")), tmp_path / "p3.png")
    inputs = as_inputs(find_images([tmp_path]), TASK, [tmp_path])
    named = {str(one.below / (one.stem + one.suffix)) for one in inputs}
    assert named == {"p1/image.png", "p2/image.png", "p3.png"}
    # a folder of its own names a generic file
    (own,) = as_inputs(find_images([tmp_path / "p1"]), TASK, [tmp_path / "p1"])
    assert (own.below, own.stem) == (Path(), "p1")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".bmp"])
def test_common_pictures_are_images(tmp_path: Path, suffix: str) -> None:
    draw(tmp_path / f"x{suffix}")
    assert find_images([tmp_path]) == [tmp_path / f"x{suffix}"]
    (found,) = as_inputs(find_images([tmp_path]), TASK, [tmp_path])
    assert found.suffix == ".png"
    assert found.read(TASK).image.shape == (1, 1, 8, 8)


def test_the_depth_matters_only_for_a_fixed_scale(tmp_path: Path) -> None:
    draw(tmp_path / "x.png")
    (found,) = as_inputs(find_images([tmp_path]), TASK)
    own = TASK.model_copy(update={"intensity": Intensity(kind="percentile", low=0.5, high=99.5)})
    assert found.read(own).image.shape == (1, 1, 8, 8)
    deep = TASK.model_copy(update={"intensity": Intensity(kind="window", low=0, high=4095)})
    with pytest.raises(UserError, match=r"has 8 bits per pixel, but .* more than 8 bits"):
        found.read(deep)


def test_a_mask_in_another_folder_belongs_to_its_image(tmp_path: Path) -> None:
    draw(
        tmp_path / "a" / "P1" / "cine.png", tmp_path / "b" / "P1" / "cine-label.png",
        tmp_path / "b" / "P1" / "cine-label_2.png",
    )  # fmt: skip
    assert [path.name for path in image_files(tmp_path)] == ["cine.png"]
