"""`cct` (CCT): Ouali, Hudelot, Tami. Semi-supervised semantic segmentation with cross-consistency training
(CVPR 2020).

A shared encoder h, a main decoder g and K = 3 auxiliary decoders g_k. L = L_s + w(t) L_u (equation 1 of the
paper). L_u = 1/K sum_k MSE(g(z), g_k(p_k(z))) on unlabelled images (equation 3), where z = h(x), the
functions p_k perturb z, and g(z) is detached: the main decoder learns from labels only, the encoder
and the auxiliary decoders from L_u too. The perturbations are multiplicative noise of U(-0.3, 0.3) (F-Noise),
dropout of the most active positions with a threshold of U(0.7, 0.9) (F-Drop), and spatial dropout, which
sets whole channels to 0 with probability 0.3 (DropOut). There is no perturbation in evaluation mode.

Departures from the paper. L_s is 0.5 (CE + Dice) instead of bootstrapped CE. w(t) is 0.1 exp(-5 (1 - t/T)^2),
as in the SSL4MIS benchmark, which the segmentation papers use as "CCT"; the paper's w rises to 30 in the
first tenth of the run, for other images and another optimiser (``cct.consistency_weight``). z are all maps
of a U-Net's encoder, each with its own perturbation, as in the benchmark; the paper's decoders have no
skip connections. The paper has up to 30 auxiliary decoders of seven kinds; three kinds with one decoder
each are those of the benchmark. The benchmark's code detaches no target, so the gradient of L_u reaches the
main decoder, drops elements instead of channels (also with p = 0.3), and trains the auxiliary decoders on
labels (``cct.supervise_auxiliary``). Equation numbers, the paper's constants and its DropOut are from memory.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.losses.consistency import softmax_mse
from semiseg.losses.dice import supervised_loss
from semiseg.losses.precision import at_least_single
from semiseg.methods import base
from semiseg.methods.base import Method, Step
from semiseg.methods.common.auxiliary_decoders import AuxiliaryDecoders
from semiseg.methods.common.batch_norm import maps_of, run_parts
from semiseg.methods.common.perturb import drop_attended, drop_channels, noise_features
from semiseg.methods.common.pseudo_label import soft_pseudo_label
from semiseg.methods.common.ramp_up import sigmoid_rampup

DECODERS = 3


class CCTOptions(base.NetworkOptions):
    """Options of ``cct``."""

    consistency_weight: float = Field(0.1, ge=0, description="final weight of the consistency")
    noise: float = Field(0.3, ge=0, le=1, description="bound of the multiplicative noise")
    dropout: float = Field(0.3, ge=0, lt=1, description="probability of dropping a channel")
    supervise_auxiliary: bool = Field(
        False, description="whether auxiliary decoders learn from labels too, as in SSL4MIS"
    )


class CCT(Method):
    """The encoder and the main decoder are used for inference."""

    Options: ClassVar[type[base.Options]] = CCTOptions

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        network = self.add_network()
        self.auxiliary = AuxiliaryDecoders(network, len(task.classes), [{}] * DECODERS)

    @property
    def perturbations(self) -> tuple[Callable[[list[Tensor]], list[Tensor]], ...]:
        """The perturbation of each auxiliary decoder's maps."""
        o: CCTOptions = self.options
        return (
            lambda maps: noise_features(maps, o.noise),
            drop_attended,
            lambda maps: drop_channels(maps, o.dropout),
        )

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Terms: ``supervised`` and ``consistency``."""
        o, labelled = self.options, batch.labelled
        main, others = self.outputs(batch)
        supervised = [main, *others] if o.supervise_auxiliary else [main]
        losses = [supervised_loss(x[:labelled], batch.labels) for x in supervised]
        terms = {"supervised": torch.stack(losses).mean()}
        if batch.unlabelled:
            target = soft_pseudo_label(main[labelled:])
            errors = [softmax_mse(x[-batch.unlabelled :].softmax(1), target) for x in others]
            weight = o.consistency_weight * sigmoid_rampup(step.fraction)
            terms["consistency"] = weight * torch.stack(errors).mean()
        return terms

    def outputs(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Return the logits of the main decoder and of each auxiliary decoder.

        Those of the main decoder are [B, K, ...]. Auxiliary decoders see all images if they are
        supervised, otherwise only the unlabelled ones.
        """
        network, labelled = self.network, batch.labelled
        batch_norm = self.config.training.batch_norm
        if self.options.supervise_auxiliary:

            def run(images: Tensor) -> dict[int, Tensor]:
                maps = network.encode(images)
                logits = at_least_single(network.classify(network.decode(maps)))
                return dict(enumerate([logits, *self.auxiliary_logits(maps)]))

            main, *others = run_parts(run, self, batch.images, labelled, batch_norm).values()
            return main, others
        maps, decoded = maps_of(network, batch.images, labelled, batch_norm)
        logits = at_least_single(network.classify(decoded))
        if not batch.unlabelled:
            return logits, []
        return logits, self.auxiliary_logits([m[labelled:] for m in maps])

    def auxiliary_logits(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the logits [B, K, ...] of each auxiliary decoder for the encoder's maps."""
        seen = [perturb(maps) if self.training else maps for perturb in self.perturbations]
        return [at_least_single(x) for x in self.auxiliary(self.network, seen)]
