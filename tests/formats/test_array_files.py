"""HDF5 and .npz as images for prediction and as masks."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from semiseg.console import Quiet
from semiseg.errors import UserError
from semiseg.formats import format_of
from semiseg.formats.base import Reference
from semiseg.workflows.compare import compare

ENDINGS = (".h5", ".npy.h5", ".npz")


def write(path: Path, **arrays: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return path
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape).astype(np.float32)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("shape", [(3, 6, 5), (6, 5)])
def test_a_mask_has_the_axes_of_its_image(
    tmp_path: Path, ending: str, shape: tuple[int, ...]
) -> None:
    # the label is not read, even if it is invalid
    source = write(tmp_path / f"a{ending}", image=noise(*shape), label=noise(2, 2))
    kind = format_of(source)
    image = kind.read_image(source)
    np.testing.assert_array_equal(image.image[:, 0].reshape(shape), noise(*shape))
    assert image.label is None
    codes = (10 * noise(*shape)).astype(np.uint8) % 3
    slices = codes.reshape(-1, 6, 5)
    like = Reference(image, source, ("background", "a", "b"))
    kind.write_mask(tmp_path / "m" / f"a{ending}", slices, like)
    found = kind.read_mask(tmp_path / "m" / f"a{ending}")
    assert found.codes.dtype == np.uint8
    assert found.shape == shape
    np.testing.assert_array_equal(found.codes, slices)
    values = noise(2, *slices.shape)
    kind.write_probabilities(tmp_path / f"p{ending}", values, like)
    if ending == ".npz":
        held = np.load(tmp_path / "p.npz")["probabilities"]
    else:
        with h5py.File(tmp_path / f"p{ending}") as file:
            held = file["probabilities"][()]
    np.testing.assert_array_equal(held, values.reshape(2, *shape))
    with pytest.raises(UserError, match="does not fit its image"):
        kind.write_mask(tmp_path / f"other{ending}", slices[:, :4], like)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_no_image_or_mask_is_said(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a{ending}", picture=noise(6, 5))
    read_image, read_mask = format_of(path).read_image, format_of(path).read_mask
    with pytest.raises(UserError, match="has no array 'image'"):
        read_image(path)
    with pytest.raises(UserError, match="has no array 'label'"):
        read_mask(path)
    with pytest.raises(UserError, match="constant"):
        read_image(write(path, image=np.ones((6, 5))))
    with pytest.raises(UserError, match="not whole numbers"):
        read_mask(write(path, label=noise(6, 5)))
    path.write_bytes(b"nothing of the kind")
    for read in (read_image, read_mask):
        with pytest.raises(UserError, match="cannot be read as"):
            read(path)


def test_masks_are_scored_against_the_sets_own_files(tmp_path: Path) -> None:
    codes = (noise(3, 12, 12) > 0.5).astype(np.uint8)
    for number in range(2):
        write(tmp_path / "set" / f"p{number}.h5", image=noise(3, 12, 12), label=codes)
    write(tmp_path / "masks" / "p0.h5", label=codes)
    write(tmp_path / "masks" / "p1.npz", label=codes[::-1])
    summary = compare(tmp_path / "masks", tmp_path / "set", console=Quiet())
    dice = {score.case: score.dice for score in summary.scores}
    assert dice["p0"] == 1.0
    turned = 2 * (codes & codes[::-1]).sum() / (2 * codes.sum())
    assert dice["p1"] == pytest.approx(turned)
