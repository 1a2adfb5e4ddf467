"""The resolved configuration of a training: its file, length and precision."""

import json
from pathlib import Path

import pytest
import torch

from semiseg.console import Quiet
from semiseg.csv_files import read_csv
from semiseg.data.manifest import PreparedData
from semiseg.testing.data import small_settings
from semiseg.training.configuration import choose_precision, resolve_config
from semiseg.training.run_folder import from_file_form, to_file_form
from semiseg.workflows.train import train


def test_the_configuration_survives_its_file(small_data: PreparedData) -> None:
    for method in ("mcsc", "supervised"):
        config = resolve_config(small_data.manifest, method, None, small_settings(method)).config
        assert from_file_form(to_file_form(config)) == config


def test_epochs_are_passes_over_the_labelled_images(
    small_data: PreparedData, tmp_path: Path
) -> None:
    """Two patients have four slices, two per step: two iterations per epoch."""
    settings = [s for s in small_settings("supervised") if not s.startswith("training.iterations")]
    for method in ("supervised", "cross-teaching"):  # independent of the labelled images in a batch
        out = tmp_path / method
        train(small_data.folder, out, method=method, labelled="2", console=Quiet(),
              settings=[*settings, "training.epochs=2"])  # fmt: skip
        assert len(read_csv(out / "metrics.csv")) == 4
        facts = json.loads((out / "run.json").read_text())
        assert facts["origins"]["training.iterations"] == "2 passes over 4 labelled images"


def test_the_later_word_on_the_length_counts(small_data: PreparedData, tmp_path: Path) -> None:
    preset = tmp_path / "long.yaml"
    preset.write_text("training: {epochs: 9}\n")
    for setting, expected in (("iterations=5", (5, None)), ("epochs=2", (30_000, 2))):
        config = resolve_config(
            small_data.manifest, "supervised", str(preset), [f"training.{setting}"]
        ).config
        assert (config.training.iterations, config.training.epochs) == expected


@pytest.mark.parametrize(
    ("device", "able", "dimensions", "expected", "origin"),
    [
        ("cpu", {}, 2, "32-true", "a CPU without bf16 instructions"),
        ("cpu", {"avx512_bf16": True}, 2, "bf16-mixed", "a CPU with bf16 instructions"),
        ("cpu", {"amx_bf16": True}, 2, "bf16-mixed", "a CPU with bf16 instructions"),
        ("cpu", {"amx_bf16": True}, 3, "32-true", "cpu, and volumes"),
        ("cuda", {"bf16": True}, 2, "bf16-mixed", "cuda"),
        ("cuda", {}, 3, "16-mixed", "cuda"),
    ],
)
def test_precision_follows_the_device(
    small_data: PreparedData,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    able: dict[str, bool],
    dimensions: int,
    expected: str,
    origin: str,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: "bf16" in able)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    shape = [f"data.dimensions={dimensions}", "data.patch=[8, 16, 16]"]
    resolved = choose_precision(
        resolve_config(small_data.manifest, "supervised", None, shape), torch.device(device)
    )
    assert resolved.config.training.precision == expected
    assert resolved.origins["training.precision"] == f"the device, {origin}"
    said = resolve_config(small_data.manifest, "supervised", None, ["training.precision=32-true"])
    assert choose_precision(said, torch.device(device)) == said
