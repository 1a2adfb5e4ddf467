"""Contrast and consistency between an image and its patches.

Zhao et al., Cross-level contrastive learning and consistency constraint for
semi-supervised medical image segmentation (ISBI 2022).
"""

from typing import Literal

import torch
from torch import Tensor

from semiseg.losses.precision import at_least_single


def cross_level_contrast(
    full: Tensor,
    patches: Tensor,
    temperature: float,
    negatives: int | None = None,
    negatives_from: Literal["full", "patches"] = "full",
) -> Tensor:
    """Equation 1, mean over cells and images.

    ``-log exp(q_i.k_i/tau) / (exp(q_i.k_i/tau) + sum_{j != i} exp(q_i.q_j/tau))``: the query is
    a cell of the full image, the positive is the patch at the same position, and the negatives are
    other cells of the same full image.

    Args:
        full: [B, N, D] embeddings q of the full images' N cells, of unit length.
        patches: [B, N, D] embeddings k of the N patches, of unit length.
        temperature: tau.
        negatives: number of negatives drawn for each query ("randomly selected"); default: all.
        negatives_from: ``patches`` uses q_i.k_j instead of q_i.q_j.

    Returns:
        A scalar; 0 if there is only one cell.
    """
    with torch.autocast(full.device.type, enabled=False):
        full, patches = at_least_single(full), at_least_single(patches)
        positive = (full * patches).sum(-1) / temperature
        others = full if negatives_from == "full" else patches
        similarity = full @ others.mT / temperature
        count = full.shape[1]
        itself = torch.eye(count, dtype=torch.bool, device=full.device)
        if negatives is not None and negatives < count - 1:
            draw = torch.rand_like(similarity).masked_fill(itself, -1)
            chosen = draw.topk(negatives, -1).indices
            logits = torch.cat([positive[..., None], similarity.gather(-1, chosen)], -1)
        else:
            logits = torch.where(itself, positive[..., None], similarity)
        return (logits.logsumexp(-1) - positive).mean()


def cross_level_consistency(full: Tensor, patches: Tensor) -> Tensor:
    """Equation 2: ``sum_i MSE(h(z_i), h(Z)_i)``, sum over an image's N cells, mean over images.

    Args:
        full: [B, N, K, h, w] probabilities of the full image, cut into its cells.
        patches: [B, N, K, h, w] probabilities of the patches.

    Returns:
        A scalar.
    """
    difference = at_least_single(full) - at_least_single(patches)
    return difference.square().mean((2, 3, 4)).sum(1).mean()
