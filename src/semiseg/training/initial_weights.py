"""Initial weights from another run."""

from pathlib import Path

import torch
from torch import Tensor

from semiseg.errors import UserError
from semiseg.methods.base import Method
from semiseg.networks.segmenter import Segmenter
from semiseg.training.checkpoints import read_weights
from semiseg.training.run_folder import RunFolder


def load_initial_weights(method: Method, source: str) -> str:
    """Load the best weights of the run in ``source`` into the networks of ``method``.

    From a run of the same method all weights are loaded. From a run of another method, its network for
    inference is loaded into every network of the same kind. Tensors of another shape, such as a head
    for other classes, keep their random values.

    Returns:
        A sentence that says what was loaded.

    Raises:
        UserError: if ``source`` is not a run, or none of its weights fits.
    """
    tensors = _read(Path(source))
    own = method.state_dict()
    if own.keys() == tensors.keys() and all(own[k].shape == t.shape for k, t in tensors.items()):
        method.load_state_dict(tensors)
        return f"All {len(own)} tensors were loaded from {source}."
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
            "networks: use the same network options in both runs."
        )
    return f"{loaded} of {total} tensors of the networks were loaded from {source}."


def _read(run: Path) -> dict[str, Tensor]:
    path = RunFolder(run).weights / "best.safetensors"
    if not path.is_file():
        raise UserError(
            f"training.weights_from: {run} has no weights ({path.name}): give the folder of a trained run."
        )
    return read_weights(path, "give another run in training.weights_from")[0]


def _main_network(run: Path) -> str:
    from semiseg import methods

    config = RunFolder(run).config()
    return methods.entry(config.method).load().network_attributes(config)[0]


@torch.no_grad()
def _copy(network: Segmenter, given: dict[str, Tensor]) -> tuple[int, int]:
    own = network.state_dict()
    fitting = {k: t for k, t in given.items() if k in own and own[k].shape == t.shape}
    if len(fitting) <= len(own) / 2:  # another kind of network with some names in common
        return 0, 0
    for name, tensor in fitting.items():
        own[name].copy_(tensor)
    return len(fitting), len(own)
