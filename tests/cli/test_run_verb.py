"""``semiseg run``: all of it in one command, and again where it was stopped."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
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
    refused(call("run", phantom, "-o", out, "--labelled", "3", *small()), "another --labelled")
    refused(call("run", phantom, "-o", phantom), "was not begun by 'semiseg run'")


def test_pictures_by_the_clock(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    at = small().index(f"training.iterations={SMALL['training.iterations']}")
    sets = small()[: at - 1] + small()[at + 1 :]  # the clock says how many
    said = well(call("run", pictures, "-o", out, "--time", "1s", "--max-side", "32", *sets))
    assert "method: supervised, since" in said.out
    assert "which did not pay below 1,000" in said.out
    assert "fit into 1 s (--time)" in said.out
    config = (out / "training" / "config.yaml").read_text()
    assert "method: supervised" in config
    masks = list((out / "masks").iterdir())
    assert masks
    for path in masks:
        with Image.open(path) as mask, Image.open(pictures / "images" / path.name) as picture:
            assert mask.size == picture.size  # not the size of the prepared ones
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
