"""Checks of every layout on a replica: all commands, and the names of all files that it reads."""

import dataclasses
import functools
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dicom_files
import mask_replicas
import replicas
from semiseg.console import Quiet
from semiseg.data.loaders import loader_of
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.data.volume import Volume
from semiseg.datasets import LAYOUTS, detect
from semiseg.datasets.base import Options, SourceCase
from semiseg.errors import UserError
from semiseg.preparation import reading
from semiseg.testing.data import small_settings
from semiseg.training.plan import Plan, plan_training
from semiseg.workflows.evaluate import evaluate
from semiseg.workflows.predict import predict
from semiseg.workflows.prepare import prepare
from semiseg.workflows.train import train


@dataclasses.dataclass(frozen=True)
class Replica:
    """A source, its layout, options of `prepare`, and files to predict."""

    layout: str
    write: Callable[[Path], Path | None]
    images: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def listed(folder: Path) -> Path:
    """A CSV list of the volumes in the folder, the first without a label."""
    replicas.volumes(folder, ".mha", 8)
    rows = [f"images/block_{n}.mha,{f'labels/block_{n}.mha' if n else ''}" for n in range(8)]
    path = folder / "mine.csv"
    path.write_text("\n".join(["image,label", *rows]) + "\n")
    return path


def synapse(folder: Path) -> None:
    replicas.synapse_prepared(folder, (5, 6, 7), (1, 2))


with_itk = functools.partial
REPLICAS = {
    "acdc": Replica("acdc", replicas.acdc, "testing/patient101/patient101_frame01.nii.gz"),
    "acdc, all frames": Replica(
        "acdc", replicas.acdc, "testing/patient101/patient101_frame01.nii.gz", {"all_frames": True}
    ),
    "acdc-hdf5": Replica("acdc-hdf5", replicas.acdc_hdf5, "data/patient006_frame01.h5"),
    "btcv": Replica(
        "btcv",
        lambda folder: replicas.btcv(folder, tuple(range(1, 7)), testing=(61,)),
        "RawData/Testing/img",
    ),
    "synapse-prepared": Replica("synapse-prepared", synapse, "test_vol_h5"),
    "brats": Replica("brats", mask_replicas.brats, "BraTS2021_00006"),
    "brats, newer names": Replica(
        "brats", functools.partial(mask_replicas.brats, newer=True), "BraTS-GLI-00005-000"
    ),
    "kits19": Replica(
        "kits19", lambda folder: replicas.kits19(folder, 7), "data/case_00006/imaging.nii.gz"
    ),
    "crag": Replica("crag", replicas.crag, "valid/Images"),
    "kvasir-seg": Replica("kvasir-seg", replicas.kvasir, "images"),
    "isic2018": Replica("isic2018", replicas.isic2018, "ISIC2018_Task1-2_Training_Input"),
    "nnunet": Replica("nnunet", replicas.nnunet, "imagesTs"),
    "decathlon": Replica("decathlon", replicas.decathlon, "imagesTs"),
    "volumes, .mhd": Replica(
        "volumes", functools.partial(replicas.volumes, ending=".mhd"), "images"
    ),
    "volumes, .nhdr": Replica(
        "volumes", functools.partial(replicas.volumes, ending=".nhdr"), "images"
    ),
    "volumes, CT": Replica("volumes", replicas.ct, "images"),
    "volumes by suffix": Replica("volumes", replicas.suffixed, "block7_ED.nii.gz"),
    "volumes of 3D Slicer": Replica("volumes", replicas.slicer, "p0.nrrd"),
    "pictures by suffix, turned": Replica("pictures", replicas.turned, "IMG0.jpg"),
    "pictures, one mask a class": Replica("pictures", replicas.apart, "images"),
    "nuclei, one mask each": Replica(
        "pictures", mask_replicas.nuclei, f"{hashlib.sha256(b'0').hexdigest()}/images"
    ),
    "ultrasound, several lesions": Replica("pictures", mask_replicas.ultrasound, "benign"),
    "ultrasound, class by folder": Replica(
        "pictures", mask_replicas.ultrasound, "benign", {"class_by_folder": True}
    ),
    "vessels, two folders of masks": Replica(
        "pictures", mask_replicas.vessels, "test/images", {"labels": "1st_manual"}
    ),
    "one file a structure": Replica("volumes", mask_replicas.totalsegmentator, "s0006/ct.nii.gz"),
    "sessions of BIDS": Replica(
        "volumes", mask_replicas.bids, "sub-01/ses-02/anat/sub-01_ses-02_T1w.nii.gz"
    ),
    "manifest, csv": Replica("manifest", listed, "images"),
    "manifest, json, channels apart": Replica("manifest", replicas.channelled, "scans"),
    "dicom, seg": Replica("dicom", lambda f: dicom_files.archive(f, "seg", 8), ""),
    "dicom, nifti": Replica("dicom", lambda f: dicom_files.archive(f, "file", 8), ""),
    "dicom, mhd": Replica("dicom", lambda f: dicom_files.archive(f, "file", 8, ending=".mhd"), ""),
}


