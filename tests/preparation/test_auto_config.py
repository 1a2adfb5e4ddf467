"""Decisions by the data, and their reasons."""

from pathlib import Path

import numpy as np
import pytest

from replicas import save
from semiseg import methods
from semiseg.data.fingerprint import Fingerprint, Spread, measures_of, summarise
from semiseg.data.manifest import Decision, Manifest, PreparedData
from semiseg.data.task import Intensity, Task
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.methods.base import DerivedSetting
from semiseg.methods.mcsc import MCSC
from semiseg.preparation.auto_config import decide, decide_intensity, parse_intensity
from semiseg.training.configuration import resolve_config
from semiseg.training.patients import cases_of, choose_patients
from semiseg.training.plan import Plan, derived_settings, describe
from semiseg.workflows.prepare import prepare

PERCENTILE = Intensity(kind="percentile", low=0.5, high=99.5)


def task(*median_shape: int) -> Task:
    depth, height, width = median_shape
    return Task(
        name="t", kind="volumes", channels=1, classes=("background", "a"), intensity=PERCENTILE,
        median_shape=(depth, height, width),
    )  # fmt: skip


def found(low: int, high: int) -> Fingerprint:
    image = np.random.default_rng(0).integers(low, high, (4, 1, 20, 20)).astype(np.int16)
    image.flat[:2] = low, high
    label = np.zeros((4, 20, 20), np.uint8)
    label[1:3, 5:15, 5:15] = 1
    image[:, 0][label > 0] = np.linspace(20, 120, 200).round()
    return summarise(
        [measures_of(Volume(image, label))], [{1: 200}], [(4, 20, 20)], [None], 2, [True]
    )


@pytest.mark.parametrize(
    ("shape", "size", "word"),
    [
        ((10, 216, 256), 256, "216 x 256"), ((5, 512, 512), 256, "more than 256"),
        ((35, 35, 50), 64, "35 x 50"), ((35, 20, 20), 64, "need 64"), ((9, 100, 90), 96, "100 x 90"),
    ],
)  # fmt: skip
def test_the_size_follows_the_median_slice(
    shape: tuple[int, int, int], size: int, word: str
) -> None:
    sizes = [d for d in decide(task(*shape)) if d.option == "data.size"]
    assert [d.value for d in sizes] == [size]
    assert word in sizes[0].reason


def test_a_ct_gets_the_window_of_its_classes() -> None:
    chosen, reason = decide_intensity(PERCENTILE, found(-1000, 1500))
    assert (chosen.kind, chosen.low, chosen.high) == ("window", 21, 119)
    assert "CT" in reason
    assert decide_intensity(PERCENTILE, found(0, 1500))[0] == PERCENTILE


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("minmax", Intensity(kind="minmax")), ("zscore", Intensity(kind="zscore")),
        ("percentile", PERCENTILE), ("window:-125:275", Intensity(kind="window", low=-125, high=275)),
    ],
)  # fmt: skip
def test_intensity_by_option(text: str, wanted: Intensity) -> None:
    assert parse_intensity(text) == wanted


@pytest.mark.parametrize("text", ["ct", "window", "window:5:1", "window:1.2.3:4", ""])
def test_an_intensity_that_is_none(text: str) -> None:
    with pytest.raises(UserError, match="window:LOW:HIGH"):
        parse_intensity(text)


def test_who_wins_over_the_data(small_data: PreparedData) -> None:
    decision = Decision(option="data.size", value=128, reason="because")
    data = small_data.manifest.model_copy(update={"decisions": (decision,)})
    alone = resolve_config(data, "supervised", None)
    assert (alone.config.data.size, alone.origins["data.size"]) == (128, "the data: because")
    assert resolve_config(data, "supervised", "mcsc-acdc").config.data.size == 224
    assert resolve_config(data, "supervised", None, ["data.size=64"]).config.data.size == 64
    small = resolve_config(data, "supervised", None, small=True)
    assert (small.config.data.size, small.config.preset) == (96, "cpu")
    smaller = data.model_copy(update={"decisions": (decision.model_copy(update={"value": 64}),)})
    assert resolve_config(smaller, "supervised", None, small=True).config.data.size == 64


