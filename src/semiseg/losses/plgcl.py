"""Pseudo-label guided contrast of patches: Basak and Yin, Pseudo-label guided contrastive learning
for semi-supervised medical image segmentation (CVPR 2023), equations 2 to 5.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.losses.precision import at_least_single


def binary_entropy(x: Tensor) -> Tensor:
    """Return equation 3: ``-x log x - (1 - x) log(1 - x)``, with 0 log 0 = 0, for x in [0, 1]."""
    return torch.special.entr(x) + torch.special.entr(1 - x)


def nearest(distance: Tensor, classes: Tensor, count: int) -> Tensor:
    """Return the positives of each anchor: the ``count`` nearest others of its class.

    Args:
        distance: [V, V] between patches, such as differences of entropies (equation 2).
        classes: [V].
        count: n; an anchor of a class with m patches has min(n, m - 1) positives.

    Returns:
        [V, V] bool: row u marks the positives of anchor u.
    """
    same = classes[:, None] == classes
    same.fill_diagonal_(False)
    ranked = distance.masked_fill(~same, torch.inf).topk(min(count, len(classes)), largest=False)
    chosen = torch.zeros_like(same).scatter_(1, ranked.indices, True)
    return chosen & same


def gaussian_contrast(
    embeddings: Tensor,
    classes: Tensor,
    positives: Tensor,
    number_of_classes: int,
    temperature: float,
    scale: float,
    rest_is_negative: bool = False,
) -> Tensor:
    """Equation 5, the closed-form upper bound of the expected InfoNCE loss, mean over anchors.

    ``log[exp(f.mu+/tau + s/(2 tau^2) f.sigma+ f) + sum_c zeta_c exp(f.mu_c/tau + s/(2 tau^2)
    f.sigma_c f)] - f.mu+/tau``, where mu and sigma are the mean and the covariance of the anchor's
    positives and of the keys of every other class c, and zeta_c is the number of those keys. The
    expected InfoNCE loss is equation 4. With x_v = f.f_v, f.mu and f.sigma f are the mean and the
    (population) variance of x_v over the keys, so no covariance matrix is computed.

    Args:
        embeddings: [V, D], of unit length.
        classes: [V] int64 below ``number_of_classes``.
        positives: [V, V] bool (see `nearest`); anchors without positives are left out.
        number_of_classes: K.
        temperature: tau.
        scale: lambda, the weight of the covariances.
        rest_is_negative: whether the other patches of the anchor's class form one more class of
            negatives ("the rest as negative", section 3.1) or are left out ("a class different from
            k", section 3.2).

    Returns:
        A scalar; 0 (with a graph) if no anchor has a positive.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        f = at_least_single(embeddings)
        similarity = f @ f.T
        one_hot = F.one_hot(classes, number_of_classes).to(f.dtype)  # [V, K]
        own = one_hot.bool()

        def exponent(mean: Tensor, variance: Tensor) -> Tensor:
            return mean / temperature + scale * variance / (2 * temperature**2)

        m_positive, v_positive, counted = _moments(similarity, positives)
        term_positive = exponent(m_positive, v_positive)

        sizes = one_hot.sum(0)  # zeta of each class
        means = similarity @ one_hot / sizes.clamp(min=1)
        spread = (similarity - means[:, classes]).square() @ one_hot / sizes.clamp(min=1)
        terms = sizes.log() + exponent(means, spread)
        terms = terms.masked_fill(own | (sizes == 0), -torch.inf)
        if rest_is_negative:
            rest = (one_hot @ one_hot.T).bool() & ~positives
            rest.fill_diagonal_(False)
            m_rest, v_rest, left = _moments(similarity, rest)
            term = left.log() + exponent(m_rest, v_rest)
            terms = torch.cat([terms, term.masked_fill(left == 0, -torch.inf)[:, None]], 1)

        losses = torch.cat([term_positive[:, None], terms], 1).logsumexp(1)
        losses = losses - m_positive / temperature
        anchors = counted > 0
        return (losses * anchors).sum() / anchors.sum().clamp(min=1)


def _moments(similarity: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, variance and number of each row's chosen entries; 0 without any."""
    weights = chosen.to(similarity.dtype)
    count = weights.sum(1)
    divisor = count.clamp(min=1)
    mean = (similarity * weights).sum(1) / divisor
    variance = ((similarity - mean[:, None]).square() * weights).sum(1) / divisor
    return mean, variance, count
