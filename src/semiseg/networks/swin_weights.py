"""Load ImageNet weights of Swin-T into Swin-Unet, from a file or the official release."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.errors import UserError
from semiseg.networks.weight_files import download, read_weights

if TYPE_CHECKING:
    from semiseg.networks.swin_unet import SwinUnet

OFFICIAL = (
    "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
    "swin_tiny_patch4_window7_224.pth"
)


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """The number of tensors that were loaded, and a sentence for the user."""

    loaded: int
    message: str


def load_pretrained(network: "SwinUnet", source: str) -> LoadReport:
    """Load ``source`` into ``network``: 'none', 'hub' (the official file) or a path.

    The encoder loads tensors with the same name and shape. The decoder's blocks load those of the
    encoder stage with the same resolution. Position tables of another window are resized bicubically.
    If the hub cannot be reached, the network does not change, and the report says so.

    Raises:
        UserError: if a file is missing, unreadable or damaged, or none of its tensors fits.
    """
    if source == "none":
        return LoadReport(0, "Swin-Unet starts from random weights (swin.pretrained=none).")
    if source == "hub":
        try:
            file = download(OFFICIAL)
        except Exception as error:  # any network failure: training must work offline
            return LoadReport(
                0,
                f"ImageNet weights could not be downloaded ({type(error).__name__}): Swin-Unet starts "
                f"from random weights. Download {OFFICIAL} and use --set swin.pretrained=FILE.",
            )
        state = read_weights(file, "swin.pretrained", "remove it, and it is downloaded again")
        name = "the official Swin-T release"
    else:
        state, name = read_weights(Path(source), "swin.pretrained"), source
    width = network.encoder.patch_embed.proj.out_channels
    loaded = _copy(network, _encoder_names(state))
    if loaded == 0 and source == "hub":
        return LoadReport(
            0,
            f"{name} needs swin.embed_dim 96, not {width}: Swin-Unet starts from random weights.",
        )
    if loaded == 0:
        raise UserError(
            f"{name}: no tensor has a name and shape of this Swin-Unet: "
            "use Swin-T weights with swin.embed_dim 96, or swin.pretrained=none."
        )
    return LoadReport(loaded, f"{loaded} tensors of Swin-Unet were loaded from {name}.")


def _encoder_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the official names, also for files from timm.

    timm stores the patch merging after stage i in stage i + 1.
    """
    if any(name.startswith("layers.0.downsample") for name in state):
        return state
    return {
        re.sub(r"^layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", k): v
        for k, v in state.items()
    }


def _copy(network: "SwinUnet", source: dict[str, Tensor]) -> int:
    stages = len(network.encoder.layers)
    width = source.get("patch_embed.proj.bias")
    if width is None or len(width) != network.encoder.patch_embed.proj.out_channels:
        return 0  # with equal heads the position tables would still fit

    def mirrored(name: str) -> str:
        return re.sub(r"^layers_up\.(\d)", lambda m: f"layers.{stages - 2 - int(m[1])}", name)

    renames: list[Callable[[str], str]] = [str, mirrored]
    loaded = 0
    with torch.no_grad():
        for full, parameter in network.named_parameters():
            name = full.partition(".")[2]  # without "encoder" or "decoder"
            tensor = next((source[r(name)] for r in renames if r(name) in source), None)
            if tensor is None:
                continue
            if name.endswith("relative_position_bias_table"):
                tensor = _resize_table(tensor, parameter.shape[0])
            if name == "patch_embed.proj.weight" and tensor.shape[1] != parameter.shape[1]:
                continue  # the input does not have three channels
            if tensor.shape == parameter.shape:
                parameter.copy_(tensor)
                loaded += 1
    return loaded


def _resize_table(table: Tensor, length: int) -> Tensor:
    """Resize a position table [(2w - 1)^2, heads] to another window, bicubically."""
    if table.shape[0] == length:
        return table
    old, new = round(table.shape[0] ** 0.5), round(length**0.5)
    grid = table.float().T.reshape(1, -1, old, old)
    grid = F.interpolate(grid, (new, new), mode="bicubic", align_corners=False)
    return grid.reshape(-1, new * new).T
