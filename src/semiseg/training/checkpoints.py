"""Atomic checkpoints for resuming, and weights for inference."""

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
            f"{path} could not be written ({_reason(error)}): make room, then resume with --resume."
        ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def save_checkpoint(folder: Path, step: int, state: Mapping[str, Any]) -> None:
    """Write ``step-NNNNNNN.pt`` atomically and delete all but the last two."""
    folder.mkdir(parents=True, exist_ok=True)
    _atomically(folder / f"step-{step:07d}.pt", lambda path: torch.save(dict(state), path))
    for old in sorted(folder.glob("step-*.pt"))[:-KEEP]:
        old.unlink(missing_ok=True)


def newest_step(folder: Path) -> int:
    """Return the number of completed steps from the newest checkpoint's name; 0 without one."""
    return max((int(path.stem.partition("-")[2]) for path in folder.glob("step-*.pt")), default=0)


def load_checkpoint(folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the newest readable checkpoint. Damaged ones are reported and skipped."""
    for path in sorted(folder.glob("step-*.pt"), reverse=True):
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # torch raises many types for a truncated file
            say(f"{path.name} is truncated or damaged: using the previous checkpoint.")
            continue
        return state
    return None


def save_weights(path: Path, method: nn.Module, facts: Mapping[str, Any]) -> None:
    """Save all weights of a method as safetensors, with ``facts`` as metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().contiguous().cpu() for name, t in method.state_dict().items()}
    metadata = {key: str(value) for key, value in facts.items()}
    _atomically(path, lambda partial: save_file(tensors, str(partial), metadata=metadata))


def digest(path: Path) -> str:
    """Return a hash that identifies a file of weights."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def load_weights(path: Path, method: nn.Module) -> dict[str, str]:
    """Load weights into ``method`` and return the facts that were saved with them.

    Raises:
        UserError: if the file is missing, damaged, or of another method or size.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: train the run first (semiseg train --resume).")
    try:
        tensors: dict[str, Tensor] = load_file(str(path))
        with safe_open(str(path), framework="pt") as file:
            facts = dict(file.metadata() or {})
    except (SafetensorError, OSError):
        raise UserError(
            f"{path} is truncated or damaged: use --weights last, or resume the run."
        ) from None
    try:
        method.load_state_dict(tensors)
    except RuntimeError:
        raise UserError(
            f"{path} does not fit the run's config.yaml: restore the file that was changed."
        ) from None
    return facts
