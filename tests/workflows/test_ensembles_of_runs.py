"""Several runs predict together: the average of their probabilities, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

import replicas
import semiseg
from consoles import Listening
from semiseg.console import Quiet
from semiseg.csv_files import read_csv
from semiseg.data.image_ranges import ChannelRanges, ImageRanges, Range
from semiseg.errors import UserError
from semiseg.inference.confidence import confidence_of
from semiseg.testing.data import VOLUMES, small_settings, write_volumes
from semiseg.training.run_output import Round, RunOutput
from semiseg.workflows.run_arguments import runs_and_images

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
STEP = ("training.iterations=1", "training.validate_every=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_volumes(tmp_path_factory.mktemp("volumes") / "data").folder


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Whole slices, crops, and volumes; two methods."""
    folder = tmp_path_factory.mktemp("ensemble")
    slices = [*small_settings("supervised"), "unet.channels=[4, 4, 4, 4, 4]", *STEP]
    volumes = [*VOLUMES, *STEP, "data.spacing=[2, 1.5, 1.5]"]
    for name, method, settings in (
        ("slices", "supervised", slices),
        ("crops", "mean-teacher", [*slices, "data.crop_size=32"]),
        ("volumes", "supervised", volumes),
    ):
        semiseg.train(
            data, folder / name, method=method, labelled="2", settings=settings, console=Quiet()
        )
    return {name: folder / name for name in ("slices", "crops", "volumes")}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "n1.nii.gz"
    rng = np.random.default_rng(7)
    replicas.save(path, rng.integers(0, 500, (21, 19, 8)).astype(np.int16), AFFINE)
    return path


def copy_of(run: Path, target: Path, **task: Any) -> Path:
    """A copy of a run with other weights and other values in its task."""
    shutil.copytree(run, target)
    known = json.loads((target / "task.json").read_text())
    (target / "task.json").write_text(json.dumps(known | task))
    return target


def with_ranges(run: Path, **changed: Any) -> None:
    """Store ranges of the training images in a run."""
    side, one = Range(low=19, high=21), Range(low=1, high=1)
    levels = (Range(low=0, high=1),) * 3
    ranges = ImageRanges(
        images=12, side=side, aspect=Range(low=1, high=1.2), step=one, slice_step=Range(low=2, high=2),
        view=side, channels=(ChannelRanges(absolute=levels, relative=levels),), ct=None,
    )  # fmt: skip
    facts = json.loads((run / "run.json").read_text())
    facts["training_images"] = ranges.model_copy(update=changed).model_dump(mode="json")
    (run / "run.json").write_text(json.dumps(facts))


def with_folds(runs: dict[str, Path], folder: Path) -> Path:
    """The output of `run` with a cross-validation of two folds."""
    output = RunOutput(folder)
    shutil.copytree(runs["slices"], output.training.folder)
    for index, name in enumerate(("crops", "volumes")):
        shutil.copytree(runs[name], output.fold(index).folder)
    output.write_round(Round(scheme="cross-validation", folds=(("p1",), ("p2",))))
    return folder


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).dataobj)


def test_masks_are_those_of_the_mean_probabilities(
    runs: dict[str, Path], image: Path, tmp_path: Path
) -> None:
    folders, out = list(runs.values()), tmp_path / "masks"
    single = [semiseg.load(run).predict(image, probabilities=True) for run in folders]
    mean = np.mean(single, axis=0)
    assert any((one.argmax(0) != mean.argmax(0)).any() for one in single)
    listener = Listening()
    done = semiseg.predict(folders, [image], out, probabilities=True, console=listener)
    assert (done.written, done.failed) == (1, ())
    named = f"{folders[0]}, {folders[1]} and {folders[2]}"
    assert f"ensemble of 3 networks: {named}" in listener.said
    np.testing.assert_array_equal(voxels(out / "n1.nii.gz"), mean.argmax(0))
    np.testing.assert_allclose(np.moveaxis(voxels(out / "n1_prob.nii.gz"), -1, 0), mean, atol=1e-6)
    (row,) = read_csv(out / "predictions.csv")
    expected = confidence_of(np.moveaxis(mean, -1, 0))
    assert float(row["confidence"]) == pytest.approx(expected, abs=1e-3)
    model = semiseg.load(folders)
    np.testing.assert_array_equal(model.predict(image, probabilities=True), mean)
    np.testing.assert_array_equal(model.predict(str(image)), mean.argmax(0))
    assert (model.run, model.further) == (folders[0], tuple(folders[1:]))
    assert f"further=['{folders[1]}'" in repr(model)
    with pytest.raises(UserError, match=r"three dimensions: give \[D, H, W\]"):
        model.predict(np.zeros((21, 19)))
    with pytest.raises(UserError, match="no spacing"):
        model.predict(np.zeros((8, 21, 19)))


