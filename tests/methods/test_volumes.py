"""Methods on volumes: what is particular to them. Conformance is in each method's own tests."""

import pytest
import torch
import torch.nn.functional as F

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.losses.dice import dice_loss, supervised_loss
from semiseg.methods.base import Method, Step
from semiseg.methods.common.points import shrink_labels
from semiseg.methods.mcsc import tile
from semiseg.testing.case import MethodCase
from semiseg.testing.data import small_settings, write_volumes
from semiseg.training.configuration import count_iterations, resolve_config
from semiseg.training.patients import cases_of
from semiseg.training.run_folder import RunSplit


class Volumes(MethodCase):
    dimensions = 3


batch = Volumes().batch


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return write_volumes(tmp_path_factory.mktemp("deep") / "data")


def config_of(data: PreparedData, name: str, *more: str) -> RunConfig:
    return resolve_config(data.manifest, name, None, [*small_settings(name, 3), *more]).config


def build(data: PreparedData, name: str, *more: str) -> Method:
    torch.manual_seed(0)
    return methods.entry(name).load()(data.task, config_of(data, name, *more))


@pytest.mark.parametrize("name", ["supervised", "cross-teaching", "mcsc"])
def test_gradients_with_instance_norm(volumes: PreparedData, name: str) -> None:
    method = build(volumes, name, "networks.norm=instance")
    torch.stack(list(method(batch(), Step(99, 100)).values())).sum().backward()
    parameters = dict(method.named_parameters())
    reached = {n for n, p in parameters.items() if p.grad is not None}
    assert reached == {n for n, p in parameters.items() if p.requires_grad}


@pytest.mark.parametrize("name", ["cross-teaching", "mcsc"])
def test_the_pair_of_volumes_is_a_u_net_and_a_v_net(volumes: PreparedData, name: str) -> None:
    assert build(volumes, name).network_names == ("unet", "vnet")


def test_cross_teaching_is_that_of_slices(volumes: PreparedData) -> None:
    method, given = build(volumes, "cross-teaching").eval(), batch()
    cnn, vnet = (method.logits(given.images, n) for n in ("unet", "vnet"))
    terms = method(given, Step(100, 100))
    expected = {
        "supervised_unet": supervised_loss(cnn[:2], given.labels),
        "supervised_vnet": supervised_loss(vnet[:2], given.labels),
        "cross_unet": 0.1 * dice_loss(cnn[2:].softmax(1), vnet[2:].argmax(1)),
        "cross_vnet": 0.1 * dice_loss(vnet[2:].softmax(1), cnn[2:].argmax(1)),
    }
    for key, value in expected.items():
        torch.testing.assert_close(terms[key], value)
    groups = {g.name: g for g in method.parameter_groups()}
    assert set(groups) == {"unet", "vnet"}


def test_the_contrast_of_cubes_is_equation_2(volumes: PreparedData) -> None:
    """One cube a map holds it whole, so that nothing is left to chance."""
    more = ("mcsc.scales=[2]", "mcsc.patch_sides={2: 99}", "mcsc.contrast_weight=1")
    method = build(volumes, "mcsc", *more).double().eval()
    given = batch(3)
    images = given.images.double()
    with torch.no_grad():
        features = {n: getattr(method, n).features(images) for n in ("unet", "vnet")}
        found = method(Batch(images, given.labels), Step(99, 100))["contrast_2"]
        pseudo = {n: getattr(method, n).classify(f)[2:].argmax(1) for n, f in features.items()}
        rows, classes = [], []
        for name, other in (("unet", "vnet"), ("vnet", "unet")):
            guide = torch.cat([given.labels, pseudo[other]])  # crossed
            maps = features[name][2]
            guide = shrink_labels(guide, maps.shape[2:])
            pixels = maps.movedim(1, -1).flatten(0, -2)
            rows.append(method.projectors["2"](pixels, name))  # type: ignore[index]
            classes.append(guide.flatten())
        chosen = torch.cat(classes)
        a = F.normalize(torch.cat(rows), dim=1)
        counts = torch.bincount(chosen, minlength=3).double()
        e = torch.exp(a @ a.T / 0.1)
        denominator = (e / counts[chosen]).sum(1)
        same = (chosen[:, None] == chosen).fill_diagonal_(False)
        fractions = torch.log(e / denominator[:, None])
        expected = -((fractions * same).sum(1) / same.sum(1).clamp(min=1)).mean()
    torch.testing.assert_close(found, expected)


def test_tiles_cover_a_small_map_with_little_to_spare() -> None:
    assert tile(7, (16, 16, 24)) == (6, 6, 6)
    assert tile(6, (8, 8, 12)) == (4, 4, 6)
    assert tile(6, (4, 4, 6)) == (4, 4, 6)
    assert tile(1, (5, 3, 2)) == (1, 1, 1)
    assert tile(19, (224, 224)) == (19, 19)  # the paper's


@pytest.mark.parametrize("name", ["cross-level", "plgcl"])
def test_methods_for_slices_say_so(volumes: PreparedData, name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} is for slices: .*data\.dimensions=2.*mcsc"):
        config_of(volumes, name)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["data.patch=null"], r"data: dimensions=3 needs .* data\.patch=\[32,64,64\]"),
        (["data.crop=0.2"], "crop is for slices"),
        (["data.patch=[8, 8]"], r"data\.patch"),
        (["data.patch=[8, 16, 0]"], r"data\.patch"),
        (["data.spacing=[1, 1, 0]"], r"data\.spacing"),
        (["data.overlap=1"], r"data\.overlap"),
        (["data.dimensions=4"], r"data\.dimensions must be 2 or 3"),
        (["vnet.blocks=[1]"], "channels and blocks need one entry per stage"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(
    volumes: PreparedData, settings: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said) as error:
        config_of(volumes, "cross-teaching", *settings)
    assert "\n" not in str(error.value)


def test_sizes_and_scales_that_the_networks_lack_are_refused(volumes: PreparedData) -> None:
    with pytest.raises(UserError, match=r"data\.patch \[8, 18, 16\] does not fit a V-Net"):
        build(volumes, "cross-teaching", "data.patch=[8, 18, 16]")
    with pytest.raises(UserError, match="V-Net of 4 stages"):
        build(
            volumes, "cross-teaching", "data.patch=[12, 12, 12]",
            "vnet.channels=[4, 4, 4, 4]", "vnet.blocks=[1, 1, 1, 1]",
        )  # fmt: skip
    with pytest.raises(UserError, match="unet has no map at 1/8"):
        build(volumes, "mcsc", "mcsc.scales=[8]")


def test_an_epoch_is_a_patch_of_every_labelled_volume(volumes: PreparedData) -> None:
    cases = cases_of(volumes, RunSplit(split=volumes.manifest.split, labelled=("p1", "p2")))
    more = ("training.epochs=5", "training.batch_size=2", "training.labelled_batch_size=1")
    small = [s for s in small_settings("mcsc", 3) if not s.startswith("training.iterations")]
    resolved = resolve_config(volumes.manifest, "mcsc", None, [*small, *more])
    counted = count_iterations(resolved, cases)
    assert counted.config.training.iterations == 10
    assert "2 labelled volumes" in counted.origins["training.iterations"]


def test_pictures_are_no_volumes(volumes: PreparedData) -> None:
    task = volumes.task.model_copy(update={"kind": "pictures"})
    with pytest.raises(UserError, match="these are pictures: take 2"):
        resolve_config(
            volumes.manifest.model_copy(update={"task": task}),
            "supervised",
            None,
            small_settings("supervised", 3),
        )
