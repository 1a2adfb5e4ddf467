"""Strong augmentation without geometric changes: brightness, contrast, grey morphology."""

import torch
import torch.nn.functional as F
from torch import Tensor

BRIGHTNESS = 0.3
CONTRAST = 0.3


def strong_augment(images: Tensor) -> Tensor:
    """Augment each image without moving pixels, so predictions stay aligned.

    x -> (1 + c) x + b with uniform b and c, then grey dilation, grey erosion or neither, over 3x3
    pixels and with equal probability (PLGCL, section 4.2: "morphological and brightness changes"). The
    paper does not give the ranges; they are our choice.

    Args:
        images: [B, C, H, W] in [0, 1].

    Returns:
        The same shape and range.
    """
    shape = (len(images), 1, 1, 1)
    gain, offset = (2 * torch.rand(2, *shape, device=images.device) - 1).unbind()
    looks = ((1 + CONTRAST * gain) * images + BRIGHTNESS * offset).clamp(0, 1)
    kind = torch.randint(3, shape, device=images.device)
    dilated = F.max_pool2d(looks, 3, stride=1, padding=1)
    eroded = -F.max_pool2d(-looks, 3, stride=1, padding=1)
    return torch.where(kind == 0, looks, torch.where(kind == 1, dilated, eroded))
