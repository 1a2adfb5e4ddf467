"""Load ImageNet weights of Swin-T into Swin-Unet, from a file or the official release."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.errors import UserError, is_out_of_memory
from semiseg.torch_files import read_torch

if TYPE_CHECKING:
    from semiseg.networks.swin_unet import SwinUnet

OFFICIAL = (
    "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/"
    "swin_tiny_patch4_window7_224.pth"
)


def hub_file() -> Path:
    """The file that the official weights are downloaded to, once."""
    return Path(torch.hub.get_dir()) / "checkpoints" / OFFICIAL.rpartition("/")[2]


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
            _download(hub_file())
        except Exception as error:  # any network failure: training must work offline
            return LoadReport(
                0,
                f"ImageNet weights could not be downloaded ({type(error).__name__}): Swin-Unet starts "
                f"from random weights. Download {OFFICIAL} and use --set swin.pretrained=FILE.",
            )
        state = _read(hub_file(), "remove it, and it is downloaded again")
        name = "the official Swin-T release"
    else:
        state, name = _read(Path(source)), source
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


def _download(file: Path) -> None:
    """Download the official weights to ``file``, unless they are there."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(OFFICIAL, str(file), progress=False)


def _read(path: Path, remedy: str = "give another") -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"swin.pretrained: {path} does not exist: give a file, 'hub' or 'none'.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(str(path))
        # the official file may be in the form before PyTorch 1.6
        return dict(read_torch(path, legacy=True))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"swin.pretrained: {path} is not a readable file of weights, or is damaged: {remedy}."
        ) from None


def _encoder_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the official names, also for files from timm.

    The official file wraps them in 'model'. timm stores the patch merging after stage i in stage i + 1.
    """
    inner = state.get("model", state.get("state_dict", state))
    tensors = {str(k): v for k, v in dict(inner).items() if isinstance(v, Tensor)}
    if not any(name.startswith("layers.0.downsample") for name in tensors):
        tensors = {
            re.sub(
                r"^layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", k
            ): v
            for k, v in tensors.items()
        }
    return tensors


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
