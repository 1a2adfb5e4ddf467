"""Files of pretrained weights: read them, or download them into torch's cache."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semiseg.errors import UserError, is_out_of_memory
from semiseg.torch_files import read_torch


def hub_file(address: str) -> Path:
    """The file that ``address`` is downloaded to, once."""
    return Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]


def announced(address: str, size: int) -> list[str]:
    """``address`` with its size in MB and its `hub_file`, if `download` will fetch it; otherwise empty."""
    file = hub_file(address)
    return [] if file.is_file() else [f"{address} ({size} MB) to {file}"]


def download(address: str) -> Path:
    """Download ``address`` to its `hub_file`, unless it is there.

    Raises:
        OSError: if it cannot be reached, or another error of the network.
        RuntimeError: if the content does not have the digest that is part of the file's name.
    """
    file = hub_file(address)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        _, dash, digest = file.stem.rpartition("-")
        torch.hub.download_url_to_file(
            address, str(file), hash_prefix=digest if dash else None, progress=False
        )
    return file


def read_weights(path: Path, option: str, remedy: str = "give another") -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file or of a file of ``torch.save``.

    A file may hold them in an entry ``model`` or ``state_dict``.

    Args:
        path: the file.
        option: the option that names the file, for messages.
        remedy: what to do about a damaged file.

    Raises:
        UserError: if the file is missing or damaged.
    """
    if not path.is_file():
        raise UserError(f"{option}: {path} does not exist: give a file, 'hub' or 'none'.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(str(path))
        # older official files have the form before PyTorch 1.6
        state: dict[str, Any] = dict(read_torch(path, legacy=True))
        inner: dict[str, Any] = dict(state.get("model") or state.get("state_dict") or state)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"{option}: {path} is not a readable file of weights, or is damaged: {remedy}."
        ) from None
    return {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}
