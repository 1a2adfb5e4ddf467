"""Learning rates are a function of the step and of the group."""

import math

import pytest
import torch
from torch import nn

from semiseg.config import TrainingConfig
from semiseg.methods.base import ParameterGroup
from semiseg.training.optimiser import build_optimisers, rate_factor, set_rates


def groups() -> list[ParameterGroup]:
    return [
        ParameterGroup("unet", list(nn.Linear(2, 3).parameters())),
        ParameterGroup("swin", list(nn.Linear(3, 2).parameters()), lr_scale=0.2, warmup=0.1),
    ]


def test_polynomial_decay() -> None:
    values = [rate_factor(step, 100, 0.0, 0.9) for step in (0, 25, 50, 99)]
    assert values == pytest.approx([1, 0.75**0.9, 0.5**0.9, 0.01**0.9])
    assert rate_factor(7, 10, 0.0, 0.0) == 1


def test_linear_warm_up_then_polynomial_over_what_remains() -> None:
    values = [rate_factor(step, 100, 0.1, 0.9) for step in (0, 4, 9, 10, 55, 99)]
    assert values == pytest.approx([0.1, 0.5, 1, 1, 0.5**0.9, (1 / 90) ** 0.9])


@pytest.mark.parametrize("total", [1, 2, 3, 7])
def test_short_runs_have_positive_rates(total: int) -> None:
    for warmup in (0.0, 0.05, 0.5, 0.99):
        assert all(0 < rate_factor(step, total, warmup, 0.9) <= 1 for step in range(total))


def test_every_group_has_its_own_rate() -> None:
    config = TrainingConfig(
        iterations=100, optimiser="adamw", learning_rate=5e-4, weight_decay=5e-4
    )
    (optimiser,) = build_optimisers(groups(), config)
    assert isinstance(optimiser, torch.optim.AdamW)
    assert [len(g["params"]) for g in optimiser.param_groups] == [2, 2]
    assert all(g["weight_decay"] == 5e-4 for g in optimiser.param_groups)
    for step, expected in ((0, [5e-4, 1e-5]), (9, [5e-4 * 0.91**0.9, 1e-4]), (55, [
        5e-4 * 0.45**0.9, 1e-4 * 0.5**0.9])):  # fmt: skip
        set_rates([optimiser], step, config)
        assert [g["lr"] for g in optimiser.param_groups] == pytest.approx(expected)


def test_sgd_has_momentum_and_decay() -> None:
    config = TrainingConfig(optimiser="sgd", learning_rate=0.01, momentum=0.8, weight_decay=1e-3)
    (optimiser,) = build_optimisers(groups(), config)
    assert isinstance(optimiser, torch.optim.SGD)
    assert all(g["momentum"] == 0.8 and g["weight_decay"] == 1e-3 for g in optimiser.param_groups)


def test_rates_survive_a_checkpoint() -> None:
    config = TrainingConfig(iterations=50, optimiser="adamw")
    first, second = (build_optimisers(groups(), config)[0] for _ in range(2))
    set_rates([first], 30, config)
    second.load_state_dict(first.state_dict())
    set_rates([first], 31, config)
    set_rates([second], 31, config)
    rates = [[g["lr"] for g in o.param_groups] for o in (first, second)]
    assert rates[0] == rates[1]


def test_half_a_cosine_after_the_warm_up() -> None:
    values = [rate_factor(step, 100, 0.2, None) for step in (0, 19, 20, 60, 99)]
    end = (1 + math.cos(math.pi * 79 / 80)) / 2
    assert values == pytest.approx([0.05, 1, 1, 0.5, end])


def test_the_warm_up_of_a_run_is_every_groups_at_least() -> None:
    config = TrainingConfig(iterations=100, optimiser="adam", warmup=0.05, schedule="cosine")
    (optimiser,) = build_optimisers(groups(), config)
    assert type(optimiser) is torch.optim.Adam
    assert [g["warmup"] for g in optimiser.param_groups] == [0.05, 0.1]
    set_rates([optimiser], 0, config)
    assert [g["lr"] for g in optimiser.param_groups] == pytest.approx([0.01 / 5, 0.002 / 10])


def test_a_fused_step_is_the_step() -> None:
    """Not fused with scaled gradients, which a fused optimiser cannot clip."""
    for name in ("sgd", "adam", "adamw"):
        weights = []
        for precision in ("32-true", "16-mixed"):
            torch.manual_seed(0)
            layer = nn.Linear(3, 2)
            config = TrainingConfig(optimiser=name, precision=precision)
            (optimiser,) = build_optimisers([ParameterGroup("a", list(layer.parameters()))], config)
            assert optimiser.defaults["fused"] is (precision == "32-true")
            for _ in range(3):
                layer(torch.ones(2, 3)).square().sum().backward()
                optimiser.step()
            weights.append(layer.weight.detach())
        torch.testing.assert_close(weights[0], weights[1])
