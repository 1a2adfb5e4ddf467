"""What the loaders of resized slices, of crops and of patches share."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from torch import Tensor

from semiseg.config import DataConfig
from semiseg.data.batch import Batch
from semiseg.data.distance_maps import stacked_maps
from semiseg.data.manifest import Case, PreparedData
from semiseg.data.sampler import Sampler

Item = TypeVar("Item")
Slice = tuple[Case, int]


class Loader(Generic[Item]):
    """``loader(step)`` returns the batch of a step, which depends only on (seed, step, rank).

    Labels are read only for labelled cases. A pass over the data takes every item once.
    """

    def __init__(
        self,
        data: PreparedData,
        labelled: Sequence[Case],
        unlabelled: Sequence[Case],
        counts: tuple[int, int],
        config: DataConfig,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        distance_maps: bool = False,
    ) -> None:
        """Args: counts: labelled and unlabelled items of a batch over all ranks.

        distance_maps: whether to fill `Batch.distance_maps`, computed from the augmented labels.
        """
        self.labelled, self.unlabelled = self.items(labelled, unlabelled)
        self.sampler = Sampler(len(self.labelled), len(self.unlabelled), counts, seed, rank, ranks)
        self.data, self.config, self.seed, self.rank = data, config, seed, rank
        self.classes = len(data.task.classes)
        self.distance_maps = distance_maps
        self.open_source()

    def items(
        self, labelled: Sequence[Case], unlabelled: Sequence[Case]
    ) -> tuple[list[Item], list[Item]]:
        """Return the labelled and the unlabelled items of the cases."""
        raise NotImplementedError

    def open_source(self) -> None:
        """Open the store or the cache from which items are read."""
        raise NotImplementedError

    def __call__(self, step: int) -> Batch:
        """The batch of ``step``."""
        raise NotImplementedError

    def chosen(self, step: int) -> tuple[list[Item], int]:
        """Return the items of ``step``, labelled ones first, and the number of labelled ones."""
        labelled, unlabelled = self.sampler(step)
        items = [self.labelled[i] for i in labelled] + [self.unlabelled[i] for i in unlabelled]
        return items, len(labelled)

    def maps(self, codes: Tensor, spacings: Sequence[Sequence[float] | None]) -> Tensor | None:
        """Return the distance maps of the labels of a batch, if the method needs them."""
        return stacked_maps(codes, self.classes, spacings) if self.distance_maps else None


def items_of_slices(
    labelled: Sequence[Case], unlabelled: Sequence[Case]
) -> tuple[list[Slice], list[Slice]]:
    """Return labelled slices, and slices of unlabelled cases or without labels."""
    return (
        labelled_slices_of(labelled),
        slices_of(unlabelled) + unlabelled_slices_of(labelled),
    )


def slices_of(cases: Sequence[Case]) -> list[Slice]:
    """All slices of ``cases``, in order."""
    return [(case, index) for case in cases for index in range(case.slices)]


def labelled_slices_of(cases: Sequence[Case]) -> list[Slice]:
    """The slices of labelled ``cases`` that have labels, in order."""
    return [(case, index) for case in cases for index in case.labelled_slices]


def unlabelled_slices_of(cases: Sequence[Case]) -> list[Slice]:
    """The slices of labelled ``cases`` without labels, which serve as unlabelled images."""
    return [(case, index) for case in cases for index in case.unlabelled_slices]
