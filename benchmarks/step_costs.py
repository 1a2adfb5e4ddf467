"""Measure the cost of a training step of every method against `supervised`.

    python benchmarks/step_costs.py [--methods uamt,cps] [--device cuda] [--json FILE]

Each method trains on 4 labelled and 4 unlabelled slices of 96 x 96 with the profile `cpu`, late in a
run, when all loss terms are active; methods for volumes alone train on 2 + 2 patches. A step is forward,
backward and the optimiser's step, as the training loop does it. It alternates with a step of
`supervised` on 8 labelled images (patches: 4).

Columns: seconds; the ratio to `supervised`; the ratio to what the passes need; parameters that are
trained; peak memory of a step, in a new process. What the passes need: each call of an encoder or a
decoder in a step is counted, with its number of pixels and whether it needs a gradient, and costs what
the same pass costs alone. Target: 1.3.
"""

import argparse
import contextlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from common import in_fresh_process, in_turn, one_thread, peak_mib
from semiseg import methods, networks
from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.distance_maps import stacked_maps
from semiseg.networks.build import build_network
from semiseg.networks.segmenter import Segmenter
from semiseg.training.configuration import resolve_config
from stepping import DATA, LATE, TASK, blocks, heart_like, training_step

TARGET = 1.3
SLICES = ("data.size=96", "unet.channels=[16, 32, 64, 128, 256]")
OWN = {"cross-level": ("cross-level.patches=2",)}  # 96 pixels are not 5 patches
VOLUMES = ("data.dimensions=3", "data.patch=[32, 32, 32]")


def batch_of(name: str, dimensions: int) -> Batch:
    """8 slices or 4 patches, half of them labelled; all for a method that uses labelled images alone."""
    count = 8 if dimensions == 2 else 4
    method = methods.entry(name).load()
    labelled = count // 2 if method.uses_unlabelled else count
    make, side = (heart_like, 96) if dimensions == 2 else (blocks, 32)
    batch = make(side, labelled, count - labelled)
    if method.needs_distance_maps:
        batch.distance_maps = stacked_maps(batch.labels, len(TASK.classes), [None] * labelled)
    return batch


def configuration(name: str, dimensions: int, precision: str, *more: str) -> RunConfig:
    """The configuration without the method's overlay of the profile, so that all see equal images."""
    settings = [*(SLICES if dimensions == 2 else VOLUMES), f"training.precision={precision}", *more]
    settings += OWN.get(name, ())
    settings += ["training.batch_size=8", "training.labelled_batch_size=4"]
    return resolve_config(DATA, name, None, settings, {}).config


def step_of(name: str, dimensions: int, device: str, precision: str) -> Callable[[], None]:
    """A training step of a method."""
    config = configuration(name, dimensions, precision)
    return training_step(config, batch_of(name, dimensions), device, LATE)


Pass = tuple[str, str, bool]
"""The network, encode or decode, and whether the pass has a gradient."""


@contextlib.contextmanager
def counted() -> Iterator[Counter[Pass]]:
    """Count the pixels of every pass of an encoder or a decoder."""
    found: Counter[Pass] = Counter()
    names = {entry.load(): name for name, entry in networks.table().items()}
    encode, decode = Segmenter.encode, Segmenter.decode

    def count(network: Segmenter, kind: str, x: Tensor) -> None:
        pixels = len(x) * math.prod(x.shape[2:])
        found[names[type(network.backbone)], kind, torch.is_grad_enabled()] += pixels

    def encode_and_count(self: Segmenter, x: Tensor) -> Any:
        count(self, "encode", x)
        return encode(self, x)

    def decode_and_count(self: Segmenter, maps: Any, decoder: Any = None) -> Any:
        count(self, "decode", maps[0])
        return decode(self, maps, decoder)

    with mock.patch.multiple(Segmenter, encode=encode_and_count, decode=decode_and_count):
        yield found


def alone(
    one: Pass, dimensions: int, device: str, precision: str
) -> tuple[Callable[[], None], int]:
    """A pass of a network by itself, and its number of pixels."""
    name, kind, gradient = one
    config = configuration("supervised", dimensions, precision, f"supervised.network={name}")
    network = build_network(TASK, config, name).to(device).train()
    images = batch_of("supervised", dimensions).images.to(device)
    with torch.no_grad():
        maps = network.encode(images)

    def call() -> None:
        with torch.set_grad_enabled(gradient), torch.autocast(device, enabled="bf16" in precision):
            if kind == "encode":
                out = network.encode(images)
            else:
                out = list(network.decode([m.requires_grad_(gradient) for m in maps]).values())
            if gradient:
                torch.stack([x.float().mean() for x in out]).sum().backward()

    first = images if kind == "encode" else maps[0]
    return call, len(first) * math.prod(first.shape[2:])


def measure(name: str, device: str, precision: str, repeats: int) -> dict[str, Any]:
    """The row of one method."""
    dimensions = min(methods.entry(name).dimensions)
    calls: dict[str, Callable[[], None]] = {
        kind: step_of(kind, dimensions, device, precision)
        for kind in dict.fromkeys(("supervised", name))
    }
    with counted() as passes:
        calls[name]()
    units = {one: alone(one, dimensions, device, precision) for one in passes}
    calls |= {str(one): call for one, (call, _) in units.items()}
    timings = in_turn(calls, repeats, device, warmup=2)
    need = sum(
        passes[one] / pixels * timings[str(one)].median for one, (_, pixels) in units.items()
    )
    peak = in_fresh_process(
        __file__, "--memory-of", name, "--device", device, "--precision", precision
    )
    seconds = timings[name].median
    return {
        "method": name, "dimensions": dimensions, "seconds": seconds,
        "ratio": seconds / timings["supervised"].median, "to_passes": seconds / need,
        "peak": peak["peak"], "parameters": peak["parameters"],
    }  # fmt: skip


def parameters(name: str) -> int:
    """Number of trained parameters."""
    dimensions = min(methods.entry(name).dimensions)
    config = configuration(name, dimensions, "32-true")
    method = methods.entry(name).load()(TASK, config)
    return sum(p.numel() for g in method.parameter_groups() for p in g.parameters)


def main() -> None:
    """Measure and print a table; with ``--json``, also write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default="", help="names, separated by commas; default: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", default="32-true", help="32-true, bf16-mixed or 16-mixed")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--json", type=Path, help="file for the rows; known rows of others are kept"
    )
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    one_thread()
    device, precision = options.device, options.precision
    if name := options.memory_of:
        call = step_of(name, min(methods.entry(name).dimensions), device, precision)
        print(json.dumps({"peak": peak_mib(call, device), "parameters": parameters(name)}))
        return
    known = {}
    if options.json and options.json.is_file():
        known = {row["method"]: row for row in json.loads(options.json.read_text())}
    names = options.methods.split(",") if options.methods else list(methods.table())
    print(f"{'method':22} {'seconds':>8} {'ratio':>6} {'to passes':>9} {'MiB':>6}")
    for name in names:
        row = known[name] = measure(name, device, precision, options.repeats)
        met = "" if row["to_passes"] <= TARGET else f"  above {TARGET}"
        print(
            f"{name:22} {row['seconds']:8.3f} {row['ratio']:6.2f} {row['to_passes']:9.2f} "
            f"{row['peak']:6,.0f}{met}",
            flush=True,
        )
        if options.json:
            order = [known[n] for n in methods.table() if n in known]
            options.json.write_text(json.dumps(order, indent=1) + "\n")


if __name__ == "__main__":
    main()
