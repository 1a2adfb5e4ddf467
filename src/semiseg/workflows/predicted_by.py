"""``.predicted-by.json`` beside predicted masks: everything that the masks depend on."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from semiseg.digests import SHORT, file_digest
from semiseg.errors import UserError
from semiseg.files import atomic_output
from semiseg.stored import read_stored
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.loading import choose_network

ORIGIN = ".predicted-by.json"


class PredictedNetwork(BaseModel):
    """A network: its run, its name, and its weights with their digest."""

    run: str
    network: str
    weights: str

    def __str__(self) -> str:
        return f"{self.run}, network {self.network}, weights {self.weights}"


class PredictedBy(PredictedNetwork):
    """The content of ``.predicted-by.json``; ``further``: the other networks of an ensemble."""

    flips: str
    largest: str = "no"  # files of earlier versions lack it
    further: tuple[PredictedNetwork, ...] = ()

    @property
    def networks(self) -> list[tuple[str, str]]:
        """Name and weights of each network, sorted. Runs are not compared, since they may be moved."""
        return sorted((one.network, one.weights) for one in (self, *self.further))

    def same_masks(self, other: "PredictedBy") -> bool:
        """Whether the masks of an image are the same."""
        options = (self.flips, self.largest) == (other.flips, other.largest)
        return options and self.networks == other.networks

    @property
    def words(self) -> str:
        """The origin as text."""
        networks = " and of ".join([PredictedNetwork.__str__(self), *map(str, self.further)])
        return f"of {networks}, flips {self.flips}, largest components only {self.largest}"


def origin_of(
    runs: Sequence[RunFolder], network: str | None, weights: str, flips: bool, largest: bool
) -> PredictedBy:
    """The origin of masks of these runs and options."""
    networks = [
        {
            "run": str(run.folder.resolve()),
            "network": choose_network(run.config(), network)[1],
            "weights": f"{weights} ({file_digest(run.weights / f'{weights}.safetensors', SHORT)})",
        }
        for run in runs
    ]
    first, *further = networks
    return PredictedBy(
        **first,
        flips="yes" if flips else "no",
        largest="yes" if largest else "no",
        further=tuple(PredictedNetwork(**one) for one in further),
    )


def write_origin(folder: Path, origin: PredictedBy) -> None:
    """Write the file, unless it has this content: nothing is then written to a full disk."""
    path = folder / ORIGIN
    content = origin.model_dump(exclude=None if origin.further else {"further"})
    text = json.dumps(content, indent=1) + "\n"
    if path.is_file() and path.read_bytes() == text.encode():
        return
    with atomic_output(path) as partial:
        partial.write_text(text, encoding="utf-8")


def check_origin(folder: Path, masks: Sequence[Path], origin: PredictedBy) -> None:
    """Check that the masks to keep have the given origin.

    Raises:
        UserError: if they do not; the message describes their origin.
    """
    if not masks:
        return
    try:
        held = read_stored(folder / ORIGIN, PredictedBy, "")
        same, whose = held.same_masks(origin), held.words
    except UserError:  # missing or damaged
        same, whose = False, "of unknown origin"
    if not same:
        raise UserError(
            f"{folder} contains other masks ({whose}), such as {masks[0].name}: choose another -o, or "
            "replace them with --overwrite."
        )
