"""A training that starts from another run's weights."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from semiseg.errors import UserError
from semiseg.methods.base import Method
from semiseg.networks.segmenter import Segmenter
from semiseg.training.run_folder import RunFolder


def load_initial_weights(method: Method, source: str) -> str:
    """Start the networks of ``method`` from the best weights of the run in ``source``.

    A run of the same method gives all its weights. Of another method the network for inference is
    taken, for every network of the same kind; tensors of another shape, such as a head for other
    classes, keep their random values.

    Returns:
        A sentence on what was loaded.

    Raises:
        UserError: where ``source`` is not a run, or none of its weights fits.
    """
    tensors = _read(Path(source))
    own = method.state_dict()
    if own.keys() == tensors.keys() and all(own[k].shape == t.shape for k, t in tensors.items()):
        method.load_state_dict(tensors)
        return f"All {len(own)} tensors start from {source}."
    loaded = total = 0
    prefix = f"{_main_network(Path(source))}."
    given = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
    for module in method.children():
        if isinstance(module, Segmenter):
            count, of = _copy(module, given)
            loaded, total = loaded + count, total + of
    if loaded == 0:
        raise UserError(
            f"training.weights_from: no tensor of {source} has a name and shape of this method's "
            "networks: train it with the same network options."
        )
    return f"{loaded} of {total} tensors of the networks start from {source}."


def _read(run: Path) -> dict[str, Tensor]:
    path = RunFolder(run).weights / "best.safetensors"
    if not path.is_file():
        raise UserError(f"training.weights_from: {run} is not a run with weights ({path.name}).")
    try:
        return load_file(str(path))
    except (SafetensorError, OSError):
        raise UserError(f"training.weights_from: {path} is cut short or damaged.") from None


def _main_network(run: Path) -> str:
    from semiseg import methods

    config = RunFolder(run).config()
    return methods.entry(config.method).load().networks_of(config)[0]


@torch.no_grad()
def _copy(network: Segmenter, given: dict[str, Tensor]) -> tuple[int, int]:
    own = network.state_dict()
    fitting = {k: t for k, t in given.items() if k in own and own[k].shape == t.shape}
    if len(fitting) <= len(own) / 2:  # another kind of network, with some names in common
        return 0, 0
    for name, tensor in fitting.items():
        own[name].copy_(tensor)
    return len(fitting), len(own)
