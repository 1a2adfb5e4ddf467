"""The balanced supervised local contrastive loss of MCSC (BMVC 2023), equation 2.

The result is exact, and saved memory is linear in the number of embeddings: the gradient is computed
in the forward pass, for one problem (on a GPU, one group of problems) at a time, so no matrix of size
N x N is kept for the backward pass.

Let S_c be the sum and n_c the number of embeddings of class c. The positive part of anchor i is
a_i . (S_y - a_i) / (tau (n_y - 1)). With w_k = 1/n_{y_k} the denominator is
Z_i = sum_k w_k exp(a_i . a_k / tau). E = exp(A A^T / tau) is symmetric, so with the anchors' weights
c_i and u_i = c_i / Z_i the gradient of sum_i c_i log Z_i is one product with the matrix
E o (u w^T + w u^T) / tau.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.precision import at_least_single

CPU_ROWS = 512  # rows of E per block: small enough for the core's cache
GPU_ELEMENTS = 1 << 28  # most elements of E at a time on an accelerator
LOWEST_TEMPERATURE = 0.025
"""Lowest temperature in single precision without the anchor in the denominator. Below it,
exp((a_i . a_k - 1) / tau) can be 0 for all keys of an anchor."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """Variants of equation 2 for ablations. The defaults are the equation as printed.

    Attributes:
        balanced: weight keys by 1/n of their class, otherwise by 1 (Khosla et al. 2020).
        anchor_in_denominator: the sum over A_j includes the anchor itself, as printed.
        drop_background: embeddings of class 0 are keys but not anchors ("DB" of table 3).
        skip_single_class: leave problems with a single class out of the mean over problems.
    """

    balanced: bool = True
    anchor_in_denominator: bool = True
    drop_background: bool = False
    skip_single_class: bool = False


PRINTED = Variant()


def balanced_contrast(
    embeddings: Tensor,
    labels: Tensor,
    classes: int,
    temperature: float,
    mask: Tensor | None = None,
    variant: Variant = PRINTED,
) -> Tensor:
    """Equation 2 of MCSC, mean over problems.

    An anchor that is the only member of its class contributes 0. |A| counts every unmasked embedding
    (with ``drop_background``: every anchor). Problems without anchors are left out of the mean.

    Args:
        embeddings: [P, N, D], P independent problems of N embeddings. The loss normalises them,
            and the gradient includes the normalisation.
        labels: [P, N] int64 in [0, classes); ``IGNORE_INDEX`` is padding: neither anchor nor key.
        classes: K.
        temperature: tau.
        mask: [P, N] bool, False for padding (neither anchor nor key); None for no padding.
        variant: see `Variant`.

    Returns:
        A scalar of the embeddings' dtype, or float32 if that is narrower.

    Raises:
        ValueError: if the temperature is below `LOWEST_TEMPERATURE` and would underflow.
    """
    embeddings = at_least_single(embeddings)
    if (
        not variant.anchor_in_denominator
        and embeddings.dtype == torch.float32
        and temperature < LOWEST_TEMPERATURE
    ):
        raise ValueError(
            f"a temperature of {temperature} underflows in single precision without the anchor in the "
            f"denominator: use {LOWEST_TEMPERATURE} or more"
        )
    labelled = labels != IGNORE_INDEX
    labels, mask = labels.masked_fill(~labelled, 0), labelled if mask is None else mask & labelled
    weights = _anchor_weights(labels, classes, mask, variant, embeddings.dtype)
    loss: Tensor = _BalancedContrast.apply(
        embeddings, labels, *weights, classes, temperature, variant.anchor_in_denominator
    )
    return loss


def _anchor_weights(
    labels: Tensor, classes: int, mask: Tensor, variant: Variant, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return per embedding c_i (weight as an anchor), w_k (weight as a key) and 1/(n_y - 1)."""
    valid = mask.to(dtype)
    count = torch.zeros(labels.shape[0], classes, dtype=dtype, device=labels.device)
    count.scatter_add_(1, labels, valid)
    own = count.gather(1, labels)
    anchor = valid * (labels != 0) if variant.drop_background else valid
    anchors = anchor.sum(1)
    counted = anchors > 0
    if variant.skip_single_class:
        counted &= (count > 0).sum(1) > 1
    problems = counted.sum().clamp(min=1)
    share = counted / (anchors.clamp(min=1) * problems)
    c = anchor * (own > 1) * share[:, None].to(dtype)
    w = valid / own.clamp(min=1) if variant.balanced else valid
    return c, w, 1 / (own - 1).clamp(min=1)


