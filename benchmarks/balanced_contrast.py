"""Compare our implementation of equation 2 of MCSC with autograd over dense matrices.

    python benchmarks/balanced_contrast.py [--device cuda]

Forward and backward passes of twelve problems of 2,888 embeddings (one tile of 19 x 19 of each of 8 maps)
of width 128, float32, with four classes, one of them the background. The implementations are:

printed     the formula in the paper: all pairs, a loop over classes, log of a quotient
dense       the fastest dense autograd that we know: E = exp((A A' - 1) / tau), Z = E w, class sums for
            the positive part; one backward pass at the end
dense, each the same, but with a backward pass after every problem, which frees its matrices
ours        semiseg.losses.balanced_contrast

Values and gradients must agree. Peak memory is measured in a new process, without the memory in use
before. Then ours is measured on 100 problems of 3,610 embeddings.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from common import (
    clock,
    in_fresh_process,
    in_turn,
    one_thread,
    peak_mib,
    verdict,
)
from semiseg.losses.balanced_contrast import balanced_contrast

TAU, CLASSES, WIDTH = 0.1, 4, 128


def problems(count: int, size: int, device: str) -> tuple[Tensor, Tensor]:
    """Embeddings [count, size, 128] and labels of which 85% are background."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(count, size, WIDTH, generator=generator)
    prevalence = torch.tensor([0.85, 0.05, 0.05, 0.05])
    labels = torch.multinomial(prevalence, count * size, replacement=True, generator=generator)
    return embeddings.to(device).requires_grad_(), labels.reshape(count, size).to(device)


def printed(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The formula in the paper, one problem at a time."""
    losses = []
    for raw, y in zip(embeddings, labels, strict=True):
        a = F.normalize(raw, dim=-1)
        similarity = torch.exp(a @ a.T / TAU)
        denominator = torch.zeros_like(similarity[:, 0])
        for j in y.unique():
            denominator = denominator + similarity[:, y == j].mean(1)
        log_fraction = torch.log(similarity / denominator[:, None])
        positive = y[:, None] == y[None, :]
        positive = positive & ~torch.eye(len(y), dtype=torch.bool, device=y.device)
        counts = positive.sum(1)
        each = (log_fraction * positive).sum(1) / counts.clamp(min=1)
        losses.append(-each.sum() / len(y))
    return torch.stack(losses).mean()


def dense_problem(raw: Tensor, y: Tensor) -> Tensor:
    """One problem with one matrix; the positive part comes from class sums."""
    a = F.normalize(raw, dim=-1)
    one_hot = F.one_hot(y, CLASSES).to(a.dtype)
    counts = one_hot.sum(0)
    own = counts[y]
    Z = torch.exp((a @ a.T - 1) / TAU) @ (1 / own)
    others = (one_hot.T @ a)[y] - a
    positive = (a * others).sum(1) / (TAU * (own - 1).clamp(min=1))
    return (((Z.log() + 1 / TAU) - positive) * (own > 1)).sum() / len(y)


def dense(embeddings: Tensor, labels: Tensor) -> Tensor:
    """All problems in one graph."""
    each = [dense_problem(raw, y) for raw, y in zip(embeddings, labels, strict=True)]
    return torch.stack(each).mean()


def ours(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The implementation that MCSC uses."""
    return balanced_contrast(embeddings, labels, CLASSES, TAU)


def at_the_end(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The forward pass of all problems, then one backward pass."""

    def both(embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings.grad = None
        value = loss(embeddings, labels)
        value.backward()
        return value.detach()

    return both


def one_by_one(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Dense, with a backward pass after every problem."""
    gradient = torch.empty_like(embeddings)
    total = torch.zeros((), device=embeddings.device)
    for i in range(len(embeddings)):
        raw = embeddings[i].detach().requires_grad_()
        value = dense_problem(raw, labels[i]) / len(embeddings)
        (gradient[i],) = torch.autograd.grad(value, raw)
        total += value.detach()
    embeddings.grad = gradient
    return total


WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "printed": at_the_end(printed),
    "dense": at_the_end(dense),
    "dense, each": one_by_one,
    "ours": at_the_end(ours),
}


def check(device: str) -> None:
    """Check that all implementations give the same value and gradient."""
    embeddings, labels = problems(2, 700, device)
    results = []
    for way in WAYS.values():
        value = way(embeddings, labels)
        assert embeddings.grad is not None
        results.append((value, embeddings.grad.clone()))
    for value, gradient in results:
        torch.testing.assert_close(value, results[-1][0], rtol=1e-4, atol=0)
        scale = float(results[-1][1].abs().max())
        torch.testing.assert_close(gradient, results[-1][1], rtol=0, atol=1e-3 * scale)


def memory_of(name: str, count: int, size: int, device: str) -> None:
    """Print the peak memory and the seconds of one implementation as JSON."""
    embeddings, labels = problems(count, size, device)
    way = WAYS[name]
    warm = problems(1, 300, device)
    way(*warm)
    started = time.perf_counter()
    peak = peak_mib(lambda: way(embeddings, labels), device)
    print(json.dumps({"peak": peak, "seconds": time.perf_counter() - started}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--problems", type=int, default=12)
    parser.add_argument("--size", type=int, default=2888, help="embeddings per problem")
    parser.add_argument("--memory-of", choices=tuple(WAYS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    one_thread()
    device, count, size = options.device, options.problems, options.size
    if options.memory_of:
        memory_of(options.memory_of, count, size, device)
        return
    check(device)
    embeddings, labels = problems(count, size, device)

    def calling(way: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], Tensor]:
        return lambda: way(embeddings, labels)

    timings = in_turn({n: calling(w) for n, w in WAYS.items()}, options.repeats, device)
    base = timings["ours"].median
    print(f"{count} problems of {size:,} x {WIDTH}, forward and backward, {device}")
    shape = ("--device", device, "--problems", str(count), "--size", str(size))
    peaks = {}
    for name, timing in timings.items():
        peaks[name] = in_fresh_process(__file__, "--memory-of", name, *shape)["peak"]
        ratio = timing.median / base
        print(f"{name:12} {timing!s:26} {ratio:5.2f} x ours, peak {peaks[name]:7,.0f} MiB")
    for name, target in (("printed", 4.0), ("dense", 2.0)):
        ratio = timings[name].median / base
        print(
            f"ours is {ratio:.2f} times faster than {name}: {verdict(ratio, target, at_most=False)}"
        )
    print(f"peak of ours in MiB: {verdict(peaks['ours'], 500, at_most=True)}")

    if device == "cuda":
        many, labels = problems(100, 3610, device)
        seconds = min(clock(lambda: WAYS["ours"](many, labels), device) for _ in range(3))
        peak = peak_mib(lambda: WAYS["ours"](many, labels), device)
    else:
        large = ("--device", device, "--problems", "100", "--size", "3610")
        result = in_fresh_process(__file__, "--memory-of", "ours", *large)
        seconds, peak = result["seconds"], result["peak"]
    print(f"100 problems of 3,610: {seconds:.3g} s ({verdict(seconds, 20, at_most=True)}), ")
    print(f"  peak {peak:,.0f} MiB ({verdict(peak, 1024, at_most=True)})")


if __name__ == "__main__":
    main()
