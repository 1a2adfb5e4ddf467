"""The option ``--device``."""

import torch

from semiseg.errors import UserError


def torch_device(device: str) -> torch.device:
    """Return the torch device for ``--device``.

    Args:
        device: auto (a GPU if available), cpu or cuda.

    Raises:
        UserError: if the device is unknown or not available.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"--device {device} is unknown: use auto, cpu or cuda.")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UserError("--device cuda needs a CUDA GPU, and none is visible: use --device cpu.")
    return torch.device("cuda" if available and device != "cpu" else "cpu")
