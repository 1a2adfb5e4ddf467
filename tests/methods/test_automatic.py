"""``auto`` stands for the recommended method."""

import torch

from semiseg import methods
from semiseg.data.manifest import PreparedData
from semiseg.training.configuration import check_options, resolve_config


def test_auto_is_written_down_as_what_it_is(small_data: PreparedData) -> None:
    assert methods.entry("auto").name == "self-training"
    for named in ("auto", None):
        found = resolve_config(small_data.manifest, named, None, small=True).config
        assert (found.method, found.preset) == ("self-training", "cpu")
        assert found.options["network"] == "encoder-unet"
    by_preset = resolve_config(small_data.manifest, None, "cpu").config
    assert by_preset.options["network"] == "encoder-unet"
    assert resolve_config(small_data.manifest, None, "mcsc-acdc").config.method == "mcsc"
    check_options(None, None, ["self-training.guard=true"], torch.device("cpu"))


def test_a_gpu_has_a_preset_of_its_own_for_the_recommended_method(small_data: PreparedData) -> None:
    found = resolve_config(small_data.manifest, "auto", None, large=True)
    assert found.config.preset == "gpu"
    assert found.config.options["network"] == "encoder-unet"
    assert found.origins["training.iterations"] == "preset 'gpu', because there is a GPU"
    # papers' methods keep their papers' settings
    assert resolve_config(small_data.manifest, "mcsc", None, large=True).config.preset is None
