"""Atomic checkpoints for resuming, and weights for inference."""

import contextlib
import hashlib
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from semiseg.errors import UserError
from semiseg.files import atomic_write, check_file, remove_partials

KEEP = 2
DIGEST = "sha256"  # the name of the digest among the facts of a file of weights
_NAME = re.compile(r"step-\d+\.pt")


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
    for old in _found(folder)[KEEP:]:
        old.unlink(missing_ok=True)


def remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints, and the folder if nothing else is in it."""
    for path in _found(folder):
        path.unlink(missing_ok=True)
    remove_partials(folder)
    with contextlib.suppress(OSError):
        folder.rmdir()


def newest_step(folder: Path) -> int:
    """Return the number of completed steps from the newest checkpoint's name; 0 without one."""
    return next((_step(path) for path in _found(folder)), 0)


def _found(folder: Path) -> list[Path]:
    """The checkpoints, the newest first."""
    files = (path for path in folder.glob("step-*.pt") if _NAME.fullmatch(path.name))
    return sorted(files, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def load_checkpoint(folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the newest readable checkpoint; None if there is none.

    Damaged ones are reported and skipped.
    """
    found = _found(folder)
    for path in found:
        try:
            check_file(path)
            with zipfile.ZipFile(path) as file:  # torch does not compare the checksums
                whole = file.testzip() is None
            state = torch.load(path, map_location="cpu", weights_only=True) if whole else None
        except Exception:  # torch raises many types for a truncated file
            state = None
        if isinstance(state, dict):
            return state
        following = "using the previous checkpoint" if path != found[-1] else "none is left"
        say(f"{path.name} is truncated or damaged: {following}.")
    return None


def save_weights(path: Path, method: nn.Module, facts: Mapping[str, Any]) -> None:
    """Save all weights of a method as safetensors, with ``facts`` as metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().contiguous().cpu() for name, t in method.state_dict().items()}
    metadata = {key: str(value) for key, value in facts.items()}
    metadata[DIGEST] = _digest_of(tensors, metadata)
    _atomically(path, lambda partial: save_file(tensors, str(partial), metadata=metadata))


def digest(path: Path) -> str:
    """Return a hash that identifies a file of weights."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def read_weights(path: Path, remedy: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file of weights and the facts that were saved with them.

    Raises:
        UserError: if the file is truncated or damaged (its digest differs); the message ends with
            ``remedy``.
    """
    try:
        tensors: dict[str, Tensor] = load_file(str(path))
        with safe_open(str(path), framework="pt") as file:
            facts = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError, LookupError):
        raise UserError(f"{path} is truncated or damaged: {remedy}.") from None
    stored = facts.pop(DIGEST, None)  # files of earlier versions have none
    if stored is not None and stored != _digest_of(tensors, facts):
        raise UserError(f"{path} is damaged (its content differs from its digest): {remedy}.")
    return tensors, facts


def _digest_of(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """The SHA-256 of all tensors and facts."""
    found = hashlib.sha256(repr(sorted(facts.items())).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def load_weights(path: Path, method: nn.Module) -> dict[str, str]:
    """Load weights into ``method`` and return the facts that were saved with them.

    Raises:
        UserError: if the file is missing, damaged, or of another method or size.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: train the run first (semiseg train --resume).")
    other = "last" if path.stem != "last" else "best"
    tensors, facts = read_weights(path, f"use --weights {other}, or resume the run")
    try:
        method.load_state_dict(tensors)
    except RuntimeError:
        raise UserError(
            f"{path} does not fit the run's config.yaml: restore the file that was changed."
        ) from None
    return facts
