"""Equation 2 of MCSC against plain loops over the printed formula, in double precision."""

import gc
import itertools

import pytest
import torch
from torch import Tensor

from semiseg.losses import balanced_contrast as module
from semiseg.losses.balanced_contrast import LOWEST_TEMPERATURE, PRINTED, Variant, balanced_contrast

VARIANTS = [Variant(*flags) for flags in itertools.product((True, False), repeat=4)]


def printed_formula(
    embeddings: Tensor, labels: Tensor, tau: float, mask: Tensor | None, variant: Variant
) -> Tensor:
    """Equation 2, symbol by symbol; differentiable."""
    losses = []
    for m in range(len(embeddings)):
        A = [i for i in range(embeddings.shape[1]) if mask is None or mask[m, i]]
        a = {i: embeddings[m, i] / embeddings[m, i].norm() for i in A}
        y = {i: int(labels[m, i]) for i in A}
        Y_A = sorted(set(y.values()))
        A_ = {j: [i for i in A if y[i] == j] for j in Y_A}
        anchors = [i for i in A if not (variant.drop_background and y[i] == 0)]
        if not anchors or (variant.skip_single_class and len(Y_A) == 1):
            continue
        outer = embeddings.new_zeros(())
        for i in anchors:
            denominator = embeddings.new_zeros(())
            for j in Y_A:
                inner = embeddings.new_zeros(())
                for k in A_[j]:
                    if variant.anchor_in_denominator or k != i:
                        inner = inner + torch.exp(a[i] @ a[k] / tau)
                denominator = denominator + (inner / len(A_[j]) if variant.balanced else inner)
            positives = [p for p in A_[y[i]] if p != i]
            for p in positives:
                fraction = torch.exp(a[i] @ a[p] / tau) / denominator
                outer = outer + torch.log(fraction) / len(positives)
        losses.append(-outer / len(anchors))
    return torch.stack(losses).mean() if losses else embeddings.sum() * 0


