"""Autocast as before torch's pull request 165068, on any torch."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor


def emulate_old_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let convolutions and linear layers reuse casts of their weights, also casts without a graph.

    The cache lasts until `torch.clear_autocast_cache` or the end of the test.
    """
    cache: dict[int, Tensor] = {}

    def cast(x: Tensor) -> Tensor:
        kept = x.requires_grad and x.is_leaf and torch.is_autocast_enabled("cpu")
        if kept and id(x) not in cache:
            cache[id(x)] = x.to(torch.bfloat16)
        return cache[id(x)] if kept else x

    def patch(name: str) -> None:
        real = getattr(F, name)

        def patched(x: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any) -> Tensor:
            result: Tensor = real(x, cast(weight), None if bias is None else cast(bias), *rest)
            return result

        monkeypatch.setattr(F, name, patched)

    for name in ("conv2d", "conv3d", "conv_transpose2d", "conv_transpose3d", "linear"):
        patch(name)
    monkeypatch.setattr(torch, "clear_autocast_cache", cache.clear)
