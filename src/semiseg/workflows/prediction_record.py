"""What is recorded of predicted masks: their confidence, and how images differ from the training images."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from semiseg.data.image_ranges import Difference, differences, sentences
from semiseg.data.volume import Volume
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.prediction_files import Written
from semiseg.workflows.prediction_table import Prediction, PredictionTable


class PredictionRecord:
    """The table of a folder of masks, and notes on unusual images.

    An image is compared with the training images of each run. Runs of earlier versions do not store the
    ranges of theirs, and are left out.
    """

    def __init__(self, runs: Sequence[RunFolder], folder: Path, again: Iterable[Path] = ()) -> None:
        """Begin the record.

        Args:
            runs: the run that predicts, or those of an ensemble.
            folder: the folder of the masks, which exists.
            again: masks in it that are predicted again.

        Raises:
            UserError: as in `PredictionTable`.
        """
        self._folder = folder
        self._training = [_Training(run) for run in runs]
        self._table = PredictionTable(folder, {self._below(target) for target in again})
        self._unlike: list[tuple[str, list[Difference]]] = []

    @property
    def rows(self) -> list[Prediction]:
        """The rows of the table."""
        return self._table.rows

    def add(self, target: Path, image: str, volume: Volume, written: Written) -> None:
        """Add the mask ``target`` of an image that was read as ``volume``."""
        found = self._differences(volume)
        self._unlike.append((image, found))
        said = "; ".join(f"{one.kind}: {one.words}" for one in found)
        row = Prediction(self._below(target), written.confidence, written.marked, image, said)
        self._table.add(row)

    def finish(self) -> list[str]:
        """Sort the table; return notes on images that are unlike the training images."""
        self._table.finish()
        return sentences(self._unlike)

    def _differences(self, volume: Volume) -> list[Difference]:
        """The first difference of each kind; if the runs disagree, it names its run."""
        found = [(one, one.differences(volume)) for one in self._training]
        kinds: dict[str, Difference] = {}
        for run, own in found:
            for one in own:
                common = all(one in others for _, others in found)
                words = one.words if common else f"{one.words}, compared with {run.folder}"
                kinds.setdefault(one.kind, dataclasses.replace(one, words=words))
        return list(kinds.values())

    def _below(self, target: Path) -> str:
        return target.relative_to(self._folder).as_posix()


class _Training:
    """The training images of one run."""

    def __init__(self, run: RunFolder) -> None:
        self.folder, self._task, self._data = run.folder, run.task(), run.config().data
        self._ranges = run.facts().training_images

    def differences(self, volume: Volume) -> list[Difference]:
        """How an image is unlike them; empty if they are unknown."""
        if self._ranges is None:
            return []
        deep = self._data.dimensions == 3
        whole = not deep and self._data.crop_size is None
        return differences(volume, self._ranges, self._task, whole, deep)