def test_masks_of_another_set_of_runs_are_refused(
    runs: dict[str, Path], image: Path, tmp_path: Path
) -> None:
    slices, crops, volumes = runs.values()
    out = tmp_path / "masks"
    semiseg.predict([slices, crops], [image], out, console=Quiet())
    before = (out / "n1.nii.gz").read_bytes()
    stored = json.loads((out / ".predicted-by.json").read_text())
    assert stored["run"] == str(slices)
    assert [one["run"] for one in stored["further"]] == [str(crops)]
    assert stored["further"][0]["weights"].startswith("best (")
    # the order does not matter, and runs may be moved
    moved = copy_of(slices, tmp_path / "moved")
    for same in ([crops, slices], [moved, crops]):
        assert semiseg.predict(same, [image], out, console=Quiet()).skipped == 1
    words = f"of {moved}, network unet.* and of {crops}, network student"
    for other in (slices, [slices], [slices, volumes], [slices, crops, volumes]):
        with pytest.raises(UserError, match=words):
            semiseg.predict(other, [image], out, console=Quiet())
    assert (out / "n1.nii.gz").read_bytes() == before
    semiseg.predict([slices, volumes], [image], out, overwrite=True, console=Quiet())
    alone = tmp_path / "alone"
    semiseg.predict([slices], [image], alone, console=Quiet())
    assert "further" not in json.loads((alone / ".predicted-by.json").read_text())
    assert semiseg.predict(slices, [image], alone, console=Quiet()).skipped == 1
    with pytest.raises(UserError, match=f"of {slices}, network unet, weights best"):
        semiseg.predict([slices, crops], [image], alone, console=Quiet())


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"channels": 2}, r"the numbers of channels differ \(1 and 2\)"),
        (
            {"classes": ["background", "box", "ball"]},
            r"the classes differ \(background, ball, box and background, box, ball\)",
        ),
        ({"label_values": [0, 7, 9]}, r"the values .* differ \(0, 1, 2 and 0, 7, 9\)"),
        ({"kind": "pictures"}, r"the kinds of images differ \(volumes and pictures\)"),
    ],
)
def test_runs_of_other_tasks_are_refused(
    runs: dict[str, Path], image: Path, tmp_path: Path, task: dict[str, Any], words: str
) -> None:
    ours, other = runs["slices"], copy_of(runs["crops"], tmp_path / "other", **task)
    for call in (
        lambda: semiseg.predict([ours, other], [image], tmp_path / "out", console=Quiet()),
        lambda: semiseg.load([ours, other]),
        lambda: semiseg.evaluate([ours, other], on="validation", console=Quiet()),
    ):
        with pytest.raises(
            UserError, match=f"{ours} and {other} cannot be averaged, since {words}"
        ):
            call()
    assert not (tmp_path / "out").exists()