def test_cross_level_takes_its_own_steps(small_data: PreparedData) -> None:
    decision = Decision(option="data.size", value=224, reason="because")
    data = small_data.manifest.model_copy(update={"decisions": (decision,)})
    resolved = resolve_config(data, "cross-level", None)
    assert resolved.config.data.size == 240
    assert resolved.origins["data.size"] == "the data: because, in steps of 80 for cross-level"


def volumes_of(shape: tuple[int, int, int], *spacings: tuple[float, float, float]) -> Fingerprint:
    between, *within = np.median(spacings, axis=0)
    return found(0, 10).model_copy(
        update={
            "shape": Spread.of([shape]), "spacing": Spread.of(spacings),
            "anisotropy": float(between / np.mean(within)),
        }
    )  # fmt: skip


def settings_of(decisions: tuple[Decision, ...]) -> dict[str, object]:
    return {d.option: d.value for d in decisions}


def test_cubic_voxels_are_trained_as_volumes() -> None:
    shape = (35, 36, 50)
    got = settings_of(decide(task(*shape), volumes_of(shape, (1, 1, 1))))
    assert (got["data.dimensions"], got["data.patch"]) == (3, [32, 32, 48])
    assert "data.spacing" not in got
    large = (300, 512, 512)
    got = settings_of(decide(task(*large), volumes_of(large, (1, 0.8, 0.8), (1.5, 0.9, 0.9))))
    assert got["data.patch"] == [96, 96, 96]
    assert got["data.spacing"] == [1.25, 0.85, 0.85]


@pytest.mark.parametrize(
    ("shape", "spacing"), [((35, 200, 200), (5, 1, 1)), ((10, 200, 200), (1, 1, 1))]
)
def test_stacks_of_thick_or_few_slices_stay_slices(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    assert list(settings_of(decide(task(*shape), volumes_of(shape, spacing)))) == ["data.size"]


def test_who_trains_on_volumes(small_data: PreparedData) -> None:
    shape = (35, 36, 50)
    small_volumes = small_data.task.model_copy(update={"median_shape": shape})
    decisions = decide(small_volumes, volumes_of(shape, (1, 1, 1)))
    data = small_data.manifest.model_copy(update={"task": small_volumes, "decisions": decisions})

    def dimensions(method: str, preset: str | None = None, *given: str, small: bool) -> int:
        return resolve_config(data, method, preset, given, small=small).config.data.dimensions

    assert dimensions("mcsc", small=True) == 3
    assert resolve_config(data, "mcsc", None, small=True).config.preset == "cpu-3d"
    assert dimensions("supervised", small=False) == 3
    assert dimensions("plgcl", small=True) == 2
    assert dimensions("mcsc", "mcsc-cpu", small=True) == 2
    assert dimensions("mcsc", "mcsc-cpu-3d", small=True) == 3
    assert dimensions("mcsc", None, "data.dimensions=2", small=True) == 2
    assert (
        resolve_config(data, "mcsc", None, ["data.dimensions=2"], small=True).config.preset == "cpu"
    )
    large = small_volumes.model_copy(update={"median_shape": (200, 200, 200)})
    data = data.model_copy(update={"task": large})
    assert dimensions("mcsc", small=True) == 2
    assert dimensions("mcsc", small=False) == 3


def test_prepare_says_what_was_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        image = rng.integers(-1000, 1500, (26, 28, 30)).astype(np.int16)
        label = np.zeros(image.shape, np.uint8)
        label[8:16, 8:16, 8:16] = 1
        image[label > 0] = rng.integers(40, 90, 512)
        save(tmp_path / "ct" / "images" / f"p{number}.nii.gz", image, np.eye(4))
        if number:
            save(tmp_path / "ct" / "labels" / f"p{number}.nii.gz", label, np.eye(4))
    manifest = prepare(tmp_path / "ct", tmp_path / "data")
    said = capsys.readouterr().out
    assert (manifest.task.intensity.kind, manifest.task.intensity.low) == ("window", 40)
    assert {case.bounds for case in manifest.cases} == {(40.0, manifest.task.intensity.high)}
    assert "data.dimensions = 3: voxels are nearly isotropic" in said
    assert "40 and 89 become 0 and 1: whole numbers with air and bone indicate a CT" in said
    held = PreparedData(tmp_path / "data").manifest
    assert held.decisions == manifest.decisions
    other = prepare(tmp_path / "ct", tmp_path / "other", intensity="zscore")
    assert other.task.intensity.kind == "zscore"
    assert other.cases[0].bounds[0] == pytest.approx(
        PreparedData(tmp_path / "other").image("p0").mean()
    )


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (np.uint8, "0 and 255 become 0 and 1: usual for pictures of 8 bits per pixel"),
        (np.uint16, "become 0 and 1: usual for images of more than 8 bits per pixel"),
    ],
)
def test_the_reason_of_a_pictures_scale_is_its_depth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dtype: type, words: str
) -> None:
    from PIL import Image

    pixels = np.arange(32 * 32).reshape(32, 32)
    for folder, values in (("images", (pixels % 200).astype(dtype)), ("masks", pixels % 2)):
        (tmp_path / "set" / folder).mkdir(parents=True)
        for number in range(2):
            picture = Image.fromarray(values.astype(dtype if folder == "images" else np.uint8))
            picture.save(tmp_path / "set" / folder / f"n{number}.png")
    prepare(tmp_path / "set", tmp_path / "out", dry_run=True)
    assert words in capsys.readouterr().out


