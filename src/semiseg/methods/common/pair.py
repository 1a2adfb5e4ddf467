"""The pair of networks of cross teaching and MCSC."""

from collections.abc import Sequence

from semiseg.config import RunConfig
from semiseg.data.task import Task
from semiseg.networks.build import build_network, check_network
from semiseg.networks.segmenter import Segmenter

PAIRS = {2: ("unet", "swin"), 3: ("unet", "vnet")}
"""Default pair by dimensions: the papers' pair for slices, our choice for volumes."""


def pair_of(chosen: Sequence[str] | None, dimensions: int) -> tuple[str, str]:
    """Return the names of the two networks; ``chosen`` is the option, None for the default pair."""
    first, second = chosen or PAIRS[dimensions]
    return first, second


def pair_names(pair: tuple[str, str]) -> tuple[str, str]:
    """Return the attribute names of the two networks. The first is used for inference.

    If both are of one kind, the second name gets a number.
    """
    first, second = pair
    return (first, second) if first != second else (first, f"{second}-2")


def build_pair(
    task: Task, config: RunConfig, pair: tuple[str, str], scales: Sequence[int] = ()
) -> dict[str, Segmenter]:
    """Build both networks, by name; for ``scales`` see `build_network`.

    Raises:
        UserError: if the input's size does not fit; the message names sizes that do.
    """
    for kind in reversed(pair):  # a Transformer has the stricter requirements
        check_network(task, config, kind)
    return {
        name: build_network(task, config, kind, scales)
        for name, kind in zip(pair_names(pair), pair, strict=True)
    }
