"""A trained network for use from Python: arrays in, arrays out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semiseg.data.task import Task, is_possible
from semiseg.errors import UserError
from semiseg.inference.axes import as_slices
from semiseg.inference.predictors import AnyPredictor
from semiseg.workflows.ensemble import Runs, find_runs, load_networks
from semiseg.workflows.inputs import as_inputs, find_images
from semiseg.workflows.loading import choose_network

Spacing = tuple[float, float, float]


def load(
    run: Runs,
    network: str | None = None,
    weights: str = "best",
    device: str = "cpu",
    with_folds: bool = False,
) -> "Model":
    """Load one network of a run, or an ensemble of one network of each of several runs.

    Args:
        run: the run's folder, or that of `semiseg.run`; several are an ensemble (see `semiseg.predict`).
        network: one of the method's networks; default: the one meant for inference.
        weights: 'best' (by validation Dice; 'last' if there are no validation cases), 'last' or
            'step-N'.
        device: auto, cpu or cuda.
        with_folds: whether to add the networks of the cross-validation of `semiseg.run`.

    Raises:
        UserError: if the network or the weights are unknown, a run is damaged, or two runs have different
            tasks.
    """
    runs = find_runs(run, with_folds)
    predictor = load_networks(runs, network=network, weights=weights, device=device)
    configs = [one.config() for one in runs]
    return Model(
        predictor, runs[0].folder, configs[0].method, choose_network(configs[0], network)[1], weights,
        max(config.data.dimensions for config in configs), [one.folder for one in runs[1:]],
    )  # fmt: skip


class Model:
    """One trained network of a run, or an ensemble of several, returned by `load`.

    Attributes:
        task: the channels, classes, intensities and spacing of the training data.
        classes: names of the classes, indexed by class code; 0 is the background.
        channels: number of channels of an image.
        run: the run's folder.
        method, network, weights: their names.
        further: the folders of an ensemble's other runs; empty for one run. The attributes above are those of
            the first run.
    """

    def __init__(
        self,
        predictor: AnyPredictor,
        run: Path,
        method: str,
        network: str,
        weights: str,
        dimensions: int,
        further: Sequence[Path] = (),
    ) -> None:
        self.task: Task = predictor.task
        self.classes = predictor.task.classes
        self.channels = predictor.task.channels
        self.run, self.method, self.network, self.weights = run, method, network, weights
        self.further = tuple(further)
        self._predictor, self._dimensions = predictor, dimensions

    def __repr__(self) -> str:
        further = f"further={[str(run) for run in self.further]}, " if self.further else ""
        return (
            f"Model(run={str(self.run)!r}, {further}method={self.method!r}, network={self.network!r}, "
            f"weights={self.weights!r}, channels={self.channels}, classes={self.classes})"
        )

    def predict(
        self,
        image: Path | str | ArrayLike,
        spacing: Spacing | None = None,
        probabilities: bool = False,
    ) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Segment one image.

        Args:
            image: intensities on the same scale as in the training files, as an array of D slices, C
                channels, H rows and W columns:

                - [H, W]: one slice or picture of one channel;
                - [D, H, W]: D slices of one channel;
                - [C, H, W]: one slice or picture of several channels;
                - [D, C, H, W]: D slices of any number of channels.

                A 3D run (``data.dimensions=3``) needs the axis D. Three axes are [D, H, W] if the run has
                one channel and [C, H, W] if it has more. Alternatively, the path of a file or of the
                folder of a DICOM series, as for `semiseg.predict`.
            spacing: (slice, row, column) in mm. Required for a run with ``data.spacing``, otherwise
                ignored. Default: the spacing of the file, or none.
            probabilities: return probabilities instead of labels.

        Returns:
            Class codes, uint8, on the image's own grid: [H, W] for an image without an axis D, else
            [D, H, W]. For a file, the axes of the file: x, y, z of NIfTI, rows and columns of a picture.
            With ``probabilities``: float32 with a first axis of K classes, [K, H, W] or [K, D, H, W].

        Raises:
            UserError: if the shape is invalid (the message lists valid ones), values are not finite, the
                file cannot be read, or the spacing is missing or not positive.
        """
        if spacing is not None and not (len(spacing) == 3 and is_possible(spacing)):
            raise UserError(
                "spacing must be three positive numbers in mm, at most 10,000: slice, row, column."
            )
        if isinstance(image, Path | str):
            return self._predict_file(Path(image), spacing, probabilities)
        given = as_slices(image, self.task, self._dimensions)
        _check_range(given.image, self.task)
        values = self._predict(given.image, spacing, probabilities)
        return values[..., 0, :, :] if given.single else values

    def _predict_file(
        self, path: Path, spacing: Spacing | None, probabilities: bool
    ) -> NDArray[np.uint8] | NDArray[np.float32]:
        inputs = as_inputs(find_images([path]), self.task)
        if len(inputs) > 1:
            raise UserError(
                f"{path} contains {len(inputs)} images: give one image, or use semiseg.predict for all."
            )
        volume = inputs[0].read(self.task)
        values = self._predict(volume.image, spacing or volume.spacing, probabilities)
        if self.task.kind == "pictures":
            return values[..., 0, :, :]
        return np.moveaxis(values, -3, volume.slice_axis - 3)

    def _predict(
        self, image: NDArray[np.generic], spacing: Spacing | None, probabilities: bool
    ) -> NDArray[np.uint8] | NDArray[np.float32]:
        """[D, C, H, W] -> [D, H, W], or [K, D, H, W]."""
        if not probabilities:
            return self._predictor.predict(image, spacing=spacing)
        values = self._predictor.probabilities(image, spacing=spacing)  # [D, K, H, W]
        return np.ascontiguousarray(np.moveaxis(values, 1, 0))


def _check_range(image: NDArray[np.generic], task: Task) -> None:
    """Check that a picture is not in 0 to 1 if the training pictures are in 0 to 255.

    Raises:
        UserError: if it is.
    """
    if task.kind != "pictures" or task.intensity.kind != "window" or image.dtype.kind != "f":
        return
    largest = float(image.max())
    if 0 < largest <= 1 < task.intensity.high / 2:
        raise UserError(
            f"The image's largest value is {largest:.3g}, but the run was trained on 0 to "
            f"{task.intensity.high:g}: scale the image to that range."
        )
