"""Atomic checkpoints for resuming, and weights for inference."""

import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from semiseg.errors import UserError, is_out_of_memory
from semiseg.files import atomic_write, check_file, remove_partials
from semiseg.torch_files import DamagedError, read_torch

R = TypeVar("R")

KEEP = 2
DIGEST = "sha256"  # the name of the digest among the facts of a file of weights
_NAME = re.compile(r"step-\d+\.pt")


def _atomically(path: Path, write: Callable[[Path], None]) -> None:
    if path.is_dir():
        check_file(path, "move it away, then resume with --resume")
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
    """Write ``step-NNNNNNN.pt`` atomically, then keep it and the one before.

    Checkpoints of later steps are deleted. They are damaged, since the training was resumed from an
    earlier step; if they counted among the last two, this one would be deleted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _atomically(folder / f"step-{step:07d}.pt", lambda path: torch.save(dict(state), path))
    found = _found(folder)
    kept = [path for path in found if _step(path) <= step][:KEEP]
    for path in found:
        if path not in kept:
            path.unlink(missing_ok=True)


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
    files = (p for p in folder.glob("step-*.pt") if _NAME.fullmatch(p.name) and p.is_file())
    return sorted(files, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def load_checkpoint(
    folder: Path, say: Callable[[str], None], restore: Callable[[dict[str, Any], int], R]
) -> R | None:
    """Return what ``restore`` makes of the newest usable checkpoint; None if there is none.

    Damaged ones are reported and skipped.

    Args:
        folder: the folder of the checkpoints.
        say: prints a sentence.
        restore: takes the state and the step in the file's name. It raises `DamagedError` for a state that
            no training has written, and another error for a state that does not fit the training.

    Raises:
        UserError: if a checkpoint cannot be opened, or if whole ones do not fit and no other is left.
    """
    found, unfit = _found(folder), False
    for path in found:
        try:
            state = _opened(path)
            return restore(state, _step(path))
        except DamagedError:
            why = "is truncated or damaged"
        except UserError:
            raise
        except Exception as error:  # torch raises many types for tensors of other shapes
            if is_out_of_memory(error):  # else the training would begin anew
                raise
            why, unfit = "does not fit the run's config.yaml", True
        following = "using the previous checkpoint" if path != found[-1] else "none is left"
        say(f"{path.name} {why}: {following}.")
    if unfit:
        raise UserError(
            f"The checkpoints in {folder} do not fit the run's config.yaml: restore the file that was "
            "changed."
        )
    return None


def _opened(path: Path) -> dict[str, Any]:
    try:
        state = read_torch(path)
    except OSError as error:  # not damaged: the training must not begin anew
        raise UserError(
            f"{path} cannot be read ({_reason(error)}): allow reading it, or remove it."
        ) from None
    if not isinstance(state, dict):
        raise DamagedError
    return state


def save_weights(path: Path, method: nn.Module, facts: Mapping[str, Any]) -> None:
    """Save all weights of a method as safetensors, with ``facts`` as metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().contiguous().cpu() for name, t in method.state_dict().items()}
    metadata = {key: str(value) for key, value in facts.items()}
    metadata[DIGEST] = _digest_of(tensors, metadata)
    _atomically(path, lambda partial: save_file(tensors, str(partial), metadata=metadata))


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
    # a damaged key must not turn the check off, so a missing digest is damage too
    if facts.pop(DIGEST, None) != _digest_of(tensors, facts):
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
