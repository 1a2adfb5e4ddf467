"""Monte Carlo dropout against a loop, and the noise on a teacher's input."""

import math

import pytest
import torch
from torch import nn

from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.common.input_noise import input_noise
from semiseg.methods.common.monte_carlo import monte_carlo, noisy_passes


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 1), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Conv2d(8, 3, 1)
    ).eval()


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_mean_and_entropy_are_those_of_the_passes(network: nn.Sequential, noise: float) -> None:
    images = torch.randn(2, 1, 3, 4)
    torch.manual_seed(5)
    found = monte_carlo(network, images, passes=4, noise=noise)
    torch.manual_seed(5)
    passes = []
    with frozen_pass(network, dropout=True):
        for _ in range(4):
            seen = images + (0.1 * torch.randn_like(images)).clamp(-0.2, 0.2) if noise else images
            passes.append(network(seen).softmax(1))
    assert not torch.equal(passes[0], passes[1])
    mean = torch.stack(passes).mean(0)
    torch.testing.assert_close(found.probabilities, mean)
    for b in range(2):
        for r in range(3):
            for c in range(4):
                u = -sum(float(p) * math.log(float(p)) for p in mean[b, :, r, c])
                assert float(found.entropy[b, r, c]) == pytest.approx(u, rel=1e-5)


def test_it_leaves_no_trace(network: nn.Sequential) -> None:
    before = {name: x.clone() for name, x in network.state_dict().items()}
    found = monte_carlo(network, torch.randn(2, 1, 3, 4), passes=2)
    assert not found.probabilities.requires_grad
    assert all(torch.equal(x, before[name]) for name, x in network.state_dict().items())
    assert not any(m.training for m in network.modules())


def test_no_pass_is_refused(network: nn.Sequential) -> None:
    with pytest.raises(ValueError, match="passes must be at least 1, got 0"):
        monte_carlo(network, torch.randn(1, 1, 3, 4), passes=0)


def test_each_pass_is_a_frozen_pass_of_its_own(network: nn.Sequential) -> None:
    images = torch.randn(2, 1, 3, 4)
    torch.manual_seed(5)
    expected = []
    for _ in range(3):
        with frozen_pass(network, dropout=True):
            expected.append(network(images + (0.3 * torch.randn_like(images)).clamp(-0.4, 0.4)))
    torch.manual_seed(5)
    count = 0
    for output in noisy_passes(network, network, images, 3, 0.3, 0.4):
        assert torch.equal(output, expected[count])
        assert not output.requires_grad
        assert torch.is_grad_enabled()  # between the passes
        assert not any(m.training for m in network.modules())
        count += 1
    assert count == 3


def test_noise_is_limited_and_the_seeds() -> None:
    images = torch.full((2, 1, 64, 64), 3.0)
    torch.manual_seed(1)
    first = input_noise(images)
    torch.manual_seed(1)
    assert torch.equal(first, input_noise(images))
    added = first - images
    assert float(added.abs().max()) == pytest.approx(0.2, abs=1e-6)  # some of 8,192 values reach it
    assert float(added.std()) == pytest.approx(0.096, abs=0.005)