def test_runs_on_other_modalities_and_depths_are_refused(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    ct, mr = copy_of(runs["slices"], tmp_path / "ct"), copy_of(runs["crops"], tmp_path / "mr")
    with_ranges(ct, ct=True)
    with_ranges(mr, ct=False)
    with pytest.raises(UserError, match=r"modalities .* differ \(CT and not CT\)"):
        semiseg.load([ct, mr])
    # also behind a run of an earlier version, which does not know its modality
    with pytest.raises(UserError, match=f"{ct} and {mr} cannot be averaged"):
        semiseg.load([runs["volumes"], ct, mr])
    for folder, high in ((ct, 255), (mr, 4095)):
        known = json.loads((folder / "task.json").read_text())
        window = {"kind": "window", "low": 0, "high": high}
        changed = known | {"kind": "pictures", "intensity": window}
        (folder / "task.json").write_text(json.dumps(changed))
    with pytest.raises(UserError, match=r"depths .* differ \(8 bits and more than 8 bits\)"):
        semiseg.load([ct, mr])


def test_a_run_counts_once(runs: dict[str, Path], tmp_path: Path) -> None:
    output, slices = with_folds(runs, tmp_path / "out"), runs["slices"]
    again = tmp_path / "link"
    again.symlink_to(slices)
    with pytest.raises(UserError, match="link is given twice: name each run once"):
        semiseg.load([slices, runs["crops"], again])
    with pytest.raises(UserError, match="is given twice"):
        semiseg.load([output, output / "training"])
    with pytest.raises(UserError, match=f"{slices} and {output}.* have the same weights"):
        semiseg.load([slices, output])
    with pytest.raises(UserError, match="No run is given"):
        semiseg.load([])
    with pytest.raises(UserError, match="lost is not a run"):
        semiseg.load([slices, tmp_path / "lost"])


def test_flips_and_networks_concern_every_run(runs: dict[str, Path], tmp_path: Path) -> None:
    folders, out = [runs["slices"], runs["crops"]], tmp_path / "out"
    image = tmp_path / "n.nii.gz"
    replicas.save(image, np.arange(20 * 18 * 3).reshape(20, 18, 3).astype(np.int16), AFFINE)
    semiseg.predict(folders, [image], out, flips=True, console=Quiet())
    assert json.loads((out / ".predicted-by.json").read_text())["flips"] == "yes"
    without = copy_of(runs["volumes"], tmp_path / "without")
    path = without / "config.yaml"
    path.write_text(
        path.read_text().replace("quarter_turns_and_flips: 0.3", "quarter_turns_and_flips: 0")
    )
    with pytest.raises(UserError, match=f"--flips: {without} was trained without flips"):
        semiseg.predict([*folders, without], [image], out, flips=True, console=Quiet())
    with pytest.raises(UserError, match="Unknown network of supervised 'student'"):
        semiseg.load(folders, network="student")


def test_an_image_is_compared_with_the_training_images_of_each_run(
    runs: dict[str, Path], image: Path, tmp_path: Path
) -> None:
    ours, other = (copy_of(runs[name], tmp_path / name) for name in ("slices", "crops"))

    def said(first: float, second: float) -> str:
        for run, step in ((ours, first), (other, second)):
            with_ranges(run, step=Range(low=step, high=step))
        semiseg.predict([ours, other], [image], tmp_path / "out", overwrite=True, console=Quiet())
        (row,) = read_csv(tmp_path / "out" / "predictions.csv")
        (found,) = [one for one in row["remarks"].split("; ") if one.startswith("spacing")] or [""]
        return found

    assert said(1, 1) == ""
    assert said(3, 3) == "spacing: 1 x 1 mm (training images: 3 mm)"
    assert said(1, 3) == f"spacing: 1 x 1 mm (training images: 3 mm), compared with {other}"
    assert said(4, 3) == f"spacing: 1 x 1 mm (training images: 4 mm), compared with {ours}"


def test_the_folds_of_a_cross_validation(
    runs: dict[str, Path], image: Path, data: Path, tmp_path: Path
) -> None:
    output, listener = with_folds(runs, tmp_path / "out"), Listening()
    expected = semiseg.load(list(runs.values())).predict(image, probabilities=True)
    found = semiseg.load(output, with_folds=True)
    np.testing.assert_array_equal(found.predict(image, probabilities=True), expected)
    np.testing.assert_array_equal(  # without the option, the final network alone
        semiseg.load(output).predict(image), semiseg.load(runs["slices"]).predict(image)
    )
    semiseg.predict(output, [image], tmp_path / "masks", with_folds=True, console=listener)
    np.testing.assert_array_equal(voxels(tmp_path / "masks" / "n1.nii.gz"), expected.argmax(0))
    assert any(text.startswith("ensemble of 3 networks: ") for text in listener.said)
    with pytest.raises(UserError, match=r"--with-folds: .*slices has no cross-validation"):
        semiseg.load(runs["slices"], with_folds=True)
    (output / "cross-validation" / "summary.json").touch()
    with pytest.raises(UserError, match="was scored by cross-validation"):
        semiseg.evaluate(output, with_folds=True, console=Quiet())
    weights = output / "cross-validation" / "fold-2" / "weights"
    shutil.rmtree(weights)
    with pytest.raises(UserError, match=r"fold-2.*does not exist: train the run first"):
        semiseg.load(output, with_folds=True)


def test_an_ensemble_is_scored(runs: dict[str, Path], data: Path, tmp_path: Path) -> None:
    folders, listener = list(runs.values()), Listening()
    shown = semiseg.evaluate(folders, on="validation", console=listener)
    assert listener.said[0] == "ensemble of 3 networks (best weights) on validation: 1 case"
    assert listener.said[-1] == "to keep the scores, give a folder with -o"
    assert not any((run / "evaluation").exists() for run in folders)
    out = tmp_path / "scores"
    kept = semiseg.evaluate(folders, on="validation", out=out, console=Quiet())
    assert [one.dice for one in kept.scores] == [one.dice for one in shown.scores]
    of = json.loads((out / "summary.json").read_text())["of"]
    assert of["run"] == " + ".join(sorted(map(str, folders)))
    assert of["network"] == "student + unet + unet"
    with pytest.raises(UserError, match="contains other scores"):
        semiseg.evaluate(folders[:2], on="validation", out=out, console=Quiet())
    # the same scores as those of the masks
    case = np.load(data / "images" / "p5.npy")
    mean = semiseg.load(folders).predict(case[:, 0], spacing=(2, 1, 1))
    label = np.load(data / "labels" / "p5.npy")
    for one in kept.scores:
        overlap = np.logical_and(mean == one.code, label == one.code).sum()
        both = (mean == one.code).sum() + (label == one.code).sum()
        assert one.dice == pytest.approx(2 * overlap / both)


def test_what_an_ensemble_cannot_be_scored_by(runs: dict[str, Path], tmp_path: Path) -> None:
    folders = [runs["slices"], runs["crops"]]
    with pytest.raises(UserError, match=r"protocol paper resamples .* choose --protocol strict"):
        semiseg.evaluate(folders, on="validation", protocol="paper", console=Quiet())
    with pytest.raises(UserError, match=r"--overwrite .* give the folder with -o"):
        semiseg.evaluate(folders, on="validation", overwrite=True, console=Quiet())


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("validation", {"train": ["p1", "p2", "p5"], "validation": ["p3"]}),
        ("test", {"train": ["p1", "p2"], "validation": ["p5"]}),
        ("test", {"train": ["p1", "p2", "p5"], "validation": []}),
    ],
)
def test_a_patient_that_one_run_has_seen_is_not_scored(
    runs: dict[str, Path], data: Path, tmp_path: Path, part: str, change: dict[str, Any]
) -> None:
    first = copy_of(runs["slices"], tmp_path / "first")
    other = copy_of(runs["crops"], tmp_path / "other")
    known = json.loads((other / "split.json").read_text())
    (other / "split.json").write_text(json.dumps(known | {"split": known["split"] | change}))
    if part == "test":
        moved = known["split"] | {"validation": [], "test": ["p5"]}
        (first / "split.json").write_text(json.dumps(known | {"split": moved}))
    assert semiseg.evaluate(first, on=part, console=Quiet()).cases == 1
    for place in (None, data):
        with pytest.raises(UserError, match=rf"{other} was trained or selected on .* \(p5\)"):
            semiseg.evaluate([first, other], on=part, data=place, console=Quiet())


