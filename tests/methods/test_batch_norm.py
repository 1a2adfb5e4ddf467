"""Auxiliary forward passes do not change the running averages of batch norm."""

import pytest
import torch
from torch import nn

from semiseg.methods.common.batch_norm import BatchNorm, batch_statistics, features_of, maps_of
from semiseg.networks.segmenter import Segmenter
from semiseg.networks.unet import UNet, UNetConfig


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.Dropout(0.5))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dropout", [True, False])
def test_the_batch_normalises_and_nothing_is_kept(
    network: nn.Sequential, training: bool, dropout: bool
) -> None:
    network.train(training)
    before = {n: x.clone() for n, x in network.state_dict().items()}
    x = torch.randn(4, 1, 5, 5)
    with batch_statistics(network, dropout):
        seen = network(x)
        normalised = network[1](network[0](x))
    torch.testing.assert_close(normalised.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    assert (seen == 0).any() == (training and dropout)
    assert all(torch.equal(value, before[n]) for n, value in network.state_dict().items())
    assert all(m.training is training for m in network.modules())
    assert network[1].track_running_stats is True


def test_modes_come_back_after_an_error(network: nn.Sequential) -> None:
    network.train()
    with pytest.raises(RuntimeError), batch_statistics(network, dropout=False):
        network(torch.zeros(1, 7, 2, 2))
    assert all(m.training for m in network.modules())
    assert network[1].track_running_stats is True


@pytest.mark.parametrize("batch_norm", ["together", "apart"])
def test_maps_of_encoder_and_decoder_are_those_of_one_pass(batch_norm: BatchNorm) -> None:
    """Apart: unlabelled images do not change the maps of labelled ones or the running averages."""
    torch.manual_seed(0)
    config = UNetConfig(channels=(4, 4, 4), dropout=(0, 0, 0))
    network = Segmenter(UNet(1, config), 2, config)
    images = torch.randn(3, 1, 16, 16)
    encoded, decoded = maps_of(network, images, 2, batch_norm)
    averages = [m.running_mean.clone() for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    again = features_of(network, images, 2, batch_norm)
    assert decoded.keys() == again.keys()
    assert all(torch.equal(decoded[key], again[key]) for key in again)
    for key, value in network.decode(encoded).items():
        assert torch.equal(value, decoded[key]) == (batch_norm == "together")
    alone = network.encode(images[:2])
    for one, other in zip(encoded, alone, strict=True):
        assert torch.equal(one[:2], other) == (batch_norm == "apart")
    fresh = Segmenter(UNet(1, config), 2, config)
    fresh.load_state_dict(
        {k: v for k, v in network.state_dict().items() if "running" not in k}, False
    )
    seen = images[:2] if batch_norm == "apart" else images
    fresh.features(seen)
    expected = [m.running_mean for m in fresh.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(torch.equal(one, other) for one, other in zip(averages, expected, strict=True))
