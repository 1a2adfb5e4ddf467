"""What the data decide, with a reason each."""

import numpy as np
import pytest

from semiseg.data.fingerprint import Fingerprint, measure, summarise
from semiseg.data.manifest import Decision, PreparedData
from semiseg.data.task import Intensity, Task
from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.workflows.decisions import decide, decide_intensity, parse_intensity
from semiseg.workflows.setting import settle

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
    return summarise([measure(Volume(image, label))], [(4, 20, 20)], [None], 2)


@pytest.mark.parametrize(
    ("shape", "size", "word"),
    [
        ((10, 216, 256), 256, "216 x 256"), ((5, 512, 512), 256, "larger than 256"),
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
    alone = settle(data, "supervised", None)
    assert (alone.config.data.size, alone.origins["data.size"]) == (128, "the data: because")
    assert settle(data, "supervised", "mcsc-acdc").config.data.size == 224
    assert settle(data, "supervised", None, ["data.size=64"]).config.data.size == 64
    small = settle(data, "supervised", None, small=True)
    assert (small.config.data.size, small.config.preset) == (96, "mcsc-cpu")
    smaller = data.model_copy(update={"decisions": (decision.model_copy(update={"value": 64}),)})
    assert settle(smaller, "supervised", None, small=True).config.data.size == 64


def test_cross_level_takes_its_own_steps(small_data: PreparedData) -> None:
    decision = Decision(option="data.size", value=224, reason="because")
    data = small_data.manifest.model_copy(update={"decisions": (decision,)})
    settled = settle(data, "cross-level", None)
    assert settled.config.data.size == 240
    assert settled.origins["data.size"] == "the data: because, in steps of 80"
