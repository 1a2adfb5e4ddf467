"""Checkpoints that a crash cannot spoil, and the weights that inference reads."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from semiseg.errors import UserError
from semiseg.files import atomic_write

KEEP = 2


def _atomically(path: Path, write: Callable[[Path], None]) -> None:
    try:
        with atomic_write(path) as partial:
            write(partial)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{path} could not be written ({_reason(error)}): make room or choose another folder, "
            "then go on with --resume."
        ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def save_checkpoint(folder: Path, step: int, state: Mapping[str, Any]) -> None:
    """Write ``step-NNNNNNN.pt`` whole or not at all, and keep the last two."""
    folder.mkdir(parents=True, exist_ok=True)
    _atomically(folder / f"step-{step:07d}.pt", lambda path: torch.save(dict(state), path))
    for old in sorted(folder.glob("step-*.pt"))[:-KEEP]:
        old.unlink(missing_ok=True)


def newest_step(folder: Path) -> int:
    """How many steps lie behind by the newest checkpoint's name; 0 without any."""
    return max((int(path.stem.partition("-")[2]) for path in folder.glob("step-*.pt")), default=0)


def load_checkpoint(folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest checkpoint that can be read; a damaged one is named and passed over."""
    for path in sorted(folder.glob("step-*.pt"), reverse=True):
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # torch raises many kinds for a file cut short
            say(f"{path.name} is cut short or damaged: going back to the checkpoint before it.")
            continue
        return state
    return None


def save_weights(path: Path, method: nn.Module, facts: Mapping[str, Any]) -> None:
    """All weights of a method as safetensors, with ``facts`` as text beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().contiguous().cpu() for name, t in method.state_dict().items()}
    metadata = {key: str(value) for key, value in facts.items()}
    _atomically(path, lambda partial: save_file(tensors, str(partial), metadata=metadata))


def digest(path: Path) -> str:
    """What tells one file of weights from another, wherever it lies."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def load_weights(path: Path, method: nn.Module) -> dict[str, str]:
    """Load weights into ``method``; returns the facts that were saved with them.

    Raises:
        UserError: where the file is missing, cut short, or of another method or size.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: train the run first (semiseg train --resume).")
    try:
        tensors: dict[str, Tensor] = load_file(str(path))
        with safe_open(str(path), framework="pt") as file:
            facts = dict(file.metadata() or {})
    except (SafetensorError, OSError):
        raise UserError(
            f"{path} is cut short or damaged: give --weights last, or resume the run."
        ) from None
    try:
        method.load_state_dict(tensors)
    except RuntimeError:
        raise UserError(
            f"{path} does not fit the run's own config.yaml: was either changed?"
        ) from None
    return facts
