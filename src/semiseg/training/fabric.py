"""Lightning Fabric for one device, or for processes started by torchrun."""

import logging
import warnings
from typing import TYPE_CHECKING

from semiseg.training.device import torch_device
from semiseg.training.launcher import Launch, launched, without_ranks

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def make_fabric(device: str, precision: str) -> "Fabric":
    """Create a Fabric for one device, or for this process of a group started by torchrun.

    Args:
        device: auto, cpu or cuda.
        precision: Fabric's name, such as '32-true' or 'bf16-mixed'.

    Raises:
        UserError: if the device is unknown or not available, or if the launcher's variables contradict
            each other.
    """
    on_gpu = torch_device(device).type == "cuda"
    launch = launched()
    warnings.filterwarnings("ignore", module="lightning_fabric")
    # it logs the precision
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    accelerator = "cuda" if on_gpu else "cpu"
    return _single(accelerator, precision) if launch.processes == 1 else _group(
        accelerator, precision, launch
    )  # fmt: skip


def _single(accelerator: str, precision: str) -> "Fabric":
    with without_ranks():
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments import LightningEnvironment
        from lightning_fabric.utilities.rank_zero import rank_zero_only

    rank_zero_only.rank = 0  # type: ignore[attr-defined]
    # otherwise Fabric asks SLURM, LSF and MPI, whose variables a batch job has for any number of tasks
    return Fabric(
        accelerator=accelerator, devices=1, precision=precision,  # type: ignore[arg-type]
        plugins=LightningEnvironment(),
    )  # fmt: skip


def _group(accelerator: str, precision: str, launch: Launch) -> "Fabric":
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import TorchElasticEnvironment
    from lightning_fabric.strategies import DDPStrategy

    fabric = Fabric(
        accelerator=accelerator, devices=launch.local_processes,
        num_nodes=launch.processes // launch.local_processes,
        # the parameters of a loss term have no gradient while the term is inactive
        strategy=DDPStrategy(find_unused_parameters=True), precision=precision,  # type: ignore[arg-type]
        plugins=TorchElasticEnvironment(),
    )  # fmt: skip
    fabric.launch()
    return fabric
