"""Losses are computed in at least single precision, also if the network runs in half precision."""

import torch
from torch import Tensor


def at_least_single(x: Tensor) -> Tensor:
    """Return ``x``, converted to float32 if its dtype is float16 or bfloat16."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
