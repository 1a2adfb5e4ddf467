"""Pseudo-labels: formulas, no gradient, no change of the network's state."""

import pytest
import torch
from torch import Tensor, nn

from autocast_cache import emulate_old_cache
from semiseg.data.task import IGNORE_INDEX
from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.common.pseudo_label import (
    confidence_mask,
    hard_pseudo_label,
    ignore_outside,
    predict_probabilities,
    sharpen,
    sharpen_each_class,
    soft_pseudo_label,
)


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 1), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Conv2d(8, 3, 1))


def logits() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dropout", [True, False])
def test_a_frozen_pass_leaves_no_trace(
    network: nn.Sequential, training: bool, dropout: bool
) -> None:
    network.train(training)
    before = {name: x.clone() for name, x in network.state_dict().items()}
    images = torch.randn(4, 1, 5, 5)
    first, second = (predict_probabilities(network, images, dropout) for _ in range(2))
    assert torch.equal(first, second) != dropout  # the argument decides on dropout, in any mode
    assert not first.requires_grad
    assert all(torch.equal(x, before[name]) for name, x in network.state_dict().items())
    assert all(m.training is training for m in network.modules())
    assert network[1].track_running_stats is True
    torch.testing.assert_close(first.sum(1), torch.ones(4, 5, 5))


def test_a_frozen_pass_normalises_by_the_batch(network: nn.Sequential) -> None:
    network.eval()
    images = 5 + torch.randn(4, 1, 5, 5)
    seen = predict_probabilities(network, images)
    network[2].p = 0.0
    network.train()
    torch.testing.assert_close(seen, network(images).softmax(1).detach())


def test_modes_come_back_after_an_error(network: nn.Sequential) -> None:
    network.eval()
    with pytest.raises(RuntimeError), frozen_pass(network, dropout=True):
        network(torch.zeros(1, 7, 2, 2))
    assert not any(m.training for m in network.modules())
    assert torch.is_grad_enabled()


def test_in_mixed_precision_a_pass_after_a_frozen_one_has_gradients(
    network: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulate_old_cache(monkeypatch)
    images = torch.randn(4, 1, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        predict_probabilities(network, images)
        network(images).float().square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_soft_and_hard_ones_carry_no_gradient() -> None:
    x = logits().requires_grad_()
    soft, hard = soft_pseudo_label(x), hard_pseudo_label(x)
    assert not soft.requires_grad
    assert hard.dtype == torch.int64
    assert hard.shape == (2, 4, 5)
    assert torch.equal(hard, soft.argmax(1))
    torch.testing.assert_close(soft, x.detach().exp() / x.detach().exp().sum(1, keepdim=True))
    assert soft_pseudo_label(x.half()).dtype == torch.float32


def test_what_is_not_confident_is_ignored() -> None:
    p = soft_pseudo_label(logits())
    mask = confidence_mask(p, 0.8)
    labels = ignore_outside(hard_pseudo_label(p), mask)
    assert 0 < mask.sum() < mask.numel()
    for b in range(2):
        for r in range(4):
            for c in range(5):
                best = max(range(3), key=lambda k: float(p[b, k, r, c]))
                sure = float(p[b, best, r, c]) >= 0.8
                assert labels[b, r, c] == (best if sure else IGNORE_INDEX)
    assert confidence_mask(torch.tensor([[0.5], [0.5]]).T, 0.5).all()  # "at least"


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 2.0])
def test_sharpening_is_the_printed_formula(temperature: float) -> None:
    p = soft_pseudo_label(logits())
    sharp = sharpen(p, temperature)
    for b, r, c in ((0, 0, 0), (1, 3, 4), (0, 2, 1)):
        powers = [float(p[b, k, r, c]) ** (1 / temperature) for k in range(3)]
        for k in range(3):
            assert float(sharp[b, k, r, c]) == pytest.approx(powers[k] / sum(powers), rel=1e-9)
    assert torch.autograd.gradcheck(
        lambda x: sharpen(x.softmax(1), temperature), logits().requires_grad_()
    )


def test_sharpening_stays_finite() -> None:
    p = torch.tensor([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.6, 0.4, 0.0]]).requires_grad_()
    sharp = sharpen(p, 0.001)  # (1/3)^1000 is 0 in single precision
    torch.testing.assert_close(sharp[:2], p[:2])
    torch.testing.assert_close(sharp[2], torch.tensor([1.0, 0.0, 0.0]))
    (sharp * torch.arange(3)).sum().backward()
    assert p.grad is not None
    assert torch.isfinite(p.grad).all()


def test_sharpening_each_class_is_the_printed_formula() -> None:
    generator = torch.Generator().manual_seed(2)
    p = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64).softmax(1)
    for temperature in (0.1, 0.5, 1.0):
        power = 1 / temperature
        expected = [
            float(x) ** power / (float(x) ** power + (1 - float(x)) ** power) for x in p.flatten()
        ]
        found = sharpen_each_class(p, temperature)
        assert found.flatten().tolist() == pytest.approx(expected, rel=1e-9)
    two = p[:, :2] / p[:, :2].sum(1, keepdim=True)
    torch.testing.assert_close(sharpen_each_class(two, 0.1), sharpen(two, 0.1))
    p.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sharpen_each_class(x, 0.5), p)


@pytest.mark.parametrize("temperature", [0.001, 0.1, 1.0])
def test_sharpening_each_class_of_certain_predictions_is_finite(temperature: float) -> None:
    p = torch.tensor([[[0.0, 1.0, 0.5, 1e-30]], [[1.0, 0.0, 0.5, 1.0]]]).requires_grad_()
    found = sharpen_each_class(p, temperature)
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert p.grad is not None
    assert torch.isfinite(p.grad).all()
    assert sharpen_each_class(p.half(), temperature).dtype == torch.float32
