"""Losses are computed in single precision at least, also where a network runs in half of it."""

import torch
from torch import Tensor


def at_least_single(x: Tensor) -> Tensor:
    """``x`` as float32 where it is narrower."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
