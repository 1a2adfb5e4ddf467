"""`cross-level`: Zhao, Fang, Fan, Lin, Gao, Li. Cross-level contrastive learning and consistency
constraint for semi-supervised medical image segmentation (ISBI 2022).

An image is cut into n x n patches, which pass through the same network. The network's output for a
patch must agree with its output for the same region of the whole image: first the features
(contrast, equation 1), then the predictions (consistency, equation 2). L = L_sup +
alpha L_contrast + beta L_consist (equation 3), with (alpha, beta) = (1, 0) in the first stage and
(0, 1) in the second.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import IGNORE_INDEX, Task
from semiseg.errors import UserError
from semiseg.losses.cross_level import cross_level_consistency, cross_level_contrast
from semiseg.losses.dice import supervised_loss
from semiseg.methods import base
from semiseg.methods.base import DerivedSetting, Method, Step, as_iterations
from semiseg.methods.common.batch_norm import batch_statistics
from semiseg.methods.common.points import Points
from semiseg.networks.build import check_patch
from semiseg.text import joined

Width = Annotated[int, Field(ge=1, le=65536)]


class CrossLevelOptions(base.NetworkOptions):
    """Options of ``cross-level``."""

    patches: int = Field(5, ge=2, le=64, description="n, the number of patches along each side")
    contrast_weight: float = Field(1.0, ge=0, description="alpha, weight of the contrastive loss")
    consistency_weight: float = Field(1.0, ge=0, description="beta, weight of the consistency loss")
    stages: Literal["two", "joint"] = Field(
        "two", description="schedule; two: contrast, then consistency; joint: both throughout"
    )
    first_stage: float = Field(
        1 / 3,
        gt=0,
        description="end of the first stage: fraction of the run, or iteration if >= 1",
    )
    temperature: float = Field(0.07, gt=0, description="tau of equation 1")
    projector_widths: tuple[Width, Width, Width] = Field(
        (64, 64, 128), description="output channels of the projector's convolutions"
    )
    negatives: int | None = Field(
        None, ge=1, description="negatives drawn for each query; default: all"
    )
    negatives_from: Literal["full", "patches"] = Field(
        "full", description="source of the negatives: the full image or its patches"
    )
    gradient: Literal["both", "patches", "full"] = Field(
        "patches", description="predictions that receive the gradient of the consistency loss"
    )


class Projector(nn.Sequential):
    """p: three convolutions with stride equal to the kernel, [B, C, S, S] -> [B, D, n, n]."""

    def __init__(self, channels: int, widths: tuple[int, int, int], cell: int) -> None:
        """Args: cell: S/n, the side of the region that one embedding covers; a multiple of 16."""
        first, second, third = widths
        super().__init__(
            nn.Conv2d(channels, first, 4, stride=4),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 4, stride=4),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Conv2d(second, third, cell // 16, stride=cell // 16),
        )

    def embed(self, features: Tensor) -> Tensor:
        """[B, C, S, S] -> [B, n^2, D] of unit length, row by row."""
        return F.normalize(self(features).flatten(2).mT.float(), dim=-1)


def cut(x: Tensor, n: int) -> Tensor:
    """Cut [B, C, S, S] into n x n cells, row by row: [B, n^2, C, S/n, S/n]."""
    batch, channels, side, _ = x.shape
    cells = x.reshape(batch, channels, n, side // n, n, side // n)
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)


class CrossLevel(Method):
    """One network, applied to images and to their patches."""

    Options: ClassVar[type[base.Options]] = CrossLevelOptions
    # no dropout: each pass has its own mask, and the loss terms would penalise the difference
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "unet": {"dropout": [0.0] * 5},
        "training": {"batch_norm": "apart"},
    }

    @classmethod
    def size_multiple(cls, options: Mapping[str, Any]) -> int:
        """See `Method`. A patch's side is a multiple of 16."""
        n = options.get("patches", CrossLevelOptions().patches)
        return 16 * n if isinstance(n, int) and n > 0 else 32  # other values raise in validation

    @classmethod
    def derived_settings(cls, config: RunConfig) -> Sequence[DerivedSetting]:
        """See `Method`."""
        n = cls.Options.model_validate(config.options).patches  # type: ignore[attr-defined]
        size = config.data.side
        reason = f"{n} x {n} cells of {size // n} pixels in {size} x {size}"
        return (DerivedSetting("cross-level.patches", n, reason),)

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`. Raises `UserError` if the size cannot be divided into n x n patches."""
        super().__init__(task, config)
        o: CrossLevelOptions = self.options
        self.add_network()
        check_size(config.data.side, o.patches, self.network.encoder.reductions[-1])
        cell = config.data.side // o.patches
        check_patch(self.network, cell, o.network)
        # with two classes only the foreground is compared, as with one sigmoid channel
        self.binary = len(task.classes) == 2
        self.projector = Projector(self.network.out_channels[1], o.projector_widths, cell)
        if not o.contrast_weight:
            self.projector.requires_grad_(False)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised``, and ``contrast`` and ``consistency`` while they are active."""
        o, labelled = self.options, batch.labelled
        first = step.index < as_iterations(o.first_stage, step.total)
        contrast = o.contrast_weight if first or o.stages == "joint" else 0.0
        consistency = o.consistency_weight if not first or o.stages == "joint" else 0.0
        # if no term uses the unlabelled images, they still change shared batch norm statistics
        needed = contrast or consistency or self.config.training.batch_norm == "together"
        images = batch.images if needed else batch.images[:labelled]
        features = self.features(self.network, images, labelled)
        logits = self.network.classify(features)
        loss = supervised_loss(logits[:labelled], batch.labels, background=not self.binary)
        terms = {"supervised": loss}
        if not (contrast or consistency):
            return terms
        with batch_statistics(self.network):
            patches = self.network.features(cut(batch.images, o.patches).flatten(0, 1))
        if contrast:
            queries = self.projector.embed(features[1])
            with batch_statistics(self.projector):
                keys = self.projector.embed(patches[1]).reshape_as(queries)
            terms["contrast"] = contrast * cross_level_contrast(
                queries, keys, o.temperature, o.negatives, o.negatives_from
            )
        if consistency:
            full = cut(self._probabilities(logits), o.patches)
            local = self._probabilities(self.network.classify(patches)).reshape_as(full)
            if o.gradient == "patches":
                full = full.detach()
            elif o.gradient == "full":
                local = local.detach()
            terms["consistency"] = consistency * cross_level_consistency(full, local)
        return terms

    def _probabilities(self, logits: Tensor) -> Tensor:
        probabilities = logits.float().softmax(1)
        return probabilities[:, 1:] if self.binary else probabilities

    def embeddings(self, images: Tensor, labels: Tensor) -> dict[str, Points]:
        """See `Method`. Adds the projected cells, each with its most frequent class.

        Cells that are mostly ignored are left out.
        """
        spaces = super().embeddings(images, labels)
        cells = self.projector.embed(self.network.features(images)[1]).flatten(0, 1)
        classes = cut(labels[:, None], self.options.patches).flatten(0, 1).flatten(1).mode(1).values
        labelled = classes != IGNORE_INDEX
        return spaces | {"cells": (cells[labelled], classes[labelled])}

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        o = self.options
        staged = o.stages == "two" and o.consistency_weight > 0
        return {"consistency": as_iterations(o.first_stage, iterations)} if staged else {}


def check_size(size: int, n: int, coarsest: int = 16) -> None:
    """Check that ``size`` can be divided into n x n patches.

    A patch's side is a multiple of 16, for the projector, and of ``coarsest``, the reduction of the
    network's coarsest map.

    Raises:
        UserError: if not; the message names sizes and numbers of patches that fit.
    """
    cell = max(16, coarsest)
    unit = cell * n
    if size % unit == 0:
        return
    lower = size // unit * unit
    sizes = " or ".join(str(s) for s in (lower, lower + unit) if s)
    fitting = [str(k) for k in range(2, size // cell + 1) if size % (cell * k) == 0]
    also = f", or cross-level.patches={joined(fitting, 'or')}" if fitting else ""
    raise UserError(
        f"A side of {size} pixels (data.size or data.crop_size) cannot be cut into {n} x {n} patches "
        f"whose side is a multiple of {cell} pixels: use {sizes}{also}."
    )
