"""`cps` (CPS): Chen, Yuan, Zeng, Wang. Semi-supervised semantic segmentation with cross pseudo
supervision (CVPR 2021).

Two networks of one kind with different initial weights. L = L_s + lambda L_cps (equation 5 of the paper).
L_s is the sum of both networks' supervised losses (equation 1). L_cps is the mean over pixels of
CE(p_1, y_2) + CE(p_2, y_1), where y_i is the argmax of p_i, without a gradient (equations 2 to 4); it
covers labelled and unlabelled images.

``cps.cutmix`` (section 3, "Incorporation with the CutMix augmentation"): both networks label two
unlabelled images; the images and the labels are mixed by the same mask, and L_cps is computed on mixed
images only.

Departures from the paper. The supervised loss is 0.5 (CE + Dice) instead of CE. lambda is
0.1 exp(-5 (1 - t/T)^2), as in the SSL4MIS benchmark, which the segmentation papers use as "CPS"; the paper's
constant weight depends on the data set (1.5 on PASCAL VOC, 6 on Cityscapes). The paper adds the means over
labelled and unlabelled images; as in public code, one mean covers both. The benchmark's L_cps covers the
unlabelled images only (``cps.on_labelled=false``). A pass that gives the labels of mixed images has no
dropout and leaves the running averages of batch norm alone. The paper says that its CutMix is that of French
et al. (BMVC 2020); the numbers of its public code are from memory: three boxes, each of a third of 25 to 50%
of the image, combined by exclusive or. Equation numbers are from memory.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.losses.ignore import cross_entropy
from semiseg.methods import base
from semiseg.methods.base import Step, as_iterations
from semiseg.methods.common.consistency import consistency_weight
from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.common.mixing import cutmix_mask, mix
from semiseg.methods.common.pseudo_label import hard_pseudo_label
from semiseg.methods.common.two_networks import TwoNetworks, TwoNetworksOptions

BOXES = 3
AREA = (0.25, 0.5)  # of all boxes of an image together
ASPECT = 0.375  # French et al. draw log-uniform sides whose smallest ratio is the area itself


class CPSOptions(TwoNetworksOptions):
    """Options of ``cps``."""

    on_labelled: bool = Field(
        True, description="whether the cross loss includes labelled images; never with CutMix"
    )
    cutmix: bool = Field(False, description="whether unlabelled images are mixed in pairs")


def boxes_mask(count: int, sides: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Draw [B, *sides] bool: true where an even number of three random boxes covers the pixel."""
    area = (AREA[0] / BOXES, AREA[1] / BOXES)
    mask = torch.ones((count, *sides), dtype=torch.bool, device=device)
    for _ in range(BOXES):
        mask = mask ^ ~cutmix_mask(count, sides, device, area, ASPECT)
    return mask


class CPS(TwoNetworks):
    """Two networks that teach each other by pseudo-labels. The first is used for inference."""

    Options: ClassVar[type[base.Options]] = CPSOptions

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised_*`` and ``cross_*`` of both networks."""
        o, labelled = self.options, batch.labelled
        images, weight = batch.images, consistency_weight(o, step)
        labels: dict[str, Tensor] = {}
        if o.cutmix and batch.unlabelled:
            mixed, labels = self.mixed(images[labelled:], with_labels=weight > 0)
            images = torch.cat([images[:labelled], mixed])
        logits = self.pair_logits(images, labelled)
        terms = self.supervised_terms(logits, batch)
        first = 0 if o.on_labelled and not o.cutmix else labelled
        if first == len(images):
            return terms
        if not weight:
            return terms | {f"cross_{name}": x.new_zeros(()) for name, x in logits.items()}
        labels = labels or {name: hard_pseudo_label(x[first:]) for name, x in logits.items()}
        for (name, x), other in zip(logits.items(), reversed(logits), strict=True):
            terms[f"cross_{name}"] = weight * cross_entropy(x[first:], labels[other])
        return terms

    def mixed(self, images: Tensor, with_labels: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Mix each unlabelled image with the next one.

        Args:
            images: [U, C, ...].
            with_labels: whether the networks predict the images.

        Returns:
            The mixed images, and the mixed pseudo-labels [U, ...] of each network; without labels, an
            empty dict.
        """
        mask = boxes_mask(len(images), images.shape[2:], images.device)
        labels = {}
        for name in self.network_names if with_labels else ():
            network = getattr(self, name)
            with frozen_pass(network):
                found = hard_pseudo_label(network(images))
            labels[name] = mix(found, found.roll(1, 0), mask)
        return mix(images, images.roll(1, 0), mask), labels

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        if not self.options.consistency_weight:
            return {}
        return {"cross": as_iterations(self.options.consistency_from, iterations)}
