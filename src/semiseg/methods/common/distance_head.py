"""A second head that regresses signed distance maps, and its supervised loss (SASSNet, DTC, Triple-UA)."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import IGNORE_INDEX, Task
from semiseg.losses.dice import dice_loss
from semiseg.losses.distance import distance_mse
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Method

AbsentClasses = Literal["outside", "boundary"]


class DistanceOptions(base.NetworkOptions):
    """Options of methods with a distance head."""

    distance_weight: float = Field(
        0.3, ge=0, description="weight of the regression of signed distance maps"
    )
    background: bool = Field(False, description="whether the Dice loss includes the background")
    absent_classes: AbsentClasses = Field(
        "outside",
        description="target of a class that an image does not contain: 1 (outside) or 0 (boundary)",
    )


class DistanceMethod(Method):
    """A network whose last map has a segmentation head and a head for signed distance maps.

    The second head has one output per foreground class, with a tanh.
    """

    Options: ClassVar[type[base.Options]] = DistanceOptions
    needs_distance_maps: ClassVar[bool] = True

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.distance_head = self.add_network().new_head(len(task.classes) - 1)

    def outputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return probabilities [B, K, ...] and distance maps [B, K - 1, ...] of all images."""
        features = self.features(self.network, batch.images, batch.labelled)
        distances = at_least_single(self.distance_head(features[1])).tanh()
        return at_least_single(self.network.classify(features)).softmax(1), distances

    def supervised_terms(
        self, probabilities: Tensor, distances: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """Return ``supervised`` (Dice) and ``distance`` (weighted squared error) of labelled images.

        Raises:
            ValueError: if the batch has no distance maps.
        """
        labelled, o = batch.labelled, self.options
        error = distance_error(distances[:labelled], batch, o.absent_classes)
        dice = dice_loss(probabilities[:labelled], batch.labels, background=o.background)
        return {"supervised": dice, "distance": o.distance_weight * error}


def distance_error(distances: Tensor, batch: Batch, absent: AbsentClasses) -> Tensor:
    """Return the mean squared error of the distance maps of labelled images (a scalar).

    Ignored pixels are left out.

    Args:
        distances: [L, K - 1, ...] predicted maps of the labelled images.
        batch: holds their true maps and labels.
        absent: see ``DistanceOptions.absent_classes``.

    Raises:
        ValueError: if the batch has no distance maps.
    """
    maps = batch.distance_maps
    if maps is None:
        raise ValueError("the batch has no distance maps")
    if absent == "outside":
        maps = mark_absent(maps, batch.labels)
    return distance_mse(distances, maps, batch.labels != IGNORE_INDEX)


def mark_absent(maps: Tensor, labels: Tensor) -> Tensor:
    """Set the map of a class to 1 in images without the class, and to -1 in images that it fills.

    The loader's map is 0 in both cases, which is the value of a boundary.

    Args:
        maps: [L, K - 1, ...] signed distance maps (see `semiseg.data.distance_maps`).
        labels: [L, ...] int64 class codes or ``IGNORE_INDEX``.

    Returns:
        A new tensor of the shape of ``maps``.
    """
    out = maps.clone()
    for k in range(maps.shape[1]):
        inside = (labels == k + 1).flatten(1)
        shape = (-1, *(1,) * (labels.ndim - 1))
        out[:, k].masked_fill_(~inside.any(1).view(shape), 1)
        out[:, k].masked_fill_(inside.all(1).view(shape), -1)
    return out
