"""Batches contain distance maps for methods that need them, also when a step is timed."""

from pathlib import Path

import pytest
from torch import Tensor

from semiseg import methods
from semiseg.console import Quiet
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Method, Step
from semiseg.testing.data import small_settings
from semiseg.workflows.train import train


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("needs", [True, False])
def test_the_loop_passes_them_on(
    small_data: PreparedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    needs: bool,
    dry_run: bool,
) -> None:
    kind = methods.entry("supervised").load()
    plain, shapes = kind.forward, []

    def forward(self: Method, batch: Batch, step: Step) -> dict[str, Tensor]:
        shapes.append(None if batch.distance_maps is None else tuple(batch.distance_maps.shape))
        return plain(self, batch, step)

    monkeypatch.setattr(kind, "forward", forward)
    monkeypatch.setattr(kind, "needs_distance_maps", needs, raising=False)
    settings = (*small_settings("supervised"), "training.iterations=2")
    train(
        small_data.folder, tmp_path / "run", method="supervised", settings=settings,
        dry_run=dry_run, console=Quiet(),
    )  # fmt: skip
    assert set(shapes) == {(4, 2, 32, 32) if needs else None}
