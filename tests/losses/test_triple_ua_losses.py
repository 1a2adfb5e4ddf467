"""The losses of Triple-UA against loops in float64."""

import numpy as np
import pytest
import torch

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.triple_ua import reconstruction_mse, weighted_mse


@pytest.mark.parametrize("channels", [1, 3])
def test_the_weighted_error_is_a_plain_mean(channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    found, target = torch.randn(2, 2, 3, 4, 5, generator=generator, dtype=torch.float64)
    weight = torch.rand(2, channels, 4, 5, generator=generator, dtype=torch.float64)
    total = 0.0
    for b, c, row, column in np.ndindex(2, 3, 4, 5):
        w = weight[b, c if channels == 3 else 0, row, column].item()
        total += w * (found[b, c, row, column].item() - target[b, c, row, column].item()) ** 2
    loss = weighted_mse(found, target, weight)
    assert loss.item() == pytest.approx(total / (2 * 3 * 4 * 5), rel=1e-12)
    halved = weighted_mse(found, target, weight / 2)
    assert halved.item() == pytest.approx(loss.item() / 2, rel=1e-12)
    found.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: weighted_mse(x, target, weight), (found,))
    assert weighted_mse(found, target, torch.zeros_like(weight)).item() == 0


def test_the_reconstruction_is_of_foreground_and_background() -> None:
    generator = torch.Generator().manual_seed(0)
    found = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    images = torch.randn(2, 2, 3, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (2, 3, 3), generator=generator)
    labels[0, 0] = IGNORE_INDEX
    total, count = 0.0, 0
    for b, row, column in np.ndindex(2, 3, 3):
        if labels[b, row, column] == IGNORE_INDEX:
            continue
        inside = labels[b, row, column].item() > 0
        for k in range(2):
            x = images[b, k, row, column].item()
            total += (found[b, k, row, column].item() - (x if inside else 0)) ** 2
            total += (found[b, 2 + k, row, column].item() - (0 if inside else x)) ** 2
            count += 2
    loss = reconstruction_mse(found, images, labels)
    assert loss.item() == pytest.approx(total / count, rel=1e-12)
    found.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: reconstruction_mse(x, images, labels), (found,))
    labels.fill_(IGNORE_INDEX)
    assert reconstruction_mse(found, images, labels).item() == 0
