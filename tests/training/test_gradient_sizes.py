"""The logged sizes of gradients."""

from pathlib import Path

import pytest
import torch
from small_runs import last

from semiseg import methods
from semiseg.console import Quiet
from semiseg.csv_files import read_csv
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Step
from semiseg.testing.data import small_settings
from semiseg.training.configuration import resolve_config
from semiseg.training.loop import gradient_sizes
from semiseg.workflows.train import train


def test_gradient_sizes_are_logged_where_asked_for(finished: Path) -> None:
    rows = read_csv(finished / "gradients.csv")
    assert sorted({row["step"] for row in rows}) == ["1", "4"]
    for row in rows:
        learns = row["term"].split("_")[1]
        for group in ("unet", "swin"):
            assert (float(row[group]) > 0) == (group == learns)


def test_gradient_sizes_are_the_norms(small_data: PreparedData) -> None:
    config = resolve_config(
        small_data.manifest, "cross-teaching", None, small_settings("cross-teaching")
    ).config
    method = methods.entry("cross-teaching").load()(small_data.task, config).eval()
    batch = Batch(torch.rand(4, 1, 32, 32), torch.randint(0, 3, (2, 32, 32)))
    terms = method(batch, Step(5, 6))
    sizes = {row["term"]: row for row in gradient_sizes(terms, method)}
    terms["cross_unet"].backward()
    squares = [p.grad.square().sum() for p in method.network.parameters() if p.grad is not None]  # type: ignore[union-attr]
    expected = float(torch.stack(squares).sum().sqrt())
    assert sizes["cross_unet"]["unet"] == pytest.approx(expected, rel=1e-5)
    assert sizes["cross_unet"]["swin"] == 0


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("method", ["mcsc", "plgcl"])
def test_measuring_gradients_changes_nothing(
    small_data: PreparedData, tmp_path: Path, method: str, precision: str
) -> None:
    weights = []
    for every in (0, 2):
        out = tmp_path / str(every)
        settings = [*small_settings(method), f"training.gradient_sizes_every={every}",
                    f"training.precision={precision}"]  # fmt: skip
        train(small_data.folder, out, method=method, labelled="2", settings=settings,
              console=Quiet())  # fmt: skip
        weights.append(last(out))
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    rows = read_csv(tmp_path / "2" / "gradients.csv")
    assert {row["step"] for row in rows} == {"1", "3", "5"}
    assert all(float(value) >= 0 for row in rows for key, value in row.items() if key != "term")
