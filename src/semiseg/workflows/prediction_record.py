"""What is recorded of predicted masks: their confidence, and how images differ from the training images."""

from collections.abc import Iterable
from pathlib import Path

from semiseg.data.image_ranges import Difference, differences, sentences
from semiseg.data.volume import Volume
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.prediction_files import Written
from semiseg.workflows.prediction_table import Prediction, PredictionTable


class PredictionRecord:
    """The table of a folder of masks, and notes on unusual images.

    Runs of earlier versions do not store the ranges of their images; nothing is then compared.
    """

    def __init__(self, run: RunFolder, folder: Path, again: Iterable[Path] = ()) -> None:
        """Begin the record.

        Args:
            run: the run that predicts.
            folder: the folder of the masks, which exists.
            again: masks in it that are predicted again.

        Raises:
            UserError: as in `PredictionTable`.
        """
        self._folder, self._task, self._data = folder, run.task(), run.config().data
        self._ranges = run.facts().training_images
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
        if self._ranges is None:
            return []
        deep = self._data.dimensions == 3
        whole = not deep and self._data.crop_size is None
        return differences(volume, self._ranges, self._task, whole, deep)

    def _below(self, target: Path) -> str:
        return target.relative_to(self._folder).as_posix()
