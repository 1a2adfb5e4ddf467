"""Lightning Fabric for one device, or for processes started by torchrun."""

import logging
import os
import warnings

from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from semiseg.errors import UserError
from semiseg.training.device import torch_device


def make_fabric(device: str, precision: str) -> Fabric:
    """Create a Fabric for one device, or for this process of a group started by torchrun.

    Args:
        device: auto, cpu or cuda.
        precision: Fabric's name, such as '32-true' or 'bf16-mixed'.

    Raises:
        UserError: if the device is unknown or not available, or does not support the precision.
    """
    on_gpu = torch_device(device).type == "cuda"
    if not on_gpu and precision == "16-mixed":
        raise UserError("training.precision 16-mixed needs a GPU: use 32-true or bf16-mixed.")
    warnings.filterwarnings("ignore", module="lightning_fabric")
    # it logs the precision
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    processes = world_size()
    if processes == 1:
        return Fabric(accelerator="cuda" if on_gpu else "cpu", devices=1, precision=precision)  # type: ignore[arg-type]
    here = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    fabric = Fabric(
        accelerator="cuda" if on_gpu else "cpu", devices=here, num_nodes=processes // here,
        # the parameters of a loss term have no gradient while the term is inactive
        strategy=DDPStrategy(find_unused_parameters=True), precision=precision,  # type: ignore[arg-type]
    )  # fmt: skip
    fabric.launch()
    return fabric


def world_size() -> int:
    """Return the number of processes started by torchrun; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the rank of this process under torchrun; 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))
