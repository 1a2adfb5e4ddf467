"""`mcsc`: Liu, Gu, Henderson, Deligianni. Multi-scale cross contrastive learning for semi-supervised
medical image segmentation (BMVC 2023).

A U-Net and a Swin-Unet teach each other (section 3.1, equation 1). Their features at several scales
are projected into one space and contrasted pixel by pixel (section 3.2, equation 2). Classes are
the labels on labelled images and crossed pseudo-labels on unlabelled ones: the CNN's features use
the Transformer's argmax and vice versa. Section 3.3: each network minimises
L_sup + w_cps L_cps + w_cl L_cl with w_cl = 0.001, so the contrast has weight 0.002 in the sum of
both losses.

On volumes (``data.dimensions=3``) the default is a 3D U-Net and a V-Net, and patches are cubes. This
is our choice. The loss does not depend on the dimensions.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.errors import UserError
from semiseg.losses.balanced_contrast import LOWEST_TEMPERATURE, Variant, balanced_contrast
from semiseg.methods import base
from semiseg.methods.base import DerivedSetting, Step, as_iterations
from semiseg.methods.common.feature_scales import CUBES, SCALES, USUAL_SCALES, default_sides
from semiseg.methods.common.patches import Remainder, draw_origin, shuffle_patches
from semiseg.methods.common.points import Points, sample_pixels, shrink_labels
from semiseg.methods.cross_teaching import CrossTeaching, CrossTeachingOptions, pair_terms
from semiseg.networks.projector import SharedProjector
from semiseg.networks.segmenter import Segmenter


class MCSCOptions(CrossTeachingOptions):
    """Options of ``mcsc``. They cover every row of the paper's tables 3 and 4."""

    contrast_weight: float = Field(
        0.002, ge=0, description="weight of the contrastive loss, summed over scales"
    )
    scales: tuple[int, ...] = Field(
        USUAL_SCALES,
        description="reductions of the contrasted maps, of 1 (full resolution), 2 (3D only), 4, 8",
    )
    patch_sides: dict[int, int] | None = Field(
        None, description="side h' of a patch in pixels of the map, per scale"
    )
    remainder: Remainder = Field(
        "pad", description="treatment of a map whose side is not a multiple of h'"
    )
    temperature: float = Field(0.1, gt=0, description="tau of equation 2")
    projector_hidden: int = Field(256, ge=1, le=65536, description="hidden channels of a projector")
    projector_width: int = Field(128, ge=1, le=65536, description="dimension of an embedding")
    cross_labels: bool = Field(
        True, description="'CroLab' of table 3; false: each network uses its own pseudo-labels"
    )
    balanced: bool = Field(
        True, description="'Balanced' of table 3: class-balanced weights of keys"
    )
    anchor_in_denominator: bool = Field(
        True, description="whether equation 2's denominator includes the anchor"
    )
    drop_background: bool = Field(
        False, description="'DB' of table 3: background pixels are not anchors"
    )
    skip_single_class: bool = Field(
        False, description="whether batches of patches with a single class are left out"
    )
    labelled_contrast_until: float = Field(
        0.075,
        ge=0,
        description="end of contrast on labelled images only: fraction of the run, or iteration if >= 1",
    )

    @field_validator("scales")
    @classmethod
    def _known_scales(cls, scales: tuple[int, ...]) -> tuple[int, ...]:
        if not scales or len(set(scales)) < len(scales) or not set(scales) <= set(SCALES):
            raise ValueError(f"scales must be distinct values of {SCALES}, at least one")
        return scales

    @model_validator(mode="after")
    def _no_underflow(self) -> "MCSCOptions":
        if not self.anchor_in_denominator and self.temperature < LOWEST_TEMPERATURE:
            raise ValueError(
                f"temperature {self.temperature} underflows in single precision: set it to "
                f"{LOWEST_TEMPERATURE} or more, or set anchor_in_denominator=true"
            )
        return self

    @field_validator("patch_sides")
    @classmethod
    def _sides(cls, sides: dict[int, int] | None) -> dict[int, int] | None:
        if sides is not None and (
            not set(sides) <= set(SCALES) or min(sides.values(), default=1) < 1
        ):
            raise ValueError(f"patch_sides must map scales of {SCALES} to sides of at least 1")
        return sides


