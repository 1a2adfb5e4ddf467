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
        "rotation-consistency", 2019, "predictions of an image and of its rotated copy agree",
        "Bortsova, Dubost, Hogeweg, Katramados, de Bruijne. Semi-supervised medical image segmentation via "
        "learning consistency under transformations. MICCAI 2019.",
        "semiseg.methods.rotation_consistency:RotationConsistency", (2, 3),
        equation="0.5 (CE + Dice) + w(t) mean_k (R p_k(x) - p_k(R x))^2; R: 0 to 3 quarter turns",
    ),
    Entry(
        "cct", 2020, "a decoder teaches auxiliary decoders that see perturbed features (CCT)",
        "Ouali, Hudelot, Tami. Semi-supervised semantic segmentation with cross-consistency training. "
        "CVPR 2020.", "semiseg.methods.cct:CCT", (2, 3),
        equation="0.5 (CE + Dice) + w(t) mean over 3 decoders of mean_k (p_k(z) - a_k(perturbed z))^2",
        reported=(
            "ACDC, 7 patients: 84.0 DSC (MCSC, table 1)", "ACDC, 3 patients: 58.6 DSC (MCSC, table 1)",
            "Synapse, 4 patients: 51.4 DSC (MCSC, table 2)",
            "Synapse, 2 patients: 46.9 DSC (MCSC, table 2)",
        ),
    ),
    Entry(
        "dct", 2020, "two networks that agree on images and resist each other's adversarial examples",
        "Peng, Estrada, Pedersoli, Desrosiers. Deep co-training for semi-supervised image segmentation. "
        "Pattern Recognition 107, 2020.", "semiseg.methods.dct:DCT", (2, 3),
        equation="sum of both 0.5 (CE + Dice) + w(t) [JS(p_1, p_2) + d (KL(p_1(x) || p_2(g_1(x))) + "
        "KL(p_2(x) || p_1(g_2(x))))]; g_i: one gradient sign step against network i",
    ),
    Entry(
        "cps", 2021, "two networks of one kind teach each other by pseudo-labels (CPS)",
        "Chen, Yuan, Zeng, Wang. Semi-supervised semantic segmentation with cross pseudo supervision. "
        "CVPR 2021.", "semiseg.methods.cps:CPS", (2, 3),
        equation="sum of both 0.5 (CE + Dice) + w(t) [CE(p_1, argmax p_2) + CE(p_2, argmax p_1)]",
        reported=(
            "ACDC, 7 patients: 85.0 DSC (MCSC, table 1)", "ACDC, 3 patients: 60.3 DSC (MCSC, table 1)",
            "Synapse, 4 patients: 57.9 DSC (MCSC, table 2)",
            "Synapse, 2 patients: 48.8 DSC (MCSC, table 2)",
        ),
    ),
    Entry(
        "urpc", 2021, "predictions at several scales of the decoder agree where they are certain (URPC)",
        "Luo, Liao, Chen, Song, Chen, Zhang, Chen, Wang, Zhang. Efficient semi-supervised gross target "
        "volume of nasopharyngeal carcinoma segmentation via uncertainty rectified pyramid consistency. "
        "MICCAI 2021.", "semiseg.methods.urpc:URPC", (2, 3),
        equation="mean over scales s of 0.5 (CE + Dice) + w(t) mean over s of "
        "[mean(mean_k (p_k - p_sk)^2 e^-v_s) / mean(e^-v_s) + mean(v_s)], v_s = KL(p || p_s), p: mean of p_s",
        reported=(
            "ACDC, 20% of the patients: 0.851 DSC (PLGCL, table 1a)",
            "Kvasir-SEG, 120 images: 70.83 Dice (cross-level, table 1)",
            "ISIC 2018, 156 images: 80.13 Dice (cross-level, table 2)",
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
)  # fmt: skip
