"""Losses of GBDL (Wang and Lukasiewicz, CVPR 2022): the divergence of its latent, Dice to soft labels.

The latent of slice d is Gaussian with mean m_d and covariance C_d = (v_d v_d^T + s I)^2. The latent of a
volume is the normalised product over its n slices: Sigma^-1 = sum_d C_d^-1, mu = Sigma sum_d C_d^-1 m_d.
"""

import math

import torch
from torch import Tensor

from semiseg.losses.precision import at_least_single


def latent_divergence(mean: Tensor, vector: Tensor, scale: float) -> Tensor:
    """Return ``KL(N(mu, Sigma) || N(0, I)) = (tr Sigma + |mu|^2 - D - ln det Sigma) / 2``.

    In nats, mean over images. With q = v^T v, C^-1 = (I - b v v^T) / s^2, where
    b = (2 s + q) / (s + q)^2. Hence Sigma^-1 = n/s^2 (I - W W^T) with columns W_d = v_d (b_d/n)^(1/2), and
    the n x n matrix G = I - W^T W suffices. No matrix has the size D x D.

    Args:
        mean: [B, n, D], m.
        vector: [B, n, D], v.
        scale: s, above 0.

    Returns:
        A scalar, at least 0.
    """
    with torch.autocast(mean.device.type, enabled=False):
        # double precision: G is nearly singular for long vectors
        m, v = mean.double(), vector.double()
        n, size = m.shape[1:]
        q = v.square().sum(2)  # [B, n]
        b = (2 * scale + q) / (scale + q).square()
        w = v * (b / n).sqrt()[..., None]  # the columns of W, as rows
        identity = torch.eye(n, dtype=m.dtype, device=m.device)
        # 1 - b q / n, without the cancellation for large q
        diagonal = (n - 1 + (scale / (scale + q)).square()) / n
        jitter = 1 + 8 * torch.finfo(m.dtype).eps
        gram = torch.diag_embed(diagonal * jitter) - (w @ w.mT) * (1 - identity)  # G
        factor = torch.linalg.cholesky_ex(gram).L  # without a host synchronisation
        inverse = torch.cholesky_solve(identity.expand_as(gram), factor)
        log_det = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
        variance = scale**2 / n
        trace = variance * (size - n + inverse.diagonal(dim1=1, dim2=2).sum(1))
        along = (v * m).sum(2, keepdim=True)
        h = (m - b[..., None] * v * along).sum(1, keepdim=True) / scale**2  # sum_d C_d^-1 m_d
        mu = variance * (h + h @ w.mT @ inverse @ w)
        log_det_sigma = size * math.log(variance) - log_det
        divergence = (trace + mu.square().sum((1, 2)) - size - log_det_sigma).mean() / 2
        return divergence.to(at_least_single(mean).dtype)


def soft_dice_loss(
    probabilities: Tensor, target: Tensor, smooth: float = 1e-5, background: bool = True
) -> Tensor:
    """Return `semiseg.losses.dice.dice_loss` with probabilities as the target.

    ``1/K sum_k [1 - (2 sum p_k q_k + s) / (sum p_k^2 + sum q_k^2 + s)]``. The inner sums run over batch and
    pixels. Each summand is smallest for p = q.

    Args:
        probabilities: p, [B, K, ...].
        target: q, [B, K, ...].
        smooth: s.
        background: whether the mean includes class 0.

    Returns:
        A scalar.
    """
    p, q = at_least_single(probabilities), at_least_single(target)
    dims = [0, *range(2, p.ndim)]
    size = p.square().sum(dims) + q.square().sum(dims)
    losses = 1 - (2 * (p * q).sum(dims) + smooth) / (size + smooth)
    return (losses if background else losses[1:]).mean()
