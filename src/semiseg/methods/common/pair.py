"""Two networks side by side, as cross teaching and MCSC train them."""

from collections.abc import Sequence

from semiseg.config import RunConfig
from semiseg.data.task import Task
from semiseg.networks.build import build_network, check_network
from semiseg.networks.segmenter import Segmenter

PAIRS = {2: ("unet", "swin"), 3: ("unet", "vnet")}
"""By dimension: the papers' pair for slices, ours for volumes."""


def pair_of(chosen: Sequence[str] | None, dimensions: int) -> tuple[str, str]:
    """The two networks of the table; ``chosen``: the option, None for the usual pair."""
    first, second = chosen or PAIRS[dimensions]
    return first, second


def pair_names(pair: tuple[str, str]) -> tuple[str, str]:
    """The names of the two networks in a method; the first is used for inference.

    Two networks of one kind are told apart by a number.
    """
    first, second = pair
    return (first, second) if first != second else (first, f"{second}-2")


def build_pair(
    task: Task, config: RunConfig, pair: tuple[str, str], scales: Sequence[int] = ()
) -> dict[str, Segmenter]:
    """Both networks by name; ``scales``: see `build_network`.

    Raises:
        UserError: naming sizes that fit both.
    """
    for kind in reversed(pair):  # a Transformer's demands are the stricter ones
        check_network(task, config, kind)
    return {
        name: build_network(task, config, kind, scales)
        for name, kind in zip(pair_names(pair), pair, strict=True)
    }
