"""The loader of a configuration: resized slices, crops of slices, or patches of volumes."""

from semiseg.config import DataConfig
from semiseg.data.crops import CropLoader
from semiseg.data.loader import BatchLoader
from semiseg.data.patches import PatchLoader

AnyLoader = BatchLoader | CropLoader | PatchLoader


def loader_of(config: DataConfig) -> type[AnyLoader]:
    """The class of the loader, by ``config.dimensions`` and ``config.crop_size``."""
    if config.dimensions == 3:
        return PatchLoader
    return BatchLoader if config.crop_size is None else CropLoader
