"""Weak-to-strong consistency: strong colours and CutMix of images with their pseudo-labels.

A pseudo-label is ``IGNORE_INDEX`` where the prediction is not confident (see
`semiseg.methods.common.pseudo_label.confident_pseudo_label`). Mixing it mixes the confidence mask too, and
the losses of `semiseg.losses` then are losses over the mask.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.methods.base import Method, NetworkOptions
from semiseg.methods.common.colour_jitter import ColourOptions, colour_jitter
from semiseg.methods.common.mixing import AREA, ASPECT, another_image, cutmix_mask, mix
from semiseg.networks.build import spacing_of
from semiseg.networks.segmenter import Segmenter

Part = Annotated[float, Field(ge=0, le=1)]


class StrongViewOptions(NetworkOptions, ColourOptions):
    """Options of `strong_view`, with the values of UniMatch's public code."""

    cutmix_probability: float = Field(0.5, ge=0, le=1, description="probability of CutMix")
    cutmix_area: tuple[Part, Part] = Field(
        AREA, description="range of the fraction of the image that the box covers"
    )
    cutmix_aspect: float = Field(
        ASPECT,
        gt=0,
        le=1,
        description="smallest ratio of two sides of the box; largest: 1 over this",
    )


class View(NamedTuple):
    """Augmented images and the pseudo-labels that belong to them."""

    images: Tensor
    """[B, C, ...]."""
    pseudo_label: Tensor
    """[B, ...] int64."""


def cutmix(images: Tensor, pseudo_label: Tensor, mask: Tensor) -> View:
    """Paste a box of another image of the batch into each image (CutMix, Yun et al. 2019).

    Args:
        images: [B, C, ...].
        pseudo_label: [B, ...] int64, ``IGNORE_INDEX`` where it is not confident.
        mask: [B, ...] bool, false inside the box.
    """
    other = another_image(len(images), images.device)
    return View(
        mix(images, images[other], mask), mix(pseudo_label, pseudo_label[other], mask)
    )  # fmt: skip


def colour_view(images: Tensor, options: ColourOptions, task: Task, config: RunConfig) -> Tensor:
    """Return `colour_jitter` of images [B, C, ...] of ``task``."""
    colours = task.kind == "pictures" and task.channels == 3
    return colour_jitter(images, options, colours, spacing_of(task, config))


def strong_view(
    images: Tensor, pseudo_label: Tensor, options: StrongViewOptions, task: Task, config: RunConfig
) -> View:
    """Strong colours, then CutMix among the images of the batch (UniMatch, Yang et al. 2023).

    Args:
        images: [B, C, ...], the weak view.
        pseudo_label: [B, ...] int64 of the weak view, ``IGNORE_INDEX`` where it is not confident.
        options: ranges and probabilities.
        task: of the data.
        config: of the run.
    """
    strong = colour_view(images, options, task, config)
    mask = cutmix_mask(
        len(images), images.shape[2:], images.device, options.cutmix_area, options.cutmix_aspect,
        options.cutmix_probability,
    )  # fmt: skip
    return cutmix(strong, pseudo_label, mask)


def logits_with(
    method: Method, network: Segmenter, batch: Batch, views: Sequence[View]
) -> list[Tensor]:
    """Return a network's logits of the labelled images and of each view, from one pass.

    ``training.batch_norm`` is respected; the views count as unlabelled images.
    """
    labelled = batch.labelled
    images = torch.cat([batch.images[:labelled], *(view.images for view in views)])
    logits = network.classify(method.features(network, images, labelled))
    return list(logits.split([labelled, *(len(view.images) for view in views)]))
