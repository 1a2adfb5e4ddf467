"""Synapse as preprocessed for TransUNet: stacking, lists, and refusal of pickles."""

import io
import pickle
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import replicas
from semiseg.datasets import btcv, detect
from semiseg.datasets.base import Options, Scan
from semiseg.errors import UserError
from semiseg.formats import HDF5, NPZ


def scan(folder: Path) -> Scan:
    layout, _ = detect(folder)
    assert layout.name == "synapse-prepared"
    return layout.scan(folder, Options())


@pytest.fixture
def synapse(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "Synapse"
    replicas.synapse_prepared(folder, (5, 6, 10), (1, 2))
    return folder


def test_slices_are_stacked_and_parts_are_kept(synapse: Path) -> None:
    layout, evidence = detect(synapse)
    assert layout.name == "synapse-prepared"
    assert "case0005_slice000.npz; lists: train.txt, test_vol.txt" in evidence
    result = scan(synapse)
    assert result.classes == ("background", *btcv.ORGANS)
    assert result.split is not None
    assert sorted(result.split.train) == ["case0005", "case0006", "case0010"]
    assert result.split.test == ("case0001", "case0002")
    cases = {case.identifier: case for case in result.cases}
    for name in ("case0006", "case0001"):
        volume = cases[name].read()
        noise = np.random.default_rng(int(name[4:])).random((4, 32, 32))
        assert volume.label is not None
        assert volume.label[1:, 3:27].max() == 8
        expected = (0.1 * volume.label + 0.2 * noise)[1:]
        np.testing.assert_allclose(volume.image[1:, 0], expected, rtol=1e-6)
        assert not volume.image[0].any()


@pytest.mark.parametrize("where", ["lists", "../../lists/lists_Synapse", "../lists_Synapse", "."])
def test_lists_may_lie_elsewhere(synapse: Path, where: str) -> None:
    (synapse / where).mkdir(parents=True, exist_ok=True)
    own = synapse / "lists" / "lists_Synapse"
    lines = (own / "train.txt").read_text().split()
    some = [line for line in lines if not line.startswith("case0006")]
    (synapse / where / "train.txt").write_text("\n".join(some))
    if own.resolve() != (synapse / where).resolve():
        shutil.rmtree(own)
    result = scan(synapse)
    assert {c.identifier for c in result.cases} == {"case0005", "case0010", "case0001", "case0002"}
    assert any("4 files that" in note and "does not name" in note for note in result.notes)


def test_slices_may_lie_in_the_folder_itself(synapse: Path) -> None:
    shutil.rmtree(synapse / "lists")
    shutil.rmtree(synapse / "test_vol_h5")
    for path in (synapse / "train_npz").iterdir():
        path.rename(synapse / path.name)
    result = scan(synapse)
    assert [case.identifier for case in result.cases] == ["case0005", "case0006", "case0010"]
    assert result.split is None  # a single part: the split is drawn


def test_only_the_case_of_a_missing_slice_cannot_be_read(synapse: Path) -> None:
    def refused() -> list[str]:
        said = []
        for case in scan(synapse).cases:
            try:
                case.read()
            except UserError as error:
                said.append(f"{case.identifier}: {error}")
        return said

    (synapse / "train_npz" / "case0005_slice002.npz").unlink()
    [said] = refused()
    assert re.fullmatch(r"case0005: .*case0005_slice002\.npz does not exist: .*", said)
    shutil.rmtree(synapse / "lists")
    [said] = refused()
    assert "slice 2 of case0005 is missing" in said
    (synapse / "test_vol_h5" / "case0002.npy.h5").write_bytes(b"no HDF5")
    assert [line[:8] for line in refused()] == ["case0005", "case0002"]


def test_a_list_without_any_of_its_files_is_refused(synapse: Path) -> None:
    path = next(synapse.rglob("test_vol.txt"))
    path.write_text("case0099\n")
    with pytest.raises(UserError, match=r"test_vol\.txt names case0099, but it is not in"):
        scan(synapse)


class Trap:
    """Runs a program when unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("trapped"),)  # type: ignore[return-value]


def test_pickled_slices_are_refused_unopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "case0001_slice000.npz"
    np.savez(path, image=np.array([[Trap()]], dtype=object), label=np.zeros((1, 1)))
    with pytest.raises(UserError, match="pickled objects"):
        NPZ.read_slices(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match="cannot be read"):
        NPZ.read_slices(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.npy", pickle.dumps(Trap()))
    with pytest.raises(UserError, match="cannot be read"):
        NPZ.read_slices(path)
    assert not (tmp_path / "trapped").exists()


def test_absurd_and_damaged_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "case0001_slice000.npz"
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (2**20, 2**20)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.npy", header.getvalue())
    with pytest.raises(UserError, match="announces"):
        NPZ.read_slices(path)
    np.savez(path, image=np.ones((5, 4)), label=np.ones((4, 5)))
    with pytest.raises(UserError, match="label of shape 4 x 5 for an image of shape 5 x 4"):
        NPZ.read_slices(path)
    np.savez(path, picture=np.ones((5, 4)))
    with pytest.raises(UserError, match="no array 'image'"):
        NPZ.read_slices(path)
    np.savez_compressed(path, image=np.random.default_rng(0).random((50, 40)))
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 255
    for content in (whole[:200], whole[:-30], bytes(broken), b""):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"slice000\.npz cannot be read as a \.npz file"):
            NPZ.read_slices(path)


def test_arrays_of_other_hdf5_files_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["image"] = np.random.default_rng(0).random((3, 4))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = h5py.ExternalLink("secret.h5", "image")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        layout = h5py.VirtualLayout((3, 4), "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "image", (3, 4))
        file.create_virtual_dataset("image", layout)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        raw = [(str(tmp_path / "secret.h5"), 0, 96)]
        file.create_dataset("image", (3, 4), "f8", external=raw)
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file.create_group("image")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["other"] = h5py.ExternalLink("secret.h5", "image")
        file["image"] = h5py.SoftLink("/other")
    for name in "abcdf":
        with pytest.raises(UserError, match=r"\.h5 only links to its array 'image'"):
            HDF5.read_slices(tmp_path / f"{name}.h5")
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.create_dataset("image", (2**20, 2**20), "f4", chunks=(64, 64))
    with pytest.raises(UserError, match="announces"):
        HDF5.read_slices(tmp_path / "e.h5")