class _BalancedContrast(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        embeddings: Tensor,
        labels: Tensor,
        c: Tensor,
        w: Tensor,
        inverse: Tensor,
        classes: int,
        temperature: float,
        anchor_in_denominator: bool,
    ) -> Tensor:
        problems, size, _ = embeddings.shape
        on_cpu = embeddings.device.type == "cpu"
        group = 1 if on_cpu else max(1, GPU_ELEMENTS // max(size * size, 1))
        rows = CPU_ROWS if on_cpu else size
        needs_gradient = ctx.needs_input_grad[0]
        gradient = torch.empty_like(embeddings) if needs_gradient else None
        E = embeddings.new_empty(min(group, problems), size, size)
        loss = embeddings.new_zeros(())
        with torch.autocast(embeddings.device.type, enabled=False):
            for start in range(0, problems, group):
                part = slice(start, min(start + group, problems))
                value, part_gradient = _solve(
                    embeddings[part], labels[part], c[part], w[part], inverse[part], classes,
                    temperature, anchor_in_denominator, E, rows, needs_gradient,
                )  # fmt: skip
                loss += value
                if gradient is not None and part_gradient is not None:
                    gradient[part] = part_gradient
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None, None, None, None, None, None, None


def _solve(
    raw: Tensor,
    labels: Tensor,
    c: Tensor,
    w: Tensor,
    inverse: Tensor,
    classes: int,
    temperature: float,
    anchor_in_denominator: bool,
    buffer: Tensor,
    rows: int,
    needs_gradient: bool,
) -> tuple[Tensor, Tensor | None]:
    """Return loss and gradient of a group of problems. raw: [p, N, D]; c, w, inverse: [p, N]."""
    group, size, _ = raw.shape
    norm = torch.linalg.vector_norm(raw, dim=-1, keepdim=True).clamp_(min=1e-12)
    A = raw / norm
    E = buffer[:group]
    blocks = [slice(r, min(r + rows, size)) for r in range(0, size, rows)]
    scaled, keys = A / temperature, A.transpose(1, 2)
    bound = 1 / temperature  # a_i . a_k <= 1: exp() cannot overflow, and E stays symmetric
    if len(blocks) == 1:
        torch.bmm(scaled, keys, out=E).sub_(bound).exp_()
    else:
        for problem, rows_of_A, columns in zip(E, scaled, keys, strict=True):
            _fill_symmetric(problem, rows_of_A, columns, bound, blocks)
    if not anchor_in_denominator:
        E.diagonal(dim1=1, dim2=2).zero_()
    Z = torch.bmm(E, w[..., None])[..., 0].clamp(min=torch.finfo(A.dtype).tiny)

    one_hot = torch.nn.functional.one_hot(labels, classes).to(A.dtype) * (w > 0)[..., None]
    sums = torch.bmm(one_hot.transpose(1, 2), A)  # S_c: [p, K, D]
    others = sums.gather(1, labels[..., None].expand_as(A)) - A  # S_y - a_i
    positive = c * inverse / temperature
    loss = (c * (Z.log() + bound)).sum() - (positive * (A * others).sum(-1)).sum()
    if not needs_gradient:
        return loss, None

    # r_i = u_i / w_i turns E o (u w^T + w u^T) into w_i E_ik (r_i + r_k) w_k, in place
    u = c / Z
    gradient = torch.empty_like(A)
    r = u / w.clamp(min=torch.finfo(A.dtype).tiny)
    weighted = A * w[..., None]
    for block in blocks:
        E[:, block].mul_(r[:, block, None] + r[:, None, :])
        torch.bmm(E[:, block], weighted, out=gradient[:, block])
    gradient.mul_((w / temperature)[..., None])
    # c is equal for all anchors of a class, so the two terms of the positive part are equal
    gradient.sub_(others.mul_(2 * positive[..., None]))
    # through a = raw / |raw|: remove the component along a
    gradient.sub_(A.mul_((gradient * A).sum(-1, keepdim=True))).div_(norm)
    return loss, gradient


def _fill_symmetric(
    E: Tensor, scaled: Tensor, keys: Tensor, bound: float, blocks: Sequence[slice]
) -> None:
    """Compute E = exp(scaled keys - bound) on and above the diagonal and mirror it.

    Args:
        E: [N, N], the output.
        scaled: [N, D], A / tau.
        keys: [D, N], A^T.
        blocks: blocks of rows.
    """
    for block in blocks:
        upper = E[block, block.start :]
        torch.mm(scaled[block], keys[:, block.start :], out=upper).sub_(bound).exp_()
        E[block.stop :, block].copy_(E[block, block.stop :].T)
