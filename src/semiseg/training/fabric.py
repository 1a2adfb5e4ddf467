"""Lightning Fabric for one device, or for the processes that torchrun has started."""

import logging
import os
import warnings

from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from semiseg.errors import UserError
from semiseg.training.device import torch_device


def make_fabric(device: str, precision: str) -> Fabric:
    """One device, or one process of several where torchrun has started them.

    Args:
        device: auto, cpu or cuda.
        precision: Fabric's name of it, such as '32-true' or 'bf16-mixed'.

    Raises:
        UserError: for a device that is unknown or not there, and for a precision that it lacks.
    """
    on_gpu = torch_device(device).type == "cuda"
    if not on_gpu and precision == "16-mixed":
        raise UserError("training.precision 16-mixed needs a GPU; take 32-true or bf16-mixed.")
    warnings.filterwarnings("ignore", module="lightning_fabric")
    # it announces the precision
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    processes = world_size()
    if processes == 1:
        return Fabric(accelerator="cuda" if on_gpu else "cpu", devices=1, precision=precision)  # type: ignore[arg-type]
    here = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    fabric = Fabric(
        accelerator="cuda" if on_gpu else "cpu", devices=here, num_nodes=processes // here,
        # a term that has not begun yet, or has ended, leaves its projector without a gradient
        strategy=DDPStrategy(find_unused_parameters=True), precision=precision,  # type: ignore[arg-type]
    )  # fmt: skip
    fabric.launch()
    return fabric


def world_size() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process among those that torchrun has started; 0 without it."""
    return int(os.environ.get("RANK", "0"))