def test_pseudo_labels_of_an_ensemble_need_labels_that_no_run_read(
    runs: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    def reading(name: str, labelled: list[str]) -> Path:
        run = copy_of(runs[name], tmp_path / f"{name}-{labelled[0]}")
        known = json.loads((run / "split.json").read_text())
        (run / "split.json").write_text(json.dumps(known | {"labelled": labelled}))
        return run

    first, same, other = (
        reading("slices", ["p1"]),
        reading("crops", ["p1"]),
        reading("crops", ["p2"]),
    )
    assert semiseg.evaluate([first, same], on="unlabelled", console=Quiet()).cases == 1
    with pytest.raises(UserError, match=r"was trained or selected on .* \(p2\)"):
        semiseg.evaluate([first, other], on="unlabelled", console=Quiet())


def test_runs_come_before_images(runs: dict[str, Path], image: Path, tmp_path: Path) -> None:
    slices, crops, _ = runs.values()
    new, lost = image.parent, tmp_path / "lost"
    assert runs_and_images([slices, new]) == ([slices], [new])
    assert runs_and_images([slices, crops, new, image]) == ([slices, crops], [new, image])
    assert runs_and_images([slices, lost]) == ([slices], [lost])  # the workflow refuses it
    assert runs_and_images([lost, new]) == ([lost], [new])
    # a folder of images may hold a config.yaml of another program
    (new / "config.yaml").write_text("a: 1")
    assert runs_and_images([slices, new]) == ([slices], [new])
    bench = tmp_path / "bench"
    shutil.copytree(slices, bench / "runs" / "one")
    cases: list[tuple[list[Path], str]] = [
        ([slices, crops], f"{crops} is a run: give images or folders of images after the runs"),
        ([new, slices], f"{new} is not a run, but {slices} is: give the runs first"),
        (
            [slices, new, crops],
            f"{crops} is a run, but {new} before it is not: give the runs first",
        ),
        (
            [slices, bench, new],
            f"{bench} is not a run, but it contains 1 run: name .*{bench}/runs/one",
        ),
    ]
    for paths, words in cases:
        with pytest.raises(UserError, match=words):
            runs_and_images(paths)
    # a folder may hold both runs and images
    shutil.copy(image, bench)
    assert runs_and_images([slices, bench]) == ([slices], [bench])


def test_a_folder_without_images_is_said(
    runs: dict[str, Path], image: Path, tmp_path: Path
) -> None:
    listener, empty = Listening(), tmp_path / "empty"
    empty.mkdir()
    semiseg.predict(runs["slices"], [empty, image], tmp_path / "out", console=listener)
    assert f"no image found in {empty}." in listener.said
