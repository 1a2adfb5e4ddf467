"""Settings that have no effect beside the others are named."""

import pytest

from semiseg.data.manifest import PreparedData
from semiseg.training.configuration import resolve_config
from semiseg.training.without_effect import without_effect


@pytest.mark.parametrize(
    ("method", "settings", "option", "reason"),
    [
        ("supervised", ["swin.embed_dim=8"], "swin.embed_dim", "supervised trains unet"),
        ("supervised", ["networks.embed_dim=8"], "networks.embed_dim", "supervised trains unet"),
        ("supervised", ["data.patch=[8,16,16]"], "data.patch", "slices are trained"),
        ("supervised", ["data.spacing=[1,1,1]"], "data.spacing", "slices are trained"),
        ("supervised", ["data.size=64", "data.crop_size=32"], "data.size", "data.crop_size"),
        ("supervised", ["data.overlap=0.2"], "data.overlap", "whole slices"),
        ("supervised", ["data.foreground=0.2"], "data.foreground", "whole slices"),
        (
            "supervised", ["data.dimensions=3", "data.patch=[8,16,16]", "data.size=64"], "data.size",
            "patches have the size data.patch",
        ),
        ("supervised", ["data.rotation=0", "data.rotation_degrees=9"], "data.rotation_degrees", "is 0"),
        (
            "supervised", ["data.quarter_turns_and_flips=1", "data.rotation=0.3"], "data.rotation",
            "every image is turned",
        ),
        ("supervised", ["data.elastic_spacing=0.5"], "data.elastic_spacing", "data.elastic is 0"),
        (
            "self-training", ["self-training.pseudo_weight=0", "self-training.batch=whole",
            "training.labelled_batch_size=3"], "training.labelled_batch_size",
            "all images of a batch of self-training are labelled",
        ),
        (
            "supervised", ["training.optimiser=adamw", "training.momentum=0.5"], "training.momentum",
            "training.optimiser is adamw",
        ),
        ("mcsc", ["training.schedule=cosine", "training.power=1"], "training.power", "is cosine"),
        (
            "supervised", ["training.labelled_batch_size=3"], "training.labelled_batch_size",
            "all images of a batch of supervised are labelled",
        ),
        (
            "supervised", ["training.iterations=9", "training.keep_weights_at=[5,20]"],
            "training.keep_weights_at", "names 20, but the run has 9 iterations",
        ),
    ],
)  # fmt: skip
def test_a_setting_without_effect_is_named(
    small_data: PreparedData, method: str, settings: list[str], option: str, reason: str
) -> None:
    resolved = resolve_config(small_data.manifest, method, None, settings)
    found = without_effect(resolved, True)
    assert list(found) == [option]
    assert reason in found[option]


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("mcsc", ["swin.embed_dim=8", "networks.dropout=[0,0,0,0,0]"]),
        ("mcsc", ["training.labelled_batch_size=3", "training.momentum=0.5", "training.power=1"]),
        ("supervised", ["training.labelled_batch_size=3", "supervised.batch=labelled"]),
        ("supervised", ["training.labelled_batch_size=3", "training.epochs=2"]),
        ("self-training", ["training.labelled_batch_size=3", "self-training.pseudo_weight=0"]),
        ("supervised", ["data.elastic=0.5", "data.elastic_displacement=0.05"]),
        ("supervised", ["data.crop_size=32", "data.overlap=0.2", "data.foreground=0.2"]),
        ("supervised", ["data.size=64", "data.rotation=0", "training.validate_every=2"]),
        ("supervised", ["training.iterations=9", "training.keep_weights_at=[9]"]),
    ],
)
def test_a_setting_with_an_effect_is_not(
    small_data: PreparedData, method: str, settings: list[str]
) -> None:
    assert without_effect(resolve_config(small_data.manifest, method, None, settings), True) == {}


def test_intervals_of_validation_need_validation_cases(small_data: PreparedData) -> None:
    settings = ["training.validate_every=2", "training.validation_cases=1"]
    resolved = resolve_config(small_data.manifest, "supervised", None, settings)
    assert set(without_effect(resolved, False)) == {
        "training.validate_every", "training.validation_cases",
    }  # fmt: skip


def test_of_a_preset_nothing_is_named(small_data: PreparedData) -> None:
    """It serves several methods."""
    resolved = resolve_config(small_data.manifest, "supervised", "mcsc-acdc", [])
    assert without_effect(resolved, True) == {}
