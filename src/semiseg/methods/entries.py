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
        "uamt", 2019, "mean teacher on the pixels of which the teacher is certain (UA-MT)",
        "Yu, Wang, Li, Fu, Heng. Uncertainty-aware self-ensembling model for semi-supervised 3D left "
        "atrium segmentation. MICCAI 2019.", "semiseg.methods.uamt:UAMT", (2, 3),
        equation="0.5 (CE + Dice) + w(t) sum_v 1(u_v < H) mean_k (p_vk - q_vk)^2 / sum_v 1(u_v < H), "
        "u = entropy of the mean of 8 noisy passes of the teacher, "
        "H = (0.75 + 0.25 exp(-5 (1 - t/T)^2)) ln C",
        reported=(
            "ACDC, 10% and 20% labelled: 81.6 and 85.7 DSC (PLGCL, table 1a)",
            "KiTS19, 2.5% and 10% labelled: 87.1 and 88.3 DSC (PLGCL, table 1b)",
            "CRAG, 10% and 20% labelled: 81.6 and 85.6 DSC (PLGCL, table 1c)",
            "Kvasir-SEG, 120 labelled: 69.87 Dice (cross-level, table 1)",
            "ISIC 2018, 156 labelled: 80.70 Dice (cross-level, table 2)",
        ),
    ),
    Entry(
        "ict", 2019, "the prediction of a mix of two images is the mix of the teacher's predictions (ICT)",
        "Verma, Lamb, Kannala, Bengio, Lopez-Paz. Interpolation consistency training for semi-supervised "
        "learning. IJCAI 2019.", "semiseg.methods.ict:ICT", (2, 3),
        equation="0.5 (CE + Dice) + w(t) mean_k (p_k(Mix(u, v); student) - Mix(p_k(u; teacher), "
        "p_k(v; teacher)))^2, Mix(a, b) = lambda a + (1 - lambda) b, lambda ~ Beta(0.2, 0.2)",
        reported=("CRAG, 10% and 20% labelled: 86.2 and 86.6 DSC (PLGCL, table 1c)",),
    ),
    Entry(
        "rotation-consistency", 2019, "predictions of an image and of its rotated copy agree",
        "Bortsova, Dubost, Hogeweg, Katramados, de Bruijne. Semi-supervised medical image segmentation via "
        "learning consistency under transformations. MICCAI 2019.",
        "semiseg.methods.rotation_consistency:RotationConsistency", (2, 3),
        equation="0.5 (CE + Dice) + w(t) mean_k (R p_k(x) - p_k(R x))^2; R: 0 to 3 quarter turns",
    ),
    Entry(
        "tcsm", 2020, "predictions turn, flip and scale with the image (TCSM)",
        "Li, Yu, Chen, Fu, Xing, Heng. Transformation-consistent self-ensembling model for "
        "semi-supervised medical image segmentation. IEEE TNNLS 2020.",
        "semiseg.methods.tcsm:TCSM", (2, 3),
        equation="0.5 (CE + Dice) + w(t) mean_k (p_k(pi(x); student) - pi(p_k(x; teacher)))^2",
        reported=("CRAG, 10% and 20% labelled: 85.3 and 87.7 DSC (PLGCL, table 1c)",),
    ),
    Entry(
        "fixmatch", 2020, "confident pseudo-labels of a weak view teach a strong view with CutMix",
        "Sohn, Berthelot, Li, Zhang, Carlini, Cubuk, Kurakin, Zhang, Raffel. FixMatch: simplifying "
        "semi-supervised learning with consistency and confidence. NeurIPS 2020.",
        "semiseg.methods.fixmatch:FixMatch", (2, 3),
        equation="0.5 [0.5 (CE + Dice) + Dice(p_s, argmax p_w) where max_k p_w >= 0.95]",
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
        "[mean(mean_k (p_k - p_sk)^2 e^-v_s) / mean(e^-v_s) + mean(v_s)], v_s = KL(p_s || p), p: mean of p_s",
        reported=(
            "ACDC, 20% of the patients: 0.851 DSC (PLGCL, table 1a)",
            "Kvasir-SEG, 120 images: 70.83 Dice (cross-level, table 1)",
            "ISIC 2018, 156 images: 80.13 Dice (cross-level, table 2)",
        ),
    ),
    Entry(
        "triple-ua", 2021, "mean teacher of three tasks, each weighted by its uncertainty (Triple-UA)",
        "Wang, Zhan, Zu, Wu, Zhou, Zhou, Wang. Tripled-uncertainty guided mean teacher model for "
        "semi-supervised medical image segmentation. MICCAI 2021.",
        "semiseg.methods.triple_ua:TripleUA", (2, 3),
        equation="Dice + a MSE(reconstruction) + b MSE(distance) + c MSE(reconstruction, own mask) "
        "+ w(t) sum_tasks mean U' (student - teacher)^2, U' = 1 - entropy / ln K or e^-deviation",
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
        "cross-level", 2022, "contrast and consistency between an image and its patches",
        "Zhao, Fang, Fan, Lin, Gao, Li. Cross-level contrastive learning and consistency constraint for "
        "semi-supervised medical image segmentation. ISBI 2022.",
        "semiseg.methods.cross_level:CrossLevel",
    ),
    Entry(
        "hce", 2022, "mean teacher with auxiliary decoders on perturbed features (HCE)",
        "Jin, Cui, Sun, Zheng, Wei, Fang, Meng, Su. Semi-supervised histological image segmentation via "
        "hierarchical consistency enforcement. MICCAI 2022.", "semiseg.methods.hce:HCE", (2, 3),
        equation="S_0 + mean_k S_k + w(t) (mean_k MSE(p_k, (1 - u) q + u p_k) + mean_k MSE(p_0, p_k)), "
        "S = 0.5 (CE + Dice), q = teacher, u = entropy of q / ln C, p_0 = main decoder",
        reported=("CRAG, 10% and 20% labelled: 87.4 and 88.5 DSC (PLGCL, table 1c)",),
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
        "mcsc", 2023, "cross teaching plus balanced contrast of both networks' features at several "
        "scales", "Liu, Gu, Henderson, Deligianni. Multi-scale cross contrastive learning for "
        "semi-supervised medical image segmentation. BMVC 2023.", "semiseg.methods.mcsc:MCSC", (2, 3),
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
        equation="4/7 L_1 + 2/7 L_2 + 1/7 L_4, L_s = CE + Dice at 1/s of the resolution",
        reported=("Synapse, all 18 cases: 86.6 DSC, 10.6 HD (MCSC)",),
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
    Entry(
        "self-training", 2026, "pseudo-labels of the student's moving average teach a strong view",
        "No paper's method: Tarvainen, Valpola. Mean teachers are better role models. NeurIPS 2017. "
        "Lee. Pseudo-label: the simple and efficient semi-supervised learning method for deep neural "
        "networks. ICML workshop 2013.", "semiseg.methods.self_training:SelfTraining", (2, 3),
        equation="0.5 (CE + Dice) + w(t) 0.5 (CE + Dice)(p(strong view; student), "
        "argmax p(x; teacher))",
    ),
)  # fmt: skip
