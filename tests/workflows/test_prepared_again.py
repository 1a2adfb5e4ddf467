"""Data that were prepared again: no run and no benchmark mixes the old with the new."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semiseg.console import Quiet
from semiseg.data.manifest import PreparedData, write_manifest
from semiseg.errors import UserError
from semiseg.preparation.pack import Pack
from semiseg.testing.data import small_settings
from semiseg.workflows.benchmark import benchmark
from semiseg.workflows.pack import pack, unpack
from semiseg.workflows.prepare import prepare
from semiseg.workflows.train import resume, train


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 255, (32, 32)).astype(np.uint8)
    Image.fromarray(values).save(path)


def mask(path: Path, left: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((32, 32), np.uint8)
    values[8:20, left : left + 10] = 255
    Image.fromarray(values).save(path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Ten pictures with masks."""
    for number in range(10):
        picture(tmp_path / "source" / "images" / f"a{number}.png", number)
        mask(tmp_path / "source" / "masks" / f"a{number}.png", 4 + number)
    return tmp_path / "source"


def prepared(source: Path, **options: object) -> PreparedData:
    out = source.parent / "data"
    prepare(source, out, overwrite=True, console=Quiet(), **options)  # type: ignore[arg-type]
    return PreparedData(out)


def of_test_part(data: PreparedData, source: Path, kind: str) -> Path:
    """A file of the test part: no statistics of the training part depend on its label."""
    case = data.of_patients(data.manifest.split.test)[0]
    return source / kind / f"{case.identifier}.png"


def another_label(data: PreparedData, source: Path) -> None:
    mask(of_test_part(data, source, "masks"), 20)


def another_image(data: PreparedData, source: Path) -> None:
    picture(of_test_part(data, source, "images"), 99)


SETTINGS = [*small_settings("supervised"), "training.iterations=1"]


def compare(data: PreparedData, *seeds: int) -> None:
    benchmark(
        data.folder, data.folder.parent / "bench", methods=["supervised"], seeds=seeds, on="test",
        settings=SETTINGS, device="cpu", console=Quiet(),
    )  # fmt: skip


@pytest.mark.parametrize("change", [another_label, another_image])
def test_a_benchmark_notices_other_images_and_labels(
    source: Path, change: Callable[[PreparedData, Path], None]
) -> None:
    data = prepared(source)
    compare(data, 0)
    bench = source.parent / "bench"
    before = (bench / "table.csv").read_text()
    change(data, source)
    again = prepared(source)
    for seeds in ((0,), (1,)):
        with pytest.raises(UserError, match=r"prepared again .*the images or labels.* another -o"):
            compare(again, *seeds)
    with pytest.raises(UserError, match="prepared again"):
        benchmark(None, bench, device="cpu", console=Quiet())
    assert (bench / "table.csv").read_text() == before


@pytest.mark.parametrize(
    ("options", "words"), [({"seed": 5}, "the split"), ({"intensity": "zscore"}, "the scaling")]
)
def test_a_benchmark_notices_another_split_and_scaling(
    source: Path, options: dict[str, object], words: str
) -> None:
    compare(prepared(source), 0)
    with pytest.raises(UserError, match=f"prepared again .*{words}"):
        compare(prepared(source, **options), 1)


def test_data_that_are_prepared_again_alike_are_the_same(source: Path) -> None:
    data = prepared(source)
    compare(data, 0)
    for path in source.rglob("*.png"):
        path.touch()
    again = prepared(source)
    assert again.identity == data.identity
    compare(again, 0, 1)


def test_a_training_is_not_resumed_on_other_labels(source: Path) -> None:
    data, run = prepared(source), source.parent / "run"
    train(
        data.folder, run, method="supervised", settings=small_settings("supervised"), seconds=0,
        device="cpu", console=Quiet(),
    )  # fmt: skip
    another_label(data, source)
    prepared(source)
    with pytest.raises(UserError, match=r"other data than .*changed: the images or labels"):
        resume(run, device="cpu", console=Quiet())


def test_a_pack_keeps_the_identity(source: Path, tmp_path: Path) -> None:
    data = prepared(source)
    pack(data.folder, tmp_path / "data.semiseg", console=Quiet())
    unpack(tmp_path / "data.semiseg", tmp_path / "unpacked", console=Quiet())
    assert PreparedData(tmp_path / "unpacked").identity == data.identity
    with Pack(tmp_path / "data.semiseg") as packed:
        assert all(coding.exact for coding in packed.content.codings.values())


def test_images_that_a_pack_has_rounded_are_others(
    write_data: Callable[[Path], PreparedData], tmp_path: Path
) -> None:
    data = write_data(tmp_path / "data")
    for case in data.manifest.cases:
        values = np.random.default_rng(0).random(case.shape).astype(np.float32)
        np.save(data.folder / "images" / f"{case.identifier}.npy", values)
    write_manifest(data.folder, data.manifest.model_copy(update={"content": "0" * 64}))
    found = {PreparedData(data.folder).identity["images"]}
    for bits in (8, 16):
        packed = tmp_path / f"{bits}.semiseg"
        pack(data.folder, packed, bits=bits, console=Quiet())
        unpack(packed, tmp_path / str(bits), console=Quiet())
        found.add(PreparedData(tmp_path / str(bits)).identity["images"])
    assert len(found) == 3