def tile(side: int, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the sides of a patch of a map of ``shape``: h' in 2D, about h' in 3D.

    A 3D map is only a few patches long, so padding could make up half of all voxels. In 3D the number
    of patches is that for ``side``, and their sides are the smallest that cover the map.
    """
    if len(shape) == 2:
        return side, side
    return tuple(math.ceil(n / math.ceil(n / side)) for n in shape)


class MCSC(CrossTeaching):
    """Multi-scale cross supervised contrastive learning. The first network is used for inference."""

    Options: ClassVar[type[base.Options]] = MCSCOptions

    @classmethod
    def derived_settings(cls, config: RunConfig) -> Sequence[DerivedSetting]:
        """See `Method`."""
        flat, shown = config.data.dimensions == 2, config.data.input_size
        sides = default_sides(config.data.side) if flat else CUBES
        return (
            DerivedSetting(
                "mcsc.scales", list(USUAL_SCALES),
                f"full resolution and an eighth of {shown}, as in the paper",
            ),
            DerivedSetting(
                "mcsc.patch_sides", str({scale: sides[scale] for scale in USUAL_SCALES}),
                "19/224 of the side, and half of the map at 1/8, as in the paper" if flat
                else "cubes with about as many voxels as the paper's squares have pixels",
            ),
        )  # fmt: skip

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`. Raises `UserError` if a network has no map at a scale."""
        super().__init__(task, config)
        o: MCSCOptions = self.options
        self.classes = len(task.classes)
        networks: dict[str, Segmenter] = {n: getattr(self, n) for n in self.network_names}
        flat = config.data.dimensions == 2
        self.sides = (default_sides(config.data.side) if flat else CUBES) | (o.patch_sides or {})
        for scale in o.scales:
            for name, network in networks.items():
                if scale not in network.out_channels:
                    fitting = sorted(set(network.out_channels) & set(SCALES))
                    raise UserError(
                        f"mcsc.scales: {name} has no map at 1/{scale}: use scales of {fitting}."
                    )
        self.projectors = nn.ModuleDict(
            {
                str(scale): SharedProjector(
                    {name: network.out_channels[scale] for name, network in networks.items()},
                    o.projector_hidden,
                    o.projector_width,
                )
                for scale in o.scales
            }
        )
        self.variant = Variant(
            o.balanced, o.anchor_in_denominator, o.drop_background, o.skip_single_class
        )

    @property
    def scales(self) -> tuple[int, ...]:
        """See `CrossTeaching`."""
        scales: tuple[int, ...] = self.options.scales
        return scales

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised_*``, ``cross_*`` of both networks, ``contrast_*`` of each scale."""
        labelled, options = batch.labelled, self.options
        first, second = self.network_names
        features = self.pair_features(batch)
        logits = {n: getattr(self, n).classify(f) for n, f in features.items()}
        terms, guide = pair_terms(logits, batch, options, step)
        y_first, y_second = guide[first], guide[second]
        if options.cross_labels:
            y_first, y_second = y_second, y_first
        if step.index < as_iterations(options.labelled_contrast_until, step.total):
            images = labelled
            y_first = y_second = batch.labels[:0]
        else:
            images = batch.images.shape[0]
        # f_1..N from the CNN, f_N+1..2N from the other network, with the labels of each
        guides = torch.cat([batch.labels, y_first, batch.labels, y_second])
        for scale in options.scales:
            maps = {name: of[scale][:images] for name, of in features.items()}
            terms[f"contrast_{scale}"] = options.contrast_weight * self._contrast(
                maps, guides, scale
            )
        return terms

    def _contrast(self, features: Mapping[str, Tensor], guides: Tensor, scale: int) -> Tensor:
        """Compute L_cl of one scale: equation 2, mean over M batches of 2N patches.

        Args:
            features: [N, C, (d,) h, w] of each network.
            guides: [2N, (D,) H, W] labels (or ``IGNORE_INDEX``) at full resolution, the CNN's N first.
        """
        # not the argmax of coarse logits, which would differ from the resized labels
        shape = next(iter(features.values())).shape[2:]
        guides = shrink_labels(guides, shape)
        side, remainder = tile(self.sides[scale], shape), self.options.remainder
        origin = draw_origin(side, remainder)  # one grid for both networks, so that M is the same
        dealt = [
            (name, *shuffle_patches(x, y, side, remainder, origin))
            for (name, x), y in zip(features.items(), guides.chunk(len(features)), strict=True)
        ]
        # shuffle before projecting: features have fewer channels than embeddings
        projector = self.projectors[str(scale)]
        embeddings = torch.cat([projector(pixels, name) for name, pixels, _, _ in dealt], 1)
        labels = torch.cat([labels for _, _, labels, _ in dealt], 1)
        masks = [mask for _, _, _, mask in dealt if mask is not None]
        return balanced_contrast(
            embeddings, labels, self.classes, self.options.temperature,
            torch.cat(masks, 1) if masks else None, self.variant,
        )  # fmt: skip

    def embeddings(self, images: Tensor, labels: Tensor) -> dict[str, Points]:
        """See `Method`. Adds the projected pixels of each scale and network."""
        spaces = super().embeddings(images, labels)
        for name in self.network_names:
            features = getattr(self, name).features(images)
            for scale in self.options.scales:
                pixels, classes = sample_pixels(features[scale], labels)
                projected = self.projectors[str(scale)](pixels, name)
                spaces[f"{name}, projected at 1/{scale}"] = F.normalize(projected, dim=1), classes
        return spaces

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        return {
            "cross": as_iterations(self.options.consistency_from, iterations),
            "contrast on unlabelled images": as_iterations(
                self.options.labelled_contrast_until, iterations
            ),
        }
