"""``semiseg run``: all steps in one command, also resumed."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from commandline import SMALL, call, refused, small, tree, well
from PIL import Image


def test_volumes_all_the_way(phantom: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("run", phantom, "-o", out, "--labelled", "2", *small())
    said = well(call(*words))
    assert "method: mcsc, since there are unlabelled images" in said.out
    assert "labelled:   2 patients" in said.out
    assert "mean of class means" in said.out
    assert (out / "report.html").stat().st_size > 10_000
    split = json.loads((out / "training" / "split.json").read_text())
    masks = sorted(p.name for p in (out / "masks").iterdir())
    images = sorted((phantom / "images").glob("*.nii.gz"))
    trained = [p for p in images if any(p.name.startswith(q) for q in split["labelled"])]
    assert len(trained) == 4
    assert masks == sorted(p.name for p in images if p not in trained)
    for name in masks[:2]:
        mask, image = nibabel.load(out / "masks" / name), nibabel.load(phantom / "images" / name)
        assert mask.shape == image.shape
        np.testing.assert_allclose(mask.affine, image.affine, atol=1e-5)
        assert set(np.unique(mask.dataobj)) <= {0, 1, 2, 3}

    before = tree(out / "data", out / "masks")
    (out / "masks" / masks[0]).unlink()
    shutil.rmtree(out / "training" / "evaluation")
    again = well(call(*words))
    assert "is finished: nothing to do" in again.out
    assert "preparing" not in again.all
    assert tree(out / "data", out / "masks").keys() == before.keys()
    refused(
        call("run", phantom, "-o", out, "--labelled", "3", *small()), "other values of --labelled"
    )
    refused(call("run", phantom, "-o", phantom), "was not created by 'semiseg run'")


def test_stacks_give_stacks_and_ignored_slices_are_no_background(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for number in range(6):
        mask = np.zeros((3, 32, 40), np.uint8)
        mask[1, 8:20, 10:24] = 1
        mask[1, 22:26, 10:24] = 9
        pixels = (40 * rng.random(mask.shape) + 120 * mask.clip(0, 1)).astype(np.uint8)
        tifffile.imwrite(tmp_path / f"set/images/n{number}.tif", pixels, photometric="minisblack")
        if number < 5:
            tifffile.imwrite(tmp_path / f"set/masks/n{number}.tif", mask, photometric="minisblack")
    words = ("run", tmp_path / "set", "-o", tmp_path / "out", "--method", "supervised", *small())
    ignored = ("--ignore-value", "9", "--empty-slices", "unlabelled")
    said = well(call(*words, *ignored))
    assert "10 slices of labelled volumes have no label" in said.out
    masks = sorted((tmp_path / "out/masks").iterdir())
    assert "n5.tif" in [path.name for path in masks]
    for path in masks:
        assert path.suffix == ".tif"
        mask = tifffile.imread(path)
        assert mask.shape == (3, 32, 40)
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 1}
    well(call(*words, *ignored))
    refused(call(*words, "--ignore-value", "8"), "other values of --ignore-value, --empty-slices")
    refused(call("run", tmp_path / "out/data", "-o", tmp_path / "x"), "with 'semiseg train'")


def test_pictures_by_the_clock(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    at = small().index(f"training.iterations={SMALL['training.iterations']}")
    sets = small()[: at - 1] + small()[at + 1 :]  # --time determines the iterations
    words = ("run", pictures, "-o", out, "--time", "1s", "--max-side", "32", *sets)
    said = well(call(*words, "--intensity", "zscore", "--parts", "0.4,0.2,0.4"))
    manifest = json.loads((out / "data" / "manifest.json").read_text())
    assert manifest["task"]["intensity"]["kind"] == "zscore"
    parts = [len(manifest["split"][part]) for part in ("train", "validation", "test")]
    assert parts[2] > parts[1]
    refused(call(*words, "--intensity", "zscore"), "other values of --parts")
    assert "method: supervised, since" in said.out
    assert "which did not help below 1,000" in said.out
    assert "fit into 1 s (--time)" in said.out
    config = (out / "training" / "config.yaml").read_text()
    assert "method: supervised" in config
    masks = list((out / "masks").iterdir())
    assert masks
    for path in masks:
        with Image.open(path) as mask, Image.open(pictures / "images" / path.name) as picture:
            assert mask.size == picture.size  # not the size of the prepared picture
            assert set(np.unique(np.asarray(mask))) <= {0, 255}


def test_without_unlabelled_images(phantom: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    shutil.copytree(phantom, few)
    for number in (9, 10):
        for path in few.rglob(f"*{number:03d}*.nii.gz"):
            path.unlink()
    said = well(call("run", few, "-o", tmp_path / "out", *small()))
    assert "method: supervised, since there are no unlabelled images" in said.out


def test_a_refused_word_can_be_corrected(phantom: Path, tmp_path: Path) -> None:
    words = ("run", phantom, "-o", tmp_path / "out", "--method", "supervised", *small())
    refused(call(*words, "--labelled", "99"), "99")
    well(call(*words, "--labelled", "2"))


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (("--method", "mcsk"), "mcsc"), (("--time", "soon"), "--time soon"),
        (("--device", "tpu"), "tpu"), (("--layout", "nifty"), "nifti"),
    ],
)  # fmt: skip
def test_wrong_words(phantom: Path, tmp_path: Path, words: tuple[str, ...], fragment: str) -> None:
    refused(call("run", phantom, "-o", tmp_path / "out", *words), fragment)
