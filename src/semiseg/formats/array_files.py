"""Files of arrays without geometry (HDF5, .npz) as images to predict, and as masks with a ``label``."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import atomic_output
from semiseg.formats.arrays import as_slices, stack
from semiseg.formats.grid import check_result
from semiseg.formats.hdf5 import load_hdf5
from semiseg.formats.names import suffix_of
from semiseg.formats.npz import load_npz
from semiseg.formats.values import as_codes

NPZ = ".npz"


def read_array_image(path: Path) -> Volume:
    """The ``image`` of a file, without the label that may lie beside it: [D, 1, H, W].

    Raises:
        UserError: for a file that is unreadable, or holds no such image.
    """
    arrays = {name: array for name, array in load_arrays(path).items() if name == "image"}
    return stack([as_slices(arrays, path)], [path], path.name)


def read_array_label(path: Path) -> NDArray[np.uint8]:
    """The ``label`` of a file as class codes: [D, H, W], or [H, W] as it is stored.

    Raises:
        UserError: for a file that is unreadable, or holds no label of two or three axes.
    """
    label = load_arrays(path).get("label")
    if label is None or label.ndim not in (2, 3) or label.size == 0:
        raise UserError(f"{path} holds no array 'label' of two or three axes: is it a mask?")
    return as_codes(label, path)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays ``image`` and ``label``, those of them that are there.

    Raises:
        UserError: for an unreadable file, and as `load_hdf5` and `load_npz`.
    """
    return load_npz(path) if suffix_of(path) == NPZ else load_hdf5(path)


def write_array_mask(path: Path, mask: NDArray[np.integer[Any]], reference_path: Path) -> None:
    """Write [D, H, W] codes as ``label``, with the axes of the image they were predicted from.

    Raises:
        UserError: where the shapes differ or the file cannot be written.
    """
    _write(path, "label", np.asarray(mask, np.uint8)[None], reference_path)


def write_array_probabilities(
    path: Path, probabilities: NDArray[np.floating[Any]], reference_path: Path
) -> None:
    """Write [K, D, H, W] as ``probabilities``; of an image of two axes [K, H, W].

    Raises:
        UserError: where the shapes differ or the file cannot be written.
    """
    _write(path, "probabilities", np.asarray(probabilities, np.float32), reference_path)


def _write(path: Path, name: str, data: NDArray[Any], reference_path: Path) -> None:
    import h5py

    shape = load_arrays(reference_path)["image"].shape
    check_result(data.shape[1:], (1, *shape)[-3:], path, reference_path)
    array = data.reshape(-1, *shape) if name != "label" else data.reshape(shape)
    with atomic_output(path) as partial:
        if suffix_of(path) == NPZ:
            arrays: dict[str, Any] = {name: array}
            np.savez_compressed(partial, **arrays)
            return
        with h5py.File(partial, "w") as file:
            file.create_dataset(name, data=array, compression="gzip")
