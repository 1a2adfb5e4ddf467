"""The mean of a map over a mask."""

from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return ``sum m v / sum m``; 0 (with a graph) if the mask is 0 everywhere.

    Args:
        values: [B, ...], or [B, K, ...], which is first averaged over K.
        mask: [B, ...] bool or non-negative weights; None: all pixels with equal weights.

    Returns:
        A scalar.
    """
    if mask is None:
        return values.mean()
    if values.ndim > mask.ndim:
        values = values.mean(1)
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1e-8)
