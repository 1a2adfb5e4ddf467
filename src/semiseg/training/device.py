"""The device that ``--device`` means."""

import torch

from semiseg.errors import UserError


def torch_device(device: str) -> torch.device:
    """The device that ``--device`` means.

    Args:
        device: auto (a GPU where there is one), cpu or cuda.

    Raises:
        UserError: for an unknown device, or a GPU that is not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"--device {device} is unknown: take auto, cpu or cuda.")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UserError("--device cuda: no CUDA GPU is visible here; take --device cpu.")
    return torch.device("cuda" if available and device != "cpu" else "cpu")
