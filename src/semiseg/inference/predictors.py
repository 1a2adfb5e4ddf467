"""The predictor of a configuration: resized slices, crops of slices, or volumes."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.manifest import Case, PreparedData
from semiseg.data.task import Task
from semiseg.inference.base import Resampling
from semiseg.inference.crops import CropPredictor
from semiseg.inference.ensemble import Ensemble
from semiseg.inference.predictor import Predictor
from semiseg.inference.volumes import VolumePredictor

AnyPredictor = Predictor | CropPredictor | VolumePredictor | Ensemble


def predict_case(predictor: AnyPredictor, data: PreparedData, case: Case) -> NDArray[np.uint8]:
    """Predict a prepared case: class codes [D, H, W]."""
    bounds = data.bounds_of(case, predictor.task.intensity)
    return predictor.predict(np.asarray(data.image(case.identifier)), bounds, case.spacing)


def build_predictor(
    logits: Callable[[Tensor], Tensor],
    task: Task,
    config: DataConfig,
    device: torch.device | str = "cpu",
    flips: bool = False,
    resampling: Resampling = "probabilities",
) -> AnyPredictor:
    """Build a predictor for resized slices, crops or volumes from a run's ``data`` section.

    ``flips``: whether to average over copies that are mirrored along ``config.mirrored_axes``.
    """
    if config.dimensions == 3:
        return VolumePredictor(logits, task, config, device, flips, resampling)
    if config.crop_size is not None:
        return CropPredictor(logits, task, config, device, flips, resampling)
    axes = config.mirrored_axes if flips else ()
    return Predictor(logits, task, config.size, device, axes, resampling)
