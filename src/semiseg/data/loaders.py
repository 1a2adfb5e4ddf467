"""The loader of a configuration: resized slices, crops of slices, or patches of volumes."""

from collections.abc import Sequence

from semiseg.config import DataConfig
from semiseg.data.crops import CropLoader
from semiseg.data.loader import BatchLoader
from semiseg.data.manifest import Case, PreparedData
from semiseg.data.patches import PatchLoader

AnyLoader = BatchLoader | CropLoader | PatchLoader


def build_loader(
    data: PreparedData,
    labelled: Sequence[Case],
    unlabelled: Sequence[Case],
    counts: tuple[int, int],
    config: DataConfig,
    seed: int,
    rank: int = 0,
    ranks: int = 1,
    distance_maps: bool = False,
) -> AnyLoader:
    """A loader of resized slices, crops or patches, by ``config.dimensions`` and ``config.crop_size``.

    ``distance_maps``: whether to fill `Batch.distance_maps`, computed from the augmented labels.
    """
    loader: type[AnyLoader] = BatchLoader
    if config.dimensions == 3:
        loader = PatchLoader
    elif config.crop_size is not None:
        loader = CropLoader
    return loader(data, labelled, unlabelled, counts, config, seed, rank, ranks, distance_maps)
