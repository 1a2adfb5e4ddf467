"""The built-in methods, oldest first. This module imports no torch."""

import dataclasses
from typing import TYPE_CHECKING

from semiseg.plugins import load_target

if TYPE_CHECKING:
    from semiseg.methods.base import Method


@dataclasses.dataclass(frozen=True)
class Entry:
    """One method.

    Attributes:
        name: used in commands and in configuration files.
        year: of publication.
        summary: one line.
        citation: of the paper.
        target: ``module:Class`` of the `Method`.
        dimensions: 2 for slices and pictures, 3 for volumes.
        equation: of the loss, in plain text, for the reference page.
        reported: results that a paper reports, such as "ACDC, 7 patients: 88.1 DSC (its paper)".
    """

    name: str
    year: int
    summary: str
    citation: str
    target: str
    dimensions: tuple[int, ...] = (2,)
    equation: str = ""
    reported: tuple[str, ...] = ()

    def load(self) -> "type[Method]":
        """Import the method's class."""
        cls: type[Method] = load_target(self.target)
        return cls


BUILT_IN = (
    Entry(
        "supervised", 2015, "U-Net on the labelled images only: the baseline",
        "Ronneberger, Fischer, Brox. U-Net: convolutional networks for biomedical image "
        "segmentation. MICCAI 2015.", "semiseg.methods.supervised:Supervised", (2, 3),
    ),
    Entry(
        "mean-teacher", 2017, "predictions agree with those of the student's moving average (MT)",
        "Tarvainen, Valpola. Mean teachers are better role models: weight-averaged consistency targets "
        "improve semi-supervised deep learning results. NeurIPS 2017.",
        "semiseg.methods.mean_teacher:MeanTeacher", (2, 3),
        equation="0.5 (CE + Dice) + w(t) mean_k (p_k(x; student) - p_k(x + noise; teacher))^2",
    ),
    Entry(
        "double-ua", 2020, "mean teacher weighted by the uncertainty of predictions and of features "
        "(Double-UA)", "Wang, Zhang, Tian, Zhong, Shi, Zhang, He. Double-uncertainty weighted method for "
        "semi-supervised learning. MICCAI 2020.", "semiseg.methods.double_ua:DoubleUA", (2, 3),
        equation="0.5 (CE + Dice) + w(t) sum_i e^-(U_s + U_f) mean_k (p_k - q_k)^2 / sum_i e^-(U_s + U_f)",
        reported=(
            "left atrium, 16 labelled: 89.65 DSC (its paper)",
            "ACDC, 10% labelled: 83.3 DSC (PLGCL)", "KiTS19, 2.5% labelled: 88.7 DSC (PLGCL)",
            "KiTS19, 10% labelled: 89.5 DSC (PLGCL)", "CRAG, 10% labelled: 87.7 DSC (PLGCL)",
            "CRAG, 20% labelled: 88.3 DSC (PLGCL)",
        ),
    ),
    Entry(
        "triple-ua", 2021, "mean teacher of three tasks, each gated by its uncertainty (Triple-UA)",
        "Wang, Zhan, Zu, Wu, Zhou, Zhou, Wang. Tripled-uncertainty guided mean teacher model for "
        "semi-supervised medical image segmentation. MICCAI 2021.",
        "semiseg.methods.triple_ua:TripleUA", (2, 3),
        equation="0.5 (CE + Dice) + a MSE(reconstruction) + b MSE(distance) "
        "+ w(t) sum_tasks mean_{U < H} (student - teacher)^2",
        reported=(
            "KiTS19, 2.5% labelled: 87.8 DSC (PLGCL)", "KiTS19, 10% labelled: 88.7 DSC (PLGCL)",
        ),
    ),
    Entry(
        "cross-teaching", 2022, "a U-Net and a Swin-Unet teach each other by pseudo-labels (CTS)",
        "Luo, Hu, Song, Wang, Zhang. Semi-supervised medical image segmentation via cross teaching "
        "between CNN and Transformer. MIDL 2022.", "semiseg.methods.cross_teaching:CrossTeaching", (2, 3),
    ),
    Entry(
        "mcsc", 2023, "cross teaching plus balanced contrast of both networks' features at several "
        "scales", "Liu, Gu, Henderson, Deligianni. Multi-scale cross contrastive learning for "
        "semi-supervised medical image segmentation. BMVC 2023.", "semiseg.methods.mcsc:MCSC", (2, 3),
    ),
    Entry(
        "cross-level", 2022, "contrast and consistency between an image and its patches",
        "Zhao, Fang, Fan, Lin, Gao, Li. Cross-level contrastive learning and consistency constraint for "
        "semi-supervised medical image segmentation. ISBI 2022.",
        "semiseg.methods.cross_level:CrossLevel",
    ),
    Entry(
        "plgcl", 2023, "mean teacher plus contrast of class-attended patches guided by pseudo-labels",
        "Basak, Yin. Pseudo-label guided contrastive learning for semi-supervised medical image "
        "segmentation. CVPR 2023.", "semiseg.methods.plgcl:PLGCL",
    ),
    Entry(
        "gbdl", 2022, "a generative model of images and labels gives pseudo-labels (GBDL)",
        "Wang, Lukasiewicz. Rethinking Bayesian deep learning methods for semi-supervised volumetric "
        "medical image segmentation. CVPR 2022.", "semiseg.methods.gbdl:GBDL", (2, 3),
        equation="first CE + 2 Dice + MSE(x) + 0.005 KL(q(Z | x) || N(0, I)); then CE + 2 Dice on labels "
        "and on the mean of M = 5 generated labels",
        reported=(
            "KiTS19, 2.5% labelled: 89.8 DSC (PLGCL)", "KiTS19, 10% labelled: 91.1 DSC (PLGCL)",
        ),
    ),
    Entry(
        "lclpl", 2023, "self-training with a contrast of pixels and class means (LCLPL)",
        "Chaitanya, Erdil, Karani, Konukoglu. Local contrastive loss with pseudo-label based "
        "self-training for semi-supervised medical image segmentation. Medical Image Analysis 87, 2023.",
        "semiseg.methods.lclpl:LCLPL",
        equation="Dice(labels) + Dice(pseudo-labels) + 0.1 mean_z,m "
        "(-ln exp(cos(z, m)/tau) / sum_m' exp(cos(z, m')/tau))",
        reported=(
            "ACDC, 10% labelled: 88.1 DSC (PLGCL)", "ACDC, 20% labelled: 90.5 DSC (PLGCL)",
        ),
    ),
)  # fmt: skip
