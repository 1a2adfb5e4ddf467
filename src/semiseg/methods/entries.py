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
        "fixmatch", 2020, "confident pseudo-labels of a weak view teach a strong view with CutMix",
        "Sohn, Berthelot, Li, Zhang, Carlini, Cubuk, Kurakin, Zhang, Raffel. FixMatch: simplifying "
        "semi-supervised learning with consistency and confidence. NeurIPS 2020.",
        "semiseg.methods.fixmatch:FixMatch", (2, 3),
        equation="0.5 [0.5 (CE + Dice) + Dice(p_s, argmax p_w) where max_k p_w >= 0.95]",
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
        "unimatch", 2023, "FixMatch with two strong views and a stream of perturbed features",
        "Yang, Qi, Feng, Zhang, Shi. Revisiting weak-to-strong consistency in semi-supervised semantic "
        "segmentation. CVPR 2023.", "semiseg.methods.unimatch:UniMatch", (2, 3),
        equation="0.5 [0.5 (CE + Dice) + 0.25 H(p_w, p_s1) + 0.25 H(p_w, p_s2) + 0.5 H(p_w, p_fp)], "
        "H = Dice(p, argmax p_w) where max_k p_w >= 0.95",
        reported=(
            "ACDC, 1 patient: 85.4 DSC (its paper)", "ACDC, 3 patients: 88.9 DSC (its paper)",
            "ACDC, 7 patients: 89.9 DSC (its paper)",
        ),
    ),
    Entry(
        "bcp", 2023, "copy-paste between labelled and unlabelled images, both ways (BCP)",
        "Bai, Chen, Li, Shen, Wang. Bidirectional copy-paste for semi-supervised medical image "
        "segmentation. CVPR 2023.", "semiseg.methods.bcp:BCP", (2, 3),
        equation="L_in + L_out; L_in = L_seg(Q_in, Y_in) over M + 0.5 L_seg(Q_in, Y_in) over 1 - M, "
        "L_out = L_seg(Q_out, Y_out) over 1 - M + 0.5 L_seg(Q_out, Y_out) over M, "
        "L_seg = 0.5 (CE + Dice)",
        reported=(
            "ACDC, 3 patients: 87.6 DSC (its paper)", "ACDC, 7 patients: 88.8 DSC (its paper)",
        ),
    ),
    Entry(
        "ad-mt", 2024, "two teachers that the student updates in turn, and their conflicts (AD-MT)",
        "Zhao, Wang, Wang, Yu, Yuan, Zhou. Alternate diverse teaching for semi-supervised medical image "
        "segmentation. ECCV 2024.", "semiseg.methods.ad_mt:ADMT", (2, 3),
        equation="0.5 (CE + Dice) + w(t) Dice(p_s, argmax p_f) where max_k p_f >= 0.95, "
        "p_f = (e^-H1 p_1 + e^-H2 p_2) / (e^-H1 + e^-H2), w(t) = 2 exp(-5 (1 - t/T)^2)",
        reported=(
            "ACDC, 3 patients: 88.8 DSC (its paper)", "ACDC, 7 patients: 89.5 DSC (its paper)",
        ),
    ),
)  # fmt: skip
