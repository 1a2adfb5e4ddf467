"""The conformance checks themselves: what they refuse, and that no method lacks them."""

import ast
import importlib
import re
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from autocast_cache import emulate_old_cache
from semiseg import methods
from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Method, Step
from semiseg.methods.common.teacher import frozen_copy, update_ema
from semiseg.methods.supervised import Supervised
from semiseg.testing import MethodConformance
from semiseg.testing.data import write_slices

METHODS = Path(__file__).parents[1] / "methods"


class Plain(MethodConformance):
    name = "supervised"


class Follower(Supervised):
    """Its second network is an average of the first, of decay 0 until ``follows``."""

    networks = ("unet", "copy")
    follows: ClassVar[int]

    def __init__(self, task, config) -> None:  # type: ignore[no-untyped-def]
        super().__init__(task, config)
        self.copy = frozen_copy(self.unet)

    def after_step(self, step: Step) -> None:
        update_ema(self.copy, self.unet, 0.0 if step.index < self.follows else 0.9)


class Following(Plain):
    def build(self, data: PreparedData, config: RunConfig, seed: int = 0) -> Method:
        return Follower(data.task, config)


class Peeking(Supervised):
    """Its network runs without a gradient first, without `no_gradient`."""

    def forward(self, batch: Batch, step: Step) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            self.network(batch.images)
        return super().forward(batch, step)


class Peeked(Plain):
    def build(self, data: PreparedData, config: RunConfig, seed: int = 0) -> Method:
        return Peeking(data.task, config)


@pytest.mark.parametrize("name", ["golden_curve", "terms_are_named_and_finite"])
def test_what_a_class_lacks_is_printed(small_data: PreparedData, name: str) -> None:
    failures = (pytest.fail.Exception, AssertionError)
    with pytest.raises(failures, match=r"Plain has no (golden curve|terms)") as raised:
        getattr(Plain(), f"test_{'the_' * (name == 'golden_curve')}{name}")(small_data)
    printed = re.search(r"\{.*\}", str(raised.value))
    assert printed is not None
    found = ast.literal_eval(printed[0])
    assert found == {"supervised"} or list(found) == [0, 5, 10, 19]


def test_a_teacher_may_equal_its_student_at_first_but_not_always(
    small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Follower, "follows", 1, raising=False)
    Following().test_every_network_predicts(small_data)
    monkeypatch.setattr(Follower, "follows", 100)
    with pytest.raises(AssertionError, match="unet and copy predict the same"):
        Following().test_every_network_predicts(small_data)


def test_gradients_lost_in_mixed_precision_are_noticed(
    small_data: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulate_old_cache(monkeypatch)
    with pytest.raises(AssertionError, match="loses gradients"):
        Peeked().test_mixed_precision_reaches_the_same_parameters(small_data)


def test_every_method_has_a_class_for_each_of_its_dimensions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(METHODS)
    modules = [importlib.import_module(file.stem) for file in METHODS.glob("test_*.py")]
    classes = {x for module in modules for x in vars(module).values() if isinstance(x, type)}
    held = {
        (cls.name, cls.dimensions)
        for cls in classes
        if issubclass(cls, MethodConformance) and cls is not MethodConformance
    }
    assert held >= {(e.name, d) for e in methods.BUILT_IN for d in e.dimensions}


def test_the_small_sets_are_the_same_each_time(tmp_path: Path) -> None:
    one, other = (write_slices(tmp_path / name) for name in ("one", "other"))
    assert one.manifest == other.manifest
    assert (one.image("p1") == other.image("p1")).all()
