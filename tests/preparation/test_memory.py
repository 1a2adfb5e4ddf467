"""Memory: what is checked before reading is what reading takes, and packs are unpacked in rows."""

import errno
import resource
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from semiseg.data.manifest import PreparedData, write_manifest
from semiseg.errors import UserError
from semiseg.formats import format_of, memory, sizes
from semiseg.preparation import pack as module
from semiseg.preparation.pack import Pack, write_pack

SHAPE = (40, 120, 120)
FORMS = ["scaled.nii.gz", "plain.nii.gz", "double.nii", "double.h5", "double.npz", "double.tif"]

PLACES = {  # where the values are read, for each suffix
    ".gz": ["gzip.GzipFile.read", "gzip.GzipFile.readinto"],
    ".nii": ["nibabel.arrayproxy.array_from_file"],
    ".h5": ["numpy.asarray"],
    ".npz": ["numpy.lib.format.read_array"],
    ".tif": ["tifffile.TiffPageSeries.asarray"],
}


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def write(path: Path, values: NDArray[np.float64]) -> None:
    if path.name == "double.h5":
        with h5py.File(path, "w") as file:
            file["image"] = values
    elif path.name == "double.npz":
        np.savez(path, image=values)
    elif path.name == "double.tif":
        tifffile.imwrite(path, values, photometric="minisblack")
    else:
        image = nibabel.Nifti1Image(values, np.eye(4))
        if path.name != "double.nii":
            image = nibabel.Nifti1Image(values.astype(np.int16), np.eye(4))
        if path.name == "scaled.nii.gz":
            image.header.set_slope_inter(0.3, 1)
        nibabel.save(image, path)


@pytest.mark.parametrize("name", FORMS)
def test_the_check_covers_the_true_peak(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    write(path, np.random.default_rng(0).normal(0, 900, SHAPE))
    read = format_of(path).read_image
    most = peak(lambda: read(path))
    monkeypatch.setattr(sizes, "free_memory", lambda: int(0.9 * most))
    with pytest.raises(UserError, match="GB of memory"):
        read(path)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_pack_is_unpacked_in_rows(
    tmp_path: Path, write_data: Callable[[Path], PreparedData], bits: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Once 24 bytes and more were taken for each value of a case, however small the file is."""
    data = write_data(tmp_path / "data")
    case = next(case for case in data.manifest.cases if case.labelled)
    big = case.model_copy(update={"shape": (20, 2, 128, 256)})
    image = np.zeros(big.shape, np.float32)
    image[3, 1, 5:9, 7:80] = 1000.7
    image[..., 3] = -2
    np.save(tmp_path / "data/images" / f"{case.identifier}.npy", image)
    label = np.zeros((20, 128, 256), np.uint8)
    label[4, 2:9] = 1
    np.save(tmp_path / "data/labels" / f"{case.identifier}.npy", label)
    task = data.manifest.task.model_copy(update={"channels": 2})
    manifest = data.manifest.model_copy(update={"cases": (big,), "task": task})
    write_manifest(tmp_path / "data", manifest)
    file = tmp_path / "a.semiseg"
    chosen = 8 if bits == 8 else 16
    assert len(list(write_pack(file, PreparedData(tmp_path / "data"), manifest, chosen))) == 1
    monkeypatch.setattr(module, "MOST_AT_ONCE", 2**12)
    with Pack(file) as packed:
        found, codes = np.empty_like(image), np.empty_like(label)
        most = peak(lambda: (packed.unpack_image(big, found), packed.unpack_label(big, codes)))
        assert most < module.PER_VALUE * 2**12 + 600_000  # 26 MB when all is unpacked at once
    np.testing.assert_array_equal(codes, label)
    np.testing.assert_allclose(found, image, atol=1002.7 / (2**bits - 1))


def test_a_damaged_member_is_noticed_at_its_end(tmp_path: Path, small_data: PreparedData) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    list(write_pack(file, small_data, small_data.manifest, 16))
    name = f"images/{small_data.manifest.cases[0].identifier}"
    with zipfile.ZipFile(file) as one, zipfile.ZipFile(other, "w") as two:
        for info in one.infolist():
            content = bytearray(one.read(info))
            if info.filename == name:
                content[-1] ^= 1
            two.writestr(info.filename, bytes(content), zipfile.ZIP_DEFLATED)
    case = small_data.manifest.cases[0]
    with Pack(other) as packed, pytest.raises(UserError, match="truncated or damaged"):
        packed.unpack_image(case, np.empty(case.shape, np.float32))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_a_lack_of_memory_is_no_damage(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = tmp_path / name
    write(path, np.zeros((2, 8, 9)))

    def fail(*args: object, **options: object) -> None:
        raise error

    for place in PLACES[path.suffix]:
        monkeypatch.setattr(place, fail)
    with pytest.raises(type(error)) as raised:
        format_of(path).read_image(path)
    assert raised.value is error


def group(folder: Path, limit: str, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in {**files, limit.partition(" ")[0]: limit.partition(" ")[2]}.items():
        (folder / name).write_text(text)


def test_the_limit_of_a_control_group_counts(tmp_path: Path) -> None:
    """Version 2, where the group above leaves the least; caches of files can be dropped."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text("0::/job/step\n")
    assert memory.of_groups(proc, groups) is None
    used = {
        "memory.current": "700\n",
        "memory.stat": "anon 400\nactive_file 200\ninactive_file 100\n",
    }
    group(groups / "job" / "step", "memory.max max", used)
    assert memory.of_groups(proc, groups) is None
    (groups / "job" / "step" / "memory.max").write_text("2000\n")
    assert memory.of_groups(proc, groups) == 1600
    for name, text in {**used, "memory.max": "1000\n"}.items():
        (groups / "job" / name).write_text(text)
    assert memory.of_groups(proc, groups) == 600


def test_the_limit_of_a_control_group_of_version_1_counts(tmp_path: Path) -> None:
    """In a container, which sees its own group as the root."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text("5:cpu:/\n4:memory:/docker/3f\n0::/\n")
    used = {"memory.usage_in_bytes": "1200\n", "memory.stat": "total_inactive_file 500\n"}
    group(groups / "memory", "memory.limit_in_bytes 1000\n", used)
    assert memory.of_groups(proc, groups) == 300
    (groups / "memory" / "memory.usage_in_bytes").write_text("9000\n")
    assert memory.of_groups(proc, groups) == 0


def test_the_smallest_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "of_groups", lambda: 123)
    assert memory.free_memory() == 123
    monkeypatch.setattr(memory, "of_groups", lambda: None)
    before = memory.free_memory()
    assert before is not None
    (address_space,) = [
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmSize")
    ]
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (address_space + 2**30, 2**62))
    left = memory.free_memory()
    assert left is not None
    assert left <= 2**30 + 2**28
