"""The mean of a map over the pixels that count."""

from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """``sum m v / sum m``; 0 (with a graph) where the mask is 0 everywhere.

    Args:
        values: [B, ...] for each pixel, or [B, K, ...], of which the mean over K is taken first.
        mask: [B, ...] bool, or weights that are not negative; None: all pixels, with equal weights.

    Returns:
        A scalar.
    """
    if mask is None:
        return values.mean()
    if values.ndim > mask.ndim:
        values = values.mean(1)
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1e-8)
