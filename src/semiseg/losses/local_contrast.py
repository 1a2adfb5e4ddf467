"""The local contrastive loss of LCLPL (Chaitanya et al., Medical Image Analysis 2023)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.losses.ignore import one_hot
from semiseg.losses.precision import at_least_single

ABSENT = -1e9  # logit of the mean of an absent class; exp() of it is 0


def draw_anchors(labels: Tensor, classes: int, count: int) -> tuple[Tensor, Tensor]:
    """Draw up to ``count`` pixels of each foreground class of each image, without replacement.

    Args:
        labels: [B, ...] int64 class codes or ``IGNORE_INDEX``.
        classes: K.
        count: A.

    Returns:
        Positions [B, K - 1, A] in the flattened image, and whether each is a pixel of its class
        [B, K - 1, A] bool. A is at most the number of pixels.
    """
    member = one_hot(labels, classes)[:, 1:].flatten(2) > 0
    draw = torch.rand(member.shape, device=labels.device).masked_fill(~member, -1)
    drawn = draw.topk(min(count, draw.shape[2]), dim=2)
    return drawn.indices, drawn.values >= 0


def local_contrast(
    embeddings: Tensor,
    labels: Tensor,
    classes: int,
    anchors: tuple[Tensor, Tensor],
    partners: Tensor | None,
    temperature: float = 0.1,
) -> Tensor:
    """Contrast pixels with class means of their image and of another image.

    For an anchor z of class c in image i with partner j and for each m of (m_ic, m_jc):
    ``-ln exp(cos(z, m)/tau) / sum_{h in (i, j)} sum_k exp(cos(z, m_hk)/tau)``. m_hk is the mean embedding
    of class k in image h. Classes are foreground classes; those that an image lacks are left out. The
    result is the mean over all pairs (z, m).

    Args:
        embeddings: [B, D, ...], not normalised.
        labels: [B, ...] int64 class codes or ``IGNORE_INDEX``.
        classes: K.
        anchors: see `draw_anchors`.
        partners: [B] int64, the partner of each image; None: contrast within images only.
        temperature: tau.

    Returns:
        A scalar; 0 (with a graph) without foreground.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        pixels = at_least_single(embeddings).flatten(2).transpose(1, 2)  # [B, N, D]
        member = one_hot(labels, classes, pixels.dtype)[:, 1:].flatten(2)  # [B, C, N]
        count = member.sum(2)
        present = count > 0
        means = F.normalize(member @ pixels / count.clamp(min=1)[..., None], dim=2)  # [B, C, D]
        place, valid = anchors
        rows = torch.arange(len(pixels), device=pixels.device)[:, None, None]
        z = F.normalize(pixels[rows, place], dim=3)  # [B, C, A, D]

        def similarity(keys: Tensor, known: Tensor) -> Tensor:
            """Return the logits [B, C, A, C] of all anchors and means."""
            logits = torch.einsum("bcad,bkd->bcak", z, keys) / temperature
            return logits.masked_fill(~known[:, None, None], ABSENT)

        own = similarity(means, present)
        logits, used = [own], [valid]
        if partners is not None:
            logits.append(similarity(means[partners], present[partners]))
            used.append(valid & present[partners][..., None])
        denominator = torch.cat(logits, 3).logsumexp(3)  # [B, C, A]
        losses = torch.stack([denominator - x.diagonal(dim1=1, dim2=3).mT for x in logits])
        pairs = torch.stack(used)
        return losses.masked_fill(~pairs, 0).sum() / pairs.sum().clamp(min=1)