def derived_of(data: Manifest, method: str, *settings: str) -> dict[str, DerivedSetting]:
    return {
        d.option: d for d in derived_settings(resolve_config(data, method, None, settings).config)
    }


def test_what_follows_from_the_input_is_what_methods_do(small_data: PreparedData) -> None:
    """The printed numbers are those of the networks and methods that are built."""
    decision = Decision(option="data.size", value=160, reason="because")
    data = small_data.manifest.model_copy(update={"decisions": (decision,)})
    few = ["unet.channels=[2,2,2,2,2]", "swin.embed_dim=8", "swin.head_dim=4"]
    stated = derived_of(data, "mcsc", *few)
    config = resolve_config(data, "mcsc", None, few).config
    method = methods.entry("mcsc").load()(data.task, config)
    assert isinstance(method, MCSC)
    assert stated["mcsc.scales"].value == list(method.options.scales)
    sides = {s: method.sides[s] for s in method.options.scales}
    assert stated["mcsc.patch_sides"].value == str(sides)
    assert stated["unet.channels"].value == [2] * 5
    level = resolve_config(data, "cross-level", None).config
    found = derived_of(data, "cross-level")["cross-level.patches"]
    assert found.value == level.options["patches"]
    side = level.data.size
    assert found.reason == f"5 x 5 cells of {side // 5} pixels in {side} x {side}"


def test_what_follows_in_three_dimensions(small_data: PreparedData) -> None:
    shape = (35, 36, 50)
    volumes = small_data.task.model_copy(update={"median_shape": shape})
    decisions = decide(volumes, volumes_of(shape, (1, 1, 1)))
    data = small_data.manifest.model_copy(update={"task": volumes, "decisions": decisions})
    got = derived_of(data, "mcsc")
    assert (got["mcsc.scales"].value, got["mcsc.patch_sides"].value) == ([1, 8], "{1: 7, 8: 6}")
    config = resolve_config(data, "mcsc", None).config
    assert {name: s["norm"] for name, s in config.networks.items()} == {
        "unet": "instance", "vnet": "instance"
    }  # fmt: skip


def test_a_training_says_what_follows_from_its_own_input(small_data: PreparedData) -> None:
    words = ["data.size=96", "swin.embed_dim=8", "swin.head_dim=4"]
    split = choose_patients(small_data, "2", None)
    cases = cases_of(small_data, split)
    resolved = resolve_config(small_data.manifest, "mcsc", None, words)
    said = "\n".join(describe(Plan(resolved, split, cases, small_data)))
    assert "mcsc.patch_sides = {1: 8, 8: 6}  (from the input: 19/224 of the side" in said
    assert "96 is halved 4 times, to 6" in said
    assert "plgcl" not in said
    resolved = resolve_config(
        small_data.manifest, "mcsc", None, [*words, "mcsc.patch_sides={1: 5}"]
    )
    said = "\n".join(describe(Plan(resolved, split, cases, small_data)))
    assert "mcsc.patch_sides = {'1': 5}  (from --set)" in said
    assert "19/224" not in said
