"""Compare one training iteration of MCSC and of cross teaching; measure the cost over the patch side.

    python benchmarks/iteration.py [--device cuda --precision bf16-mixed]

An iteration is forward, backward and the optimiser's step on 2 + 2 images with the networks of the
paper (Swin-Unet of width 96), late in a run, when all loss terms are active. The two methods alternate.
Peak memory is measured in a new process over one iteration, without the memory of the imports.

Then time equation 2 at full resolution for several patch sides h'. Section 5 of the paper states
O((h/h')^2 h'^4) = O(h^2 h'^2). The script prints the exponent of h' fitted to the times, and the one
fitted to the formula, which is not exactly 2 since the number of tiles is rounded up.
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from common import clock, in_fresh_process, in_turn, one_thread, peak_mib, verdict
from semiseg.config import RunConfig
from semiseg.losses.balanced_contrast import balanced_contrast
from semiseg.methods.common.patches import shuffle_patches
from semiseg.training.configuration import resolve_config
from stepping import DATA, heart_like, training_step

TARGETS = {224: 6.0, 128: 4.0}


def configuration(name: str, size: int, precision: str) -> RunConfig:
    """The paper's setting at ``size``, with random weights and patch sides in proportion."""
    settings = [f"data.size={size}", "swin.pretrained=none", f"training.precision={precision}"]
    if name == "mcsc":
        settings.append("mcsc.patch_sides=null")
    return resolve_config(DATA, name, "mcsc-acdc", settings).config


def iteration(name: str, size: int, device: str, precision: str) -> Callable[[], None]:
    """One iteration as the training loop does it."""
    return training_step(configuration(name, size, precision), heart_like(size), device)


def compare(size: int, device: str, precision: str, repeats: int) -> None:
    """Time both methods alternately, and measure their memory."""
    names = ("cross-teaching", "mcsc")
    calls = {name: iteration(name, size, device, precision) for name in names}
    timings = in_turn(calls, repeats, device, warmup=5 if device == "cuda" else 1)
    del calls
    for name in names:
        result = in_fresh_process(
            __file__, "--memory-of", name, "--sizes", str(size), "--device", device,
            "--precision", precision,
        )  # fmt: skip
        print(f"{size}: {name:15} {timings[name]!s:26} peak {result['peak']:7,.0f} MiB", flush=True)
    ratio = timings["mcsc"].median / timings["cross-teaching"].median
    note = f", {verdict(ratio, TARGETS[size], at_most=True)}" if size in TARGETS else ""
    print(f"{size}: MCSC / cross teaching {ratio:.2f}{note}")
    print(
        f"{size}: peak of MCSC in MiB, {verdict(result['peak'], 6 * 1024, at_most=True)}",
        flush=True,
    )


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """The exponent of a power law, by least squares in logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def complexity(sides: Sequence[int], size: int, maps: int, device: str, repeats: int) -> None:
    """Time of equation 2 at full resolution over the patch side."""
    width, guides = 128, heart_like(size).labels.repeat(math.ceil(maps / 2), 1, 1)[:maps].to(device)
    seconds, operations = [], []
    for side in sides:
        torch.manual_seed(0)
        features = torch.randn(maps, 8, size, size, device=device)  # shuffling needs few channels
        pixels, labels, mask = shuffle_patches(features, guides, side)
        projection = torch.randn(8, width, device=device)
        embeddings = (pixels @ projection).requires_grad_()

        def call(
            e: torch.Tensor = embeddings, y: torch.Tensor = labels, m: torch.Tensor | None = mask
        ) -> None:
            e.grad = None
            balanced_contrast(e, y, 4, 0.1, m).backward()

        if side < 20:
            clock(call, device)  # a warm-up
        seconds.append(min(clock(call, device) for _ in range(repeats)))
        tiles = math.ceil(size / side) ** 2
        operations.append(tiles * side**4)
        print(
            f"h' = {side:2}: {tiles:5} problems of {maps * side * side:6,}: {seconds[-1]:.3g} s, "
            f"{1e9 * seconds[-1] / operations[-1] / maps**2:.3g} ns per pair", flush=True,
        )  # fmt: skip
    fine = [i for i, side in enumerate(sides) if side >= 14]
    print(
        f"exponent of h': {exponent(sides, seconds):.2f} (formula: "
        f"{exponent(sides, operations):.2f}); for h' >= 14: "
        f"{exponent([sides[i] for i in fine], [seconds[i] for i in fine]):.2f} "
        f"({exponent([sides[i] for i in fine], [operations[i] for i in fine]):.2f})"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", default="32-true", help="32-true, bf16-mixed or 16-mixed")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[224, 128], help="none: only the complexity"
    )
    parser.add_argument("--sides", type=int, nargs="*", default=[7, 10, 14, 19, 28, 38], help="h'")
    parser.add_argument("--maps", type=int, default=4, help="number of maps for the complexity")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    one_thread()
    device, precision = options.device, options.precision
    if options.memory_of:
        call = iteration(options.memory_of, options.sizes[0], device, precision)
        print(json.dumps({"peak": peak_mib(call, device)}))
        return
    for size in options.sizes:
        compare(size, device, precision, options.repeats)
    if len(options.sides) > 1:
        complexity(options.sides, 224, options.maps, device, options.repeats)


if __name__ == "__main__":
    main()
