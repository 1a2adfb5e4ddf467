"""Crops are chosen where resizing would lose structures, from the labels of the training alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from semiseg.config import DataConfig
from semiseg.data.manifest import PreparedData
from semiseg.methods import table
from semiseg.testing.data import small_settings, write_pictures
from semiseg.training.plan import Plan, describe, plan_training
from semiseg.training.resolution import lost_structures


def draw(data: PreparedData, identifier: str, thickness: int) -> None:
    """Replace a label by lines of class 1 and a large square of class 2."""
    path = data.folder / "labels" / f"{identifier}.npy"
    label = np.zeros_like(np.load(path))
    for row in range(5, label.shape[1] // 2, 24):
        label[:, row : row + thickness] = 1
    label[:, label.shape[1] * 2 // 3 :] = 2
    np.save(path, label)


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    written = write_pictures(tmp_path / "data", (384, 384))
    for case in written.manifest.cases:
        if case.labelled:
            draw(written, case.identifier, 4)
    return written


def plan(
    data: PreparedData, *settings: str, preset: str | None = None, labelled: str = "2"
) -> Plan:
    return plan_training(
        data, "supervised", labelled, None, preset, settings, torch.device("cpu")
    )  # fmt: skip


def test_thin_structures_are_cropped_and_the_reason_is_said(data: PreparedData) -> None:
    found = plan(data)
    assert found.config.data.crop_size == found.config.data.side == 96
    (line,) = [line for line in describe(found) if "data.crop_size" in line]
    assert "resized to 96 x 96, disc would be 1.0 pixels wide" in line
    assert not any("data.size =" in line for line in describe(found))


def test_wide_structures_are_resized(data: PreparedData) -> None:
    for case in data.manifest.cases:
        if case.labelled:
            draw(data, case.identifier, 20)
    assert plan(data).config.data.crop_size is None


@pytest.mark.parametrize(
    ("settings", "preset"),
    [
        (("data.size=128",), None),
        ((), "cpu"),
        (("data.crop_size=64",), None),
        (("data.crop_size=null",), None),
    ],
)
def test_what_a_person_asks_for_stays(
    data: PreparedData, settings: tuple[str, ...], preset: str | None
) -> None:
    config = plan(data, *settings, preset=preset).config.data
    assert config.crop_size == (64 if "data.crop_size=64" in settings else None)


def test_images_of_the_inputs_size_are_not_cropped(data: PreparedData) -> None:
    assert lost_structures(data, data.manifest.cases[:2], 384) is None
    assert lost_structures(data, data.manifest.cases[:2], 512) is None


def test_the_upper_bound_counts_too(tmp_path: Path) -> None:
    """Wide on average, but ragged: resizing loses its teeth."""
    data = write_pictures(tmp_path / "data", (384, 384))
    for case in data.manifest.cases[:2]:
        label = np.zeros((1, 384, 384), np.uint8)
        label[:, ::2, ::2] = 1
        label[:, :150] = 1
        label[:, 100:300, 200:] = 2
        np.save(data.folder / "labels" / f"{case.identifier}.npy", label)
    reason = lost_structures(data, data.manifest.cases[:2], 160)
    assert reason is not None
    assert "could reach a Dice of 0." in reason


def test_labels_outside_the_budget_have_no_influence(data: PreparedData) -> None:
    """Labels of the training budget decide; those of other cases are not even opened."""
    before = plan(data, labelled="1")
    chosen = before.split.labelled
    for case in data.manifest.cases:
        if case.labelled and case.patient not in chosen:
            (data.folder / "labels" / f"{case.identifier}.npy").write_bytes(b"poison")
    assert plan(data, labelled="1").config == before.config


@pytest.mark.parametrize(
    "method", sorted(name for name, entry in table().items() if 2 in entry.dimensions)
)
def test_every_method_trains_on_crops(method: str, tmp_path: Path) -> None:
    from semiseg.console import Quiet
    from semiseg.training.session import Session

    data = write_pictures(tmp_path / "data", (96, 80))
    side = 64 if method == "plgcl" else 32
    settings = (*small_settings(method), f"data.crop_size={side}", "training.iterations=1")
    made = plan_training(data, method, "2", None, None, settings, torch.device("cpu"))
    session = Session(data, made.config, made.cases, "cpu", None, Quiet())
    assert session.time_step() > 0


def test_crops_are_for_slices() -> None:
    with pytest.raises(ValueError, match=r"set data\.patch in 3D"):
        DataConfig(dimensions=3, patch=(8, 16, 16), crop_size=32)
    assert DataConfig(crop_size=64).input_size == "64 x 64 (crops)"
    assert DataConfig(size=64).input_size == 64


@pytest.mark.parametrize(("prediction", "crops"), [(0.1, True), (60.0, False)])
def test_run_resizes_where_predicting_crops_leaves_no_time_to_train(
    data: PreparedData, monkeypatch: pytest.MonkeyPatch, prediction: float, crops: bool
) -> None:
    from semiseg.console import Quiet
    from semiseg.workflows.run import choices
    from semiseg.workflows.run.budget import Costs, Stopwatch, Work
    from semiseg.workflows.run.request import RunRequest

    costs = iter([Costs(0.1, prediction, prediction), Costs(0.1, 0.1, 0.1), Costs(0.1, 0.1, 0.1)])
    monkeypatch.setattr(choices, "measure", lambda *_: next(costs))
    request = RunRequest(data.folder, "all", "supervised", None, (), 120.0, None, 0, "cpu", 1, {})
    split = plan(data).split
    found = choices.choose(
        data, request, split, Work(1, 2, 2), None, Stopwatch(), Quiet(),  # type: ignore[arg-type]
    )  # fmt: skip
    assert ("data.crop_size=null" in found.settings) is not crops
    assert found.shares is not None
    assert (found.shares.excess == 0) is True
