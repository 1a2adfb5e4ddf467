"""The options of augmentation through the command line, from the training to its mirrored predictions."""

from pathlib import Path

from commandline import call, refused, small, tree, well
from hearts import write_hearts

UNET = ("--set", "self-training.network=unet")


def test_every_option_trains_and_flips_follow_the_mirrored_axes(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = (
        "data.quarter_turns_and_flips=0", "data.mirror_axes=[1]", "data.elastic=0.5",
        "data.elastic_spacing=0.2", "self-training.low_resolution_probability=0.5",
        "self-training.inverted_gamma_probability=0.5", "self-training.on_labelled=true",
        "self-training.pseudo_weight=0", "self-training.deep_supervision=2",
        "training.iterations=2",
    )  # fmt: skip
    words = [word for option in options for word in ("--set", option)]
    train = ("train", data, "--method", "self-training", "--labelled", "2", "-o", run)
    said = well(call(*train, *small(), *UNET, *words))
    assert "(not used by self-training)" in said.out
    assert "data.elastic_spacing has no effect" not in said.out
    well(call("evaluate", run, "--on", "test", "--flips"))
    well(call("report", run))
    assert "not used by self-training" in (run / "report.html").read_text()


def test_wrong_options_are_refused_before_anything_is_written(data: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    for option, *words in (
        ("data.mirror_axes=[2]", "mirror_axes", "0, 1"),
        ("data.mirror_axes=[1, 1]", "mirror_axes"),
        ("data.elastic=2", "data.elastic"),
        ("supervised.deep_supervision=7", "use at most"),
    ):
        said = call(
            "train", data, "--method", "supervised", "-o", tmp_path / "run", *small(), "--set", option
        )  # fmt: skip
        refused(said, *words)
    folds = ("--set", "data.elastic=1", "--set", "data.elastic_displacement=0.2")
    said = call("train", data, "--method", "supervised", "-o", tmp_path / "run", *small(), *folds)
    refused(said, "at most 0.4 of elastic_spacing", "fold")
    assert tree(tmp_path) == before


def test_data_without_unlabelled_images_train_a_moving_average(tmp_path: Path) -> None:
    source, data, out = write_hearts(tmp_path / "hearts"), tmp_path / "data", tmp_path / "run"
    well(call("prepare", source, "-o", data))
    said = well(call("train", data, "--method", "self-training", "-o", out, *small(), *UNET))
    assert "none (self-training trains on labelled images alone)" in said.out
