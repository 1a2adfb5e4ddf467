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
        "sassnet", 2020, "signed distance maps of labelled and unlabelled images look alike to a "
        "discriminator", "Li, Zhang, He. Shape-aware semi-supervised 3D semantic segmentation for medical "
        "images. MICCAI 2020.", "semiseg.methods.sassnet:SASSNet", (2, 3),
        equation="min_theta max_D Dice + 0.3 mean (s - s*)^2 + w(t) [mean_labelled ln D(s, x) "
        "+ mean_unlabelled ln(1 - D(s, x))]",
        reported=(
            "LA, 16 volumes: 89.54 DSC (its paper)",
            "ACDC, 10%: 84.1 DSC (PLGCL)", "ACDC, 20%: 87.1 DSC (PLGCL)",
            "KiTS19, 2.5%: 88.8 DSC (PLGCL)", "KiTS19, 10%: 89.1 DSC (PLGCL)",
        ),
    ),
    Entry(
        "mc-net", 2021, "two decoders with different upsampling learn from each other's sharpened "
        "predictions", "Wu, Xu, Ge, Cai, Zhang. Semi-supervised left atrium segmentation with mutual "
        "consistency training. MICCAI 2021.", "semiseg.methods.mc_net:MCNet", (2, 3),
        equation="0.5 sum_i Dice(p_i) + w(t) sum_{i != j} mean (p_i - sharpen(p_j))^2, i, j in {1, 2}",
        reported=(
            "LA, 8 volumes: 87.71 DSC (its paper)", "LA, 16 volumes: 90.34 DSC (its paper)",
            "ACDC, 10%: 86.3 DSC (PLGCL)", "ACDC, 20%: 87.8 DSC (PLGCL)",
        ),
    ),
    Entry(
        "dtc", 2021, "segmentation and regression of signed distance maps agree with each other",
        "Luo, Chen, Song, Wang. Semi-supervised medical image segmentation through dual-task "
        "consistency. AAAI 2021.", "semiseg.methods.dtc:DTC", (2, 3),
        equation="Dice + 0.3 mean (s - s*)^2 + w(t) mean_c (sigmoid(-1500 s_c) - p_c)^2",
        reported=(
            "LA, 16 volumes: 89.42 DSC (its paper)",
            "ACDC, 10%: 82.7 DSC (PLGCL)", "ACDC, 20%: 86.3 DSC (PLGCL)",
            "KiTS19, 2.5%: 88.5 DSC (PLGCL)", "KiTS19, 10%: 89.4 DSC (PLGCL)",
            "CRAG, 10%: 84.1 DSC (PLGCL)", "CRAG, 20%: 85.9 DSC (PLGCL)",
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
        "mc-net+", 2022, "MC-Net with three decoders",
        "Wu, Ge, Zhang, Xu, Zhang, Xia, Cai. Mutual consistency learning for semi-supervised medical "
        "image segmentation. Medical Image Analysis 2022.", "semiseg.methods.mc_net:MCNetPlus", (2, 3),
        equation="0.5 sum_i Dice(p_i) + w(t) sum_{i != j} mean (p_i - sharpen(p_j))^2, "
        "i, j in {1, 2, 3}",
        reported=(
            "LA, 8 volumes: 88.96 DSC (its paper)", "LA, 16 volumes: 91.07 DSC (its paper)",
            "ACDC, 10%: 87.1 DSC (PLGCL)", "ACDC, 20%: 88.5 DSC (PLGCL)",
        ),
    ),
    Entry(
        "coranet", 2022, "pseudo-labels where heads of opposite bias agree, a mean teacher elsewhere",
        "Shi, Zhang, Ling, Lu, Zheng, Yu, Qi, Gao. Inconsistency-aware uncertainty estimation for "
        "semi-supervised medical image segmentation. IEEE Transactions on Medical Imaging 2022.",
        "semiseg.methods.coranet:CoraNet", (2, 3),
        equation="(CE + Dice + CE_radical + CE_conservative) / 4 + 0.5 (CE + Dice) on certain pixels "
        "+ w(t) mean over heads of MSE(student, teacher) on uncertain pixels",
        reported=("KiTS19, 2.5%: 88.2 DSC (PLGCL)", "KiTS19, 10%: 89.8 DSC (PLGCL)"),
    ),
    Entry(
        "plgcl", 2023, "mean teacher plus contrast of class-attended patches guided by pseudo-labels",
        "Basak, Yin. Pseudo-label guided contrastive learning for semi-supervised medical image "
        "segmentation. CVPR 2023.", "semiseg.methods.plgcl:PLGCL",
    ),
)  # fmt: skip