@pytest.fixture(params=REPLICAS, ids=list(REPLICAS))
def replica(request: pytest.FixtureRequest) -> Replica:
    return REPLICAS[request.param]


def written(replica: Replica, folder: Path) -> Path:
    """The source: ``folder``, or a list in it."""
    return replica.write(folder) or folder


def cases_of(source: Path, replica: Replica) -> tuple[SourceCase, ...]:
    return detect(source)[0].scan(source, Options(**replica.options)).cases


def test_every_layout_has_a_replica() -> None:
    assert {replica.layout for replica in REPLICAS.values()} == set(LAYOUTS)


def same(one: Volume, other: Volume) -> bool:
    """Whether all fields of two volumes are equal."""
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        if isinstance(getattr(one, field.name), np.ndarray)
        else getattr(one, field.name) == getattr(other, field.name)
        for field in dataclasses.fields(Volume)
    )


def test_a_case_needs_no_file_that_it_does_not_name(replica: Replica, tmp_path: Path) -> None:
    """A case is read from a folder with only its files as the same volume."""
    source = written(replica, tmp_path / "source")
    cases = cases_of(source, replica)
    assert all(len(set(case.files)) == len(case.files) for case in cases)
    chosen = {case.has_label: case for case in reversed(cases)} | {None: cases[-1]}
    whole = {case.identifier: case.read() for case in chosen.values()}
    (tmp_path / "source").rename(tmp_path / "away")
    for case in chosen.values():
        for path in case.files:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(tmp_path / "away" / path.relative_to(tmp_path / "source"), path)
        assert same(case.read(), whole[case.identifier]), case.files
        shutil.rmtree(tmp_path / "source")


def test_every_file_of_a_case_tells_a_change(replica: Replica, tmp_path: Path) -> None:
    source, out = written(replica, tmp_path / "source"), tmp_path / "data"
    prepare(source, out, console=Quiet(), **replica.options)
    cases = cases_of(source, replica)
    for path in {path for case in (cases[0], cases[-1]) for path in case.files}:
        content, times = path.read_bytes(), path.stat()
        changed = bytearray(content)
        changed[-1] ^= 1  # the size stays, and usually the whole header
        path.write_bytes(bytes(changed))
        with pytest.raises(UserError) as raised:
            prepare(source, out, console=Quiet(), **replica.options)
        assert "changed (such as" in str(raised.value), (path, str(raised.value))
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    prepare(source, out, console=Quiet(), **replica.options)


def test_the_whole_way(replica: Replica, tmp_path: Path) -> None:
    """prepare, a few training steps (with unlabelled images if there are any), evaluate, predict."""
    source, data, run = written(replica, tmp_path / "source"), tmp_path / "data", tmp_path / "run"
    manifest = prepare(source, data, console=Quiet(), **replica.options)
    assert manifest.layout == replica.layout
    settings = [*small_settings("cross-teaching"), "training.iterations=2"]
    train(data, run, method="cross-teaching", labelled="1", settings=settings, console=Quiet())
    split = PreparedData(data).manifest.split
    on = "test" if split.test else "validation"
    assert evaluate(run, on=on, console=Quiet()).cases > 0
    base = source if source.is_dir() else source.parent
    result = predict(run, [base / replica.images], tmp_path / "masks", console=Quiet())
    assert result.written > 0
    assert not result.failed


def test_labels_outside_the_training_decide_nothing(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configuration, scaling and first batch stay if the labels of all other cases change."""
    source = written(replica, tmp_path / "source")

    def plan(name: str) -> Plan:
        prepare(source, tmp_path / name, console=Quiet(), **replica.options)
        data = PreparedData(tmp_path / name)
        return plan_training(data, "supervised", "1", None, None, (), torch.device("cpu"))

    true = plan("true")
    own = {case.source for case in true.cases.labelled}
    measure = reading.measure

    def poisoned(case: SourceCase, volume: Volume, *rest: Any) -> Any:
        """One voxel of each class in place of the label, where the image is darkest."""
        label = volume.label
        if label is not None and case.source not in own:
            codes = np.unique(label[label != IGNORE_INDEX])
            flat = np.zeros_like(label).ravel()
            flat[np.argsort(volume.image[:, 0].ravel())[: len(codes)]] = codes
            volume = dataclasses.replace(volume, label=flat.reshape(label.shape))
        return measure(case, volume, *rest)

    monkeypatch.setattr(reading, "measure", poisoned)
    other = plan("poisoned")
    assert other.split == true.split
    assert other.config == true.config
    assert other.data.task == true.data.task
    batches = [
        loader_of(one.config.data)(
            one.data, one.cases.labelled, one.cases.unlabelled, (2, 0), one.config.data, 0
        )(0)
        for one in (true, other)
    ]
    assert torch.equal(batches[0].images, batches[1].images)
