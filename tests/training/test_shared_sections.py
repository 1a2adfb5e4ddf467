"""A method and a network of one name share a section of the configuration."""

from pathlib import Path
from typing import Any

import pytest
import torch

from semiseg import methods
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.methods.base import NetworkOptions
from semiseg.methods.supervised import Supervised
from semiseg.testing.data import small_settings
from semiseg.training.configuration import check_options, resolve_config
from semiseg.training.plan import describe, plan_training
from semiseg.training.run_folder import from_file_form, to_file_form
from semiseg.workflows.run.request import methods_of

USE = "supervised.network=batformer"
MISTYPED = r"batformer\.windw.*batformer\.window"


def preset(folder: Path, text: str) -> str:
    path = folder / "preset.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_mistyped_option_of_a_shared_section_is_an_error(
    small_data: PreparedData, tmp_path: Path
) -> None:
    manifest = small_data.manifest
    mistyped = preset(tmp_path, "batformer: {windw: 8}")
    with pytest.raises(UserError, match=MISTYPED):
        resolve_config(manifest, "supervised", mistyped, [USE])
    with pytest.raises(UserError, match=MISTYPED):
        resolve_config(manifest, "supervised", None, [USE], {"batformer": {"windw": 8}})
    with pytest.raises(UserError, match=MISTYPED):
        resolve_config(manifest, "supervised", None, [USE, "batformer.windw=8"])
    with pytest.raises(UserError, match=MISTYPED):
        check_options("supervised", None, ["batformer.windw=3"], torch.device("cpu"))
    both = preset(tmp_path, "batformer: {fraction_weight: 0.1, window: 8}")
    found = resolve_config(manifest, "supervised", both, [USE])
    assert found.config.networks["batformer"]["window"] == 8
    assert "batformer.fraction_weight" not in found.origins


class ApartOptions(NetworkOptions):
    """Options that no network has."""

    gain: float = 1.0


class OverlappingOptions(NetworkOptions):
    """An option that the U-Net has too."""

    channels: int = 1


class NamedLikeAnotherNetwork(Supervised):
    """A method ``unet`` that trains the network of its option."""

    Options = ApartOptions


class WithAnOptionOfTheNetwork(Supervised):
    """A method ``unet`` whose section could not hold all options."""

    Options = OverlappingOptions


class Point:
    """An entry point of another package."""

    value = "a package"

    def __init__(self, entry: methods.Entry) -> None:
        self.load = lambda: entry


def install(monkeypatch: pytest.MonkeyPatch, cls: type) -> None:
    """Add a method ``unet`` as another package would."""
    entry = methods.Entry("unet", 2026, "a test", "none", f"{__name__}:{cls.__name__}", (2,))

    def points(group: str) -> list[Point]:
        return [Point(entry)] if group == "semiseg.methods" else []

    monkeypatch.setattr("semiseg.plugins.entry_points", points)


def test_options_of_one_name_are_refused(
    small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, WithAnOptionOfTheNetwork)
    with pytest.raises(UserError, match=r"method unet and the network unet.*both have channels"):
        resolve_config(small_data.manifest, "unet", None)


def test_a_method_with_the_name_of_a_network_that_it_does_not_train(
    small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, NamedLikeAnotherNetwork)
    settings = (*small_settings("unet"), "unet.network=swin", "unet.gain=2")
    plan = plan_training(small_data, "unet", "2", None, None, settings, torch.device("cpu"))
    assert set(plan.config.networks) == {"swin"}
    assert from_file_form(to_file_form(plan.config)) == plan.config
    lines = "\n".join(describe(plan))
    assert "unet.gain = 2.0  (from --set)" in lines
    assert "unet.channels has no effect: unet trains swin" in lines
    settings = (*small_settings("unet"), "unet.gain=2")
    plan = plan_training(small_data, "unet", "2", None, None, settings, torch.device("cpu"))
    assert from_file_form(to_file_form(plan.config)) == plan.config
    assert "unet.channels = [8, 8, 8, 8, 8]  (from --set)" in "\n".join(describe(plan))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (["nnformer.embed_dim=48"], []),
        (["batformer.window=8", "unet.sigmoid=true"], []),
        (["nnformer.deep_supervision=0.4", "nnformer.embed_dim=48"], ["nnformer"]),
        (["plgcl.head_width=8", "batformer.window=8"], ["plgcl"]),
        (["cross_level.patches=2"], ["cross-level"]),
    ],
)
def test_options_of_a_network_do_not_choose_the_method_of_its_name(
    settings: list[str], names: list[Any]
) -> None:
    assert methods_of(settings) == names
