"""Time the training steps of cross-level and PLGCL.

    python benchmarks/patch_methods.py [--device cuda --precision bf16-mixed]

Compares a cross-level step in both stages with a supervised step on 8 images of the same size, and a
PLGCL step with one of ``plgcl.weight=0`` (student, teacher and their consistency). A step is forward,
backward, the optimiser's step and the teacher's update. The compared steps alternate.
"""

import argparse

from common import in_turn, one_thread, verdict
from semiseg.methods.base import Step
from semiseg.training.configuration import resolve_config
from stepping import DATA, LATE, heart_like, training_step

FIRST = Step(100, 40_000)


def cross_level(size: int, device: str, precision: str, repeats: int) -> None:
    """Time both stages with n = 5 and 4 + 4 images; the supervised step has 8 labelled images."""
    more = [f"data.size={size}", "unet.standardise=none", f"training.precision={precision}"]
    ours = resolve_config(DATA, "cross-level", "cross-level-kvasir", more).config
    plain = resolve_config(DATA, "supervised", "cross-level-kvasir", more).config
    batch = heart_like(size, 4, 4)
    calls = {
        "supervised": training_step(plain, heart_like(size, 8, 0), device),
        "cross-level, contrast": training_step(ours, batch, device, FIRST),
        "cross-level, consistency": training_step(ours, batch, device, LATE),
    }
    timings = in_turn(calls, repeats, device, warmup=5 if device == "cuda" else 1)
    for name, timing in timings.items():
        ratio = timing.median / timings["supervised"].median
        note = "" if name == "supervised" else f" {ratio:.2f}, {verdict(ratio, 2.8, at_most=True)}"
        print(f"{size}: {name:24} {timing!s:26}{note}", flush=True)


def plgcl(size: int, device: str, precision: str, repeats: int) -> None:
    """Time steps with 8 + 8 images and 64 patches per class."""
    more = [f"data.size={size}", f"training.precision={precision}"]
    calls = {}
    for name, extra in (("weight 0", ["plgcl.weight=0"]), ("all terms", [])):
        config = resolve_config(DATA, "plgcl", "plgcl-acdc", [*more, *extra]).config
        calls[name] = training_step(config, heart_like(size, 8, 8), device)
    timings = in_turn(calls, repeats, device, warmup=5 if device == "cuda" else 1)
    for name, timing in timings.items():
        print(f"{size}: plgcl, {name:17} {timing!s:26}", flush=True)
    share = 1 - timings["weight 0"].median / timings["all terms"].median
    print(
        f"{size}: share of the contrast {share:.2f}, {verdict(share, 0.5, at_most=True)}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", default="32-true", help="32-true, bf16-mixed or 16-mixed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cross-level", type=int, nargs="*", default=[320, 160], help="sizes")
    parser.add_argument("--plgcl", type=int, nargs="*", default=[256, 96], help="sizes")
    options = parser.parse_args()
    one_thread()
    for size in options.cross_level:
        cross_level(size, options.device, options.precision, options.repeats)
    for size in options.plgcl:
        plgcl(size, options.device, options.precision, options.repeats)


if __name__ == "__main__":
    main()