def problems(size: int = 11, width: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Five problems: mixed, a single-member class, one class, background, all masked."""
    generator = torch.Generator().manual_seed(5)
    embeddings = torch.randn(5, size, width, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (5, size), generator=generator)
    labels[1] = torch.tensor([2] + [3] * (size - 1))
    labels[2], labels[3] = 1, 0
    mask = torch.rand(5, size, generator=generator) > 0.25
    mask[1] = True  # include the single member
    mask[4] = False
    return embeddings, labels, mask


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_value_and_gradient_are_those_of_the_printed_formula(
    variant: Variant, masked: bool
) -> None:
    embeddings, labels, mask = problems()
    chosen = mask if masked else None
    naive, ours = (embeddings.clone().requires_grad_() for _ in range(2))
    expected = printed_formula(naive, labels, 0.3, chosen, variant)
    loss = balanced_contrast(ours, labels, 4, 0.3, chosen, variant)
    torch.testing.assert_close(loss, expected)
    upstream = 0.7
    (gradient,) = torch.autograd.grad(upstream * expected, naive)
    (upstream * loss).backward()
    torch.testing.assert_close(ours.grad, gradient)


@pytest.mark.parametrize("variant", [PRINTED, Variant(False, False, True, True)], ids=str)
def test_gradcheck(variant: Variant) -> None:
    embeddings, labels, mask = problems(size=7, width=3)
    assert torch.autograd.gradcheck(
        lambda e: balanced_contrast(e, labels, 4, 0.5, mask, variant), embeddings.requires_grad_()
    )


@pytest.mark.parametrize("rows", [1, 3, 10, 11, 64])
def test_row_blocks_of_any_size_are_equal(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    embeddings, labels, mask = problems()
    naive = embeddings.clone().requires_grad_()
    expected = printed_formula(naive, labels, 0.2, mask, PRINTED)
    (gradient,) = torch.autograd.grad(expected, naive)
    monkeypatch.setattr(module, "CPU_ROWS", rows)
    ours = embeddings.clone().requires_grad_()
    loss = balanced_contrast(ours, labels, 4, 0.2, mask)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours.grad, gradient)


@pytest.mark.parametrize("group", [2, 3, 5])
def test_groups_of_problems_as_on_an_accelerator_are_equal(group: int) -> None:
    embeddings, labels, mask = problems()
    naive = embeddings.clone().requires_grad_()
    expected = printed_formula(naive, labels, 0.2, mask, PRINTED)
    (expected_gradient,) = torch.autograd.grad(expected, naive)
    weights = module._anchor_weights(labels, 4, mask, PRINTED, embeddings.dtype)
    size = labels.shape[1]
    buffer = embeddings.new_empty(group, size, size)
    total = embeddings.new_zeros(())
    gradients: list[Tensor] = []
    for start in range(0, 5, group):
        part = slice(start, start + group)
        c, w, inverse = (x[part] for x in weights)
        value, gradient = module._solve(
            embeddings[part], labels[part], c, w, inverse, 4, 0.2, True, buffer, size, True
        )
        assert gradient is not None
        total += value
        gradients.append(gradient)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(torch.cat(gradients), expected_gradient)


def test_the_mean_leaves_out_problems_without_anchors() -> None:
    embeddings, labels, mask = problems()
    alone = balanced_contrast(embeddings[:3], labels[:3], 4, 0.3, mask[:3])
    beside = balanced_contrast(
        embeddings[[0, 1, 2, 4]], labels[[0, 1, 2, 4]], 4, 0.3, mask[[0, 1, 2, 4]]
    )
    torch.testing.assert_close(beside, alone)


def test_a_problem_of_lone_members_is_zero_with_zero_gradient() -> None:
    embeddings = torch.randn(1, 4, 3, dtype=torch.float64, requires_grad=True)
    loss = balanced_contrast(embeddings, torch.arange(4)[None], 4, 0.1)
    loss.backward()
    assert loss.item() == 0.0
    assert embeddings.grad is not None
    assert not embeddings.grad.any()


def test_what_is_masked_has_no_influence_and_no_gradient() -> None:
    embeddings, labels, mask = problems()
    expected = balanced_contrast(embeddings, labels, 4, 0.3, mask)
    garbage = torch.where(mask[..., None], embeddings, 1e6).requires_grad_()
    loss = balanced_contrast(garbage, labels, 4, 0.3, mask)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    assert garbage.grad is not None
    assert not garbage.grad[~mask].any()


@pytest.mark.parametrize("variant", VARIANTS[::5], ids=str)
@pytest.mark.parametrize("scale", [1e-12, 1e15])
@pytest.mark.parametrize("temperature", [1e-3, 0.01, 100.0])
def test_extreme_inputs_stay_finite(scale: float, temperature: float, variant: Variant) -> None:
    embeddings, labels, mask = problems(size=40, width=16)
    values = (scale * embeddings).float().requires_grad_()
    if not variant.anchor_in_denominator and temperature < LOWEST_TEMPERATURE:
        with pytest.raises(ValueError, match=r"underflows .* use 0\.025 or more"):
            balanced_contrast(values, labels, 4, temperature, mask, variant)
        return
    loss = balanced_contrast(values, labels, 4, temperature, mask, variant)
    loss.backward()
    assert torch.isfinite(loss)
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()


@pytest.mark.parametrize("anchor", [True, False])
@pytest.mark.parametrize("temperature", [0.005, 0.01, LOWEST_TEMPERATURE, 0.05])
def test_single_precision_at_low_temperatures(temperature: float, anchor: bool) -> None:
    """Equation 2 in double precision, also if every key is opposite to an anchor."""
    if not anchor and temperature < LOWEST_TEMPERATURE:
        pytest.skip("refused")
    embeddings, labels, _ = problems(size=12, width=3)
    embeddings[0, 1:] = -embeddings[0, :1] + 1e-3 * embeddings[0, 1:]
    variant = Variant(anchor_in_denominator=anchor)
    expected = printed_formula(embeddings, labels, temperature, None, variant)
    found = balanced_contrast(embeddings.float(), labels, 4, temperature, None, variant)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


def test_zero_and_equal_embeddings_stay_finite() -> None:
    values = torch.zeros(2, 6, 3)
    values[1] = 1.0
    values.requires_grad_()
    loss = balanced_contrast(values, torch.tensor([[0, 0, 1, 1, 2, 2]] * 2), 3, 0.1)
    loss.backward()
    assert torch.isfinite(loss)
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()


def test_float32_is_close_to_double() -> None:
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(2, 600, 32, generator=generator, dtype=torch.float64)
    labels = (torch.rand(2, 600, generator=generator) ** 3 * 4).long()
    results = []
    for dtype in (torch.float64, torch.float32):
        x = embeddings.to(dtype, copy=True).requires_grad_()
        loss = balanced_contrast(x, labels, 4, 0.1)
        loss.backward()
        assert x.grad is not None
        results.append((loss.detach().double(), x.grad.double()))
    torch.testing.assert_close(results[1][0], results[0][0], rtol=1e-5, atol=0)
    largest = float(results[0][1].abs().max())
    torch.testing.assert_close(results[1][1], results[0][1], rtol=1e-3, atol=1e-4 * largest)


def test_half_precision_is_computed_in_single() -> None:
    embeddings, labels, mask = problems()
    half = embeddings.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = balanced_contrast(half, labels, 4, 0.3, mask)
    loss.backward()
    expected = balanced_contrast(half.detach().float(), labels, 4, 0.3, mask)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.detach(), expected, rtol=1e-6, atol=0)
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16


def test_nothing_of_size_n_by_n_outlives_the_forward_pass() -> None:
    size, width = 500, 8
    embeddings = torch.randn(3, size, width, requires_grad=True)
    labels = torch.randint(0, 4, (3, size))
    saved: list[int] = []

    def pack(x: Tensor) -> Tensor:
        saved.append(x.untyped_storage().nbytes() // x.element_size())
        return x

    # by type(x): isinstance reads the class from the object, and one of torch's own then warns
    before = {id(x) for x in gc.get_objects() if issubclass(type(x), Tensor)}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss = balanced_contrast(embeddings, labels, 4, 0.1)
    tensors = [x for x in gc.get_objects() if issubclass(type(x), Tensor) and id(x) not in before]
    alive = [x.untyped_storage().nbytes() // x.element_size() for x in tensors]
    assert saved
    assert max(saved) <= embeddings.numel()
    assert max(alive) < size * size
    loss.backward()


def test_no_gradient_is_computed_where_none_is_wanted() -> None:
    embeddings, labels, mask = problems()
    with torch.no_grad():
        loss = balanced_contrast(embeddings.requires_grad_(), labels, 4, 0.3, mask)
    assert not loss.requires_grad
    torch.testing.assert_close(
        loss, printed_formula(embeddings, labels, 0.3, mask, PRINTED).detach()
    )
