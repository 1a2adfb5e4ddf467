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
        "batformer", 2023, "BATFormer with deep supervision, on labelled images only (fully supervised)",
        "Lin, Yu, Cheng, Yan. BATFormer: towards boundary-aware lightweight transformer for efficient "
        "medical image segmentation. IEEE JBHI 2023.", "semiseg.methods.batformer:BATFormerMethod",
        equation="0.6 L_s(y) + 0.2 L_b(y_1) + 0.1 L_b(y_2) + 0.1 L_b(y_4), L_s = CE + Dice, "
        "L_b = 0.5 L_s + 0.5 smooth_L1(p, class fractions)",
        reported=("ACDC, all 70 patients: 92.8 DSC, 8.0 HD (MCSC)",),
    ),
    Entry(
        "nnformer", 2023, "nnFormer with deep supervision, on labelled volumes only (fully supervised)",
        "Zhou, Guo, Zhang, Han, Yu, Wang, Yu. nnFormer: volumetric medical image segmentation via a 3D "
        "transformer. IEEE TIP 2023.", "semiseg.methods.nnformer:NNFormerMethod", (3,),
        equation="4/7 L_1 + 2/7 L_2 + 1/7 L_4, L_s = CE + Dice at the s-th part of the resolution",
        reported=("Synapse, all 18 cases: 86.6 DSC, 10.6 HD (MCSC)",),
    ),
)  # fmt: skip
