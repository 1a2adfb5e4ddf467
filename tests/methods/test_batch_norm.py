"""Auxiliary forward passes do not change the running averages of batch norm."""

import pytest
import torch
from torch import nn

from semiseg.methods.common.batch_norm import batch_statistics


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
