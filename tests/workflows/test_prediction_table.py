"""``predictions.csv``: masks with their confidence."""

from pathlib import Path

import pytest

from semiseg.errors import UserError
from semiseg.workflows.prediction_table import NAME, Prediction, PredictionTable, read_predictions


def row(mask: str, confidence: float = 0.5) -> Prediction:
    return Prediction(mask, confidence, 12, f"in/{mask}", "size: big")


def test_the_least_certain_comes_first(tmp_path: Path) -> None:
    table = PredictionTable(tmp_path)
    for name, confidence in (("a.png", 0.9), ("=b.png", 0.25), ("c.png", 0.5)):
        table.add(row(name, confidence))
    assert [one.mask for one in read_predictions(tmp_path)] == ["a.png", "=b.png", "c.png"]
    table.finish()
    assert read_predictions(tmp_path) == [
        row("=b.png", 0.25), row("c.png"), row("a.png", 0.9),
    ]  # fmt: skip


def test_a_killed_prediction_keeps_its_rows(tmp_path: Path) -> None:
    table = PredictionTable(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    table.add(row("a.png"))
    table.add(row("b.png"))
    path = tmp_path / NAME
    path.write_text(path.read_text() + "c.png,0.4")  # cut off
    again = PredictionTable(tmp_path, {"b.png"})
    assert read_predictions(tmp_path) == [row("a.png")]
    again.add(row("b.png", 0.125))
    again.finish()
    assert [one.mask for one in read_predictions(tmp_path)] == ["b.png", "a.png"]


@pytest.mark.parametrize("cell", ["nan", "1.5", "x", ""])
def test_damage_is_named(tmp_path: Path, cell: str) -> None:
    (tmp_path / NAME).write_text(f"mask,confidence,marked,image,remarks\na.png,{cell},3,a,\n")
    with pytest.raises(UserError, match=r"predictions.csv is damaged \(confidence .* of a.png\)"):
        read_predictions(tmp_path)


def test_a_folder_without_a_table_has_no_rows(tmp_path: Path) -> None:
    assert read_predictions(tmp_path) == []


def test_rows_of_other_images_stay_as_long_as_their_masks(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
        PredictionTable(tmp_path).add(row(name))
    assert [one.mask for one in read_predictions(tmp_path)] == ["a.png", "b.png"]
    (tmp_path / "a.png").unlink()
    PredictionTable(tmp_path)
    assert [one.mask for one in read_predictions(tmp_path)] == ["b.png"]


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    table = PredictionTable(tmp_path)
    table.add(Prediction("a.png", 0.5, 1, "a\udcff.png"))
    assert read_predictions(tmp_path)[0].image == "a\\udcff.png"
