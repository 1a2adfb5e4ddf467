"""``semiseg run``: all steps in one command, also resumed."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from commandline import SMALL, call, draw_pictures, refused, small, small_auto, tree, well
from PIL import Image

from semiseg.csv_files import read_csv


def test_volumes_all_the_way(phantom: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("run", phantom, "-o", out, "--labelled", "2", *small_auto())
    said = well(call(*words))
    assert "method: self-training, the recommended one" in said.out
    assert "labelled:   2 patients" in said.out
    assert "mean of class means" in said.out
    assert (out / "report.html").stat().st_size > 10_000
    split = json.loads((out / "training" / "split.json").read_text())
    masks = sorted(p.name for p in (out / "masks").glob("*.nii.gz"))
    images = sorted((phantom / "images").glob("*.nii.gz"))
    trained = [p for p in images if any(p.name.startswith(q) for q in split["labelled"])]
    assert len(trained) == 4
    assert masks == sorted(p.name for p in images if p not in trained)
    for name in masks[:2]:
        mask, image = nibabel.load(out / "masks" / name), nibabel.load(phantom / "images" / name)
        assert mask.shape == image.shape
        np.testing.assert_allclose(mask.affine, image.affine, atol=1e-5)
        assert set(np.unique(mask.dataobj)) <= {0, 1, 2, 3}
    rows = read_csv(out / "masks" / "predictions.csv")
    assert sorted(row["mask"] for row in rows) == masks
    assert [float(row["confidence"]) for row in rows] == sorted(
        float(r["confidence"]) for r in rows
    )
    page = (out / "report.html").read_text()
    assert "On images that were not used for training" in page
    assert "Images without a label" in page
    assert "next label the first images of each group below" in page
    shown = page[page.index('id="unlabelled"') :]
    assert all(
        f"phantom{n:03d}_{time}: confidence" in shown for n in (9, 10) for time in ("ED", "ES")
    )
    assert "phantom001_ED: confidence" not in shown
    assert (out / "inspection" / "page.html").is_file()

    before = tree(out / "data", out / "masks")
    (out / "masks" / masks[0]).unlink()
    shutil.rmtree(out / "training" / "evaluation")
    again = well(call(*words))
    assert "is finished: nothing to do" in again.out
    assert "preparing" not in again.all
    assert tree(out / "data", out / "masks").keys() == before.keys()
    refused(
        call("run", phantom, "-o", out, "--labelled", "3", *small_auto()),
        "other values of --labelled",
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
    masks = sorted((tmp_path / "out/masks").glob("*.tif"))
    assert "n5.tif" in [path.name for path in masks]
    for path in masks:
        mask = tifffile.imread(path)
        assert mask.shape == (3, 32, 40)
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 1}
    well(call(*words, *ignored))
    refused(call(*words, "--ignore-value", "8"), "other values of --ignore-value, --empty-slices")
    refused(call("run", tmp_path / "out/data", "-o", tmp_path / "x"), "with 'semiseg train'")


def test_pictures_by_the_clock(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    at = small_auto().index(f"training.iterations={SMALL['training.iterations']}")
    sets = small_auto()[: at - 1] + small_auto()[at + 1 :]  # --time determines the iterations
    words = ("run", pictures, "-o", out, "--time", "1s", "--max-side", "32", *sets)
    said = well(call(*words, "--intensity", "zscore", "--parts", "0.4,0.2,0.4"))
    manifest = json.loads((out / "data" / "manifest.json").read_text())
    assert manifest["task"]["intensity"]["kind"] == "zscore"
    parts = [len(manifest["split"][part]) for part in ("train", "validation", "test")]
    assert parts[2] > parts[1]
    refused(call(*words, "--intensity", "zscore"), "other values of --parts")
    assert "method: self-training, the recommended one" in said.out
    assert "fit into 1 s (--time)" in said.out
    config = (out / "training" / "config.yaml").read_text()
    assert "method: self-training" in config
    masks = list((out / "masks").glob("*.png"))
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
    said = well(call("run", few, "-o", tmp_path / "out", *small_auto()))
    assert "method: self-training, the recommended one" in said.out
    assert "unlabelled: none" in said.out


def test_a_refused_word_can_be_corrected(phantom: Path, tmp_path: Path) -> None:
    words = ("run", phantom, "-o", tmp_path / "out", "--method", "supervised", *small())
    refused(call(*words, "--labelled", "99"), "99")
    well(call(*words, "--labelled", "2"))
    left = tmp_path / "out" / "masks" / ".partial-4194305-x.nii.gz"  # of a killed process
    left.touch()
    well(call(*words, "--labelled", "2"))
    assert not left.exists()


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (("--method", "mcsk"), "mcsc"), (("--time", "soon"), "--time soon"),
        (("--device", "tpu"), "tpu"), (("--layout", "nifty"), "nifti"),
    ],
)  # fmt: skip
def test_wrong_words(phantom: Path, tmp_path: Path, words: tuple[str, ...], fragment: str) -> None:
    refused(call("run", phantom, "-o", tmp_path / "out", *words), fragment)


def with_masks(folder: Path, count: int, pictures: Path) -> Path:
    """The pictures, with masks of the first ``count`` only."""
    shutil.copytree(pictures / "images", folder / "images", dirs_exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    for number in range(count):
        name = f"polyp{number}.png"
        if not (folder / "masks" / name).exists():
            shutil.copy2(pictures / "masks" / name, folder / "masks" / name)
    return folder


def test_few_labels_are_cross_validated_and_more_begin_a_new_round(
    pictures: Path, tmp_path: Path
) -> None:
    source, out = with_masks(tmp_path / "set", 4, pictures), tmp_path / "out"
    words = ("run", source, "-o", out, "--method", "supervised", *small(iterations="2"))
    said = well(call(*words))
    assert "leave-one-out cross-validation by patient, since there are only 4" in said.out
    assert "95% interval" in said.out
    assert "4 patients are few" in said.out
    summary = json.loads((out / "cross-validation" / "summary.json").read_text())
    assert (summary["cases"], summary["patients"]) == (4, 4)
    final = json.loads((out / "training" / "split.json").read_text())
    assert sorted(final["labelled"]) == [f"polyp{n}" for n in range(4)]
    assert final["split"]["validation"] == []
    for number in range(1, 5):
        fold = json.loads((out / "cross-validation" / f"fold-{number}" / "split.json").read_text())
        held = set(fold["split"]["test"])
        assert len(held) == 1
        assert not held & {*fold["split"]["train"], *fold["labelled"]}
    assert sorted(p.name for p in (out / "masks").glob("*.png")) == [
        f"polyp{n}.png" for n in range(4, 9)
    ]
    page = (out / "report.html").read_text()
    assert "Cross-validation" in page
    assert "every patient was scored by a network that was not trained on it" in page
    first = tree(out / "training" / "weights", out / "cross-validation")
    new = pictures / "images" / "polyp8.png"
    said = well(call("predict", out, new, "-o", tmp_path / "of-all", "--with-folds"))
    assert f"ensemble of 5 networks: {out / 'training'}, {out / 'cross-validation'}" in said.out

    # the same call again changes nothing
    again = well(call(*words))
    assert "the images and labels have not changed" in again.out
    assert not (out / "rounds").exists()

    # two more masks and a corrected one
    with_masks(source, 6, pictures)
    with Image.open(source / "masks" / "polyp0.png") as mask:
        corrected = np.asarray(mask).copy()
    corrected[:4] = 255
    Image.fromarray(corrected).save(source / "masks" / "polyp0.png")
    dry = well(call(*words, "--dry-run"))
    assert "2 images got a label: polyp4, polyp5." in dry.out
    assert "5 folds" in dry.out
    assert "together about" in dry.out
    assert not (out / "rounds").exists()
    said = well(call(*words))
    assert "since the last call: 2 images got a label: polyp4, polyp5." in said.out
    assert "since the last call: 1 image has another label: polyp0." in said.out
    assert "the network of round 1 has" in said.out
    kept = out / "rounds" / "1"
    assert {k.removeprefix(str(kept)): v for k, v in tree(kept / "training" / "weights",
            kept / "cross-validation").items()} == {
        k.removeprefix(str(out)): v for k, v in first.items()}  # fmt: skip
    second = json.loads((out / "round.json").read_text())
    assert second["number"] == 2
    read: dict[str, set[str]] = {}
    for run in (kept / "training", *sorted((kept / "cross-validation").glob("fold-*"))):
        split = json.loads((run / "split.json").read_text())
        read[str(run.relative_to(out))] = set(split["labelled"])
    for fold, start in zip(second["folds"], second["starts"], strict=False):
        assert start is not None
        assert not read[start] & set(fold)  # the earlier weights have not seen these labels
    config = (out / "training" / "config.yaml").read_text()
    assert str(kept / "training") in config
    page = (out / "report.html").read_text()
    for sentence in ("Since round 1:", "2 images got a label", "started from the weights of the round",
                     "On the same 6 cases"):  # fmt: skip
        assert sentence in page

    # other options begin a round only with other data
    refused(call(*words, "--folds", "3"), "other values of --folds")
    with_masks(source, 7, pictures)
    said = well(call(*words, "--from-scratch"))
    assert "round 3" in said.out
    assert "weights_from: null" in (out / "training" / "config.yaml").read_text()
    assert "(--from-scratch)" in (out / "report.html").read_text()
    assert "the network of round 2 has" in said.out


def test_a_held_out_round_starts_from_the_earlier_weights(tmp_path: Path) -> None:
    draw_pictures(tmp_path / "all", count=16, masks=16)
    source, out = with_masks(tmp_path / "set", 12, tmp_path / "all"), tmp_path / "out"
    words = ("run", source, "-o", out, "--method", "supervised", *small(iterations="1"))
    well(call(*words))
    first = json.loads((out / "training" / "split.json").read_text())["split"]
    assert len(first["validation"]) == 1
    assert len(first["test"]) == 3
    with_masks(source, 15, tmp_path / "all")
    said = well(call(*words))
    second = json.loads((out / "round.json").read_text())
    assert second["starts"] == ["rounds/1/training"]
    assert "The networks started from the weights of the round before." in second["notes"]
    assert "the network of round 1 has" in said.out
    split = json.loads((out / "training" / "split.json").read_text())["split"]
    assert set(first["test"]) <= set(split["test"])
    assert set(first["train"]) <= set(split["train"]) | set(split["test"]) | set(
        split["validation"]
    )


def test_two_labels_cannot_be_scored(pictures: Path, tmp_path: Path) -> None:
    source, out = with_masks(tmp_path / "set", 2, pictures), tmp_path / "out"
    words = ("run", source, "-o", out, "--method", "supervised", *small(iterations="2"))
    said = well(call(*words))
    assert "nothing can be said about the quality" in said.out
    page = (out / "report.html").read_text()
    assert "nothing can be said about the quality" in page
    assert "Images without a label" in page
    assert page.count("data:image/jpeg") >= 6

    # the folder is one that other commands take
    images = pictures / "images"
    well(call("predict", out, images, "-o", tmp_path / "masks"))
    assert len(list((tmp_path / "masks").glob("*.png"))) == 9
    well(call("report", out, "-o", tmp_path / "page.html"))
    assert "nothing can be said" in (tmp_path / "page.html").read_text()
    refused(call("evaluate", out), "has no labelled test or validation case")


def test_a_wrong_word_is_refused_before_anything_is_prepared(
    pictures: Path, tmp_path: Path
) -> None:
    words = ("run", pictures, "-o", tmp_path / "out")
    for more, fragment in (
        (("--method", "mcsk"), "mcsc"),
        (("--set", "training.iteration=3"), "training.iterations"),
        (("--labelled", "99"), "99"),
        (("--time", "1m", "--set", "training.iterations=3"), "contradict"),
    ):
        refused(call(*words, *more), fragment)
        assert not (tmp_path / "out").exists()
