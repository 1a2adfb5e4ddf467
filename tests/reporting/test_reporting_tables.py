"""The benchmark's table: order, means over seeds, marks of the best values, and sentences."""

import csv
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated import make_benchmark

from semiseg.data.manifest import PreparedData
from semiseg.evaluation.pictures import score_picture
from semiseg.evaluation.protocols import STRICT
from semiseg.evaluation.summary import summarise
from semiseg.reporting.captions import caption, definitions
from semiseg.reporting.facts import labelled_words
from semiseg.reporting.results import read_benchmark
from semiseg.reporting.tables import budget_order, head_of, keys_of, make_lines, write_tables


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [s.row for s in read_benchmark(folder).scored]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_budgets_sort_by_number_and_all_comes_last() -> None:
    budgets = ["all", "chosen.txt", "10", "10%", "3", "2.5%"]
    ordered = sorted(budgets, key=lambda budget: budget_order(budget, 70))
    assert ordered == ["2.5%", "3", "10%", "10", "chosen.txt", "all"]


def test_table_is_ordered_by_budget_then_by_appearance(bench: Path, data: PreparedData) -> None:
    write_tables(bench, rows_of(bench), data, "test")
    lines = [(r["labelled"], r["variant"], r["network"]) for r in read(bench / "table.csv")]
    assert lines == [
        ("1", "supervised", "unet"), ("1", "mcsc", "unet"), ("1", "mcsc", "swin"),
        ("2", "supervised", "unet"), ("2", "mcsc", "unet"), ("2", "mcsc", "swin"),
    ]  # fmt: skip


def test_means_over_seeds(data: PreparedData, tmp_path: Path) -> None:
    runs = [("supervised", "supervised", 2, seed, seed + 1) for seed in range(3)]
    folder = make_benchmark(data, tmp_path / "b", runs)
    rows = rows_of(folder)
    write_tables(folder, rows, data, "test")
    (line,) = read(folder / "table.csv")
    dice = [100 * row["summary"]["mean_over_classes"]["dice"]["mean"] for row in rows]
    core = [row["summary"]["classes"]["core"]["hd95_mm"]["mean"] for row in rows]
    assert line["seeds"] == "3"
    assert float(line["mean_dsc_percent"]) == pytest.approx(statistics.fmean(dice), rel=1e-5)
    sd = float(line["mean_dsc_percent_sd_over_seeds"])
    assert sd == pytest.approx(statistics.stdev(dice), rel=1e-5)
    assert float(line["core_hd95_mm"]) == pytest.approx(statistics.fmean(core), rel=1e-5)


def test_one_seed_has_no_deviation(bench: Path, data: PreparedData) -> None:
    write_tables(bench, rows_of(bench), data, "test")
    assert {row["mean_dsc_percent_sd_over_seeds"] for row in read(bench / "table.csv")} == {""}
    assert "±" not in (bench / "table.md").read_text()


def test_best_is_marked_among_networks_for_inference_only(bench: Path) -> None:
    # the Transformer's masks are perfect here, but it is not the network for inference
    lines = make_lines(rows_of(bench))
    marked = {(ln.labelled, ln.variant, ln.network) for ln in lines if (None, "dice") in ln.best}
    assert marked == {("1", "mcsc", "unet"), ("2", "mcsc", "unet")}
    first = next(ln for ln in lines if (ln.labelled, ln.variant) == ("1", "supervised"))
    assert {key for key in first.best if key[1] == "dice"} == {
        ("ring", "dice")
    }  # its core is missing


def test_equal_numbers_are_marked_alike(data: PreparedData, tmp_path: Path) -> None:
    runs = [("a", "supervised", 2, 0, 2), ("b", "supervised", 2, 0, 2)]
    lines = make_lines(rows_of(make_benchmark(data, tmp_path / "b", runs)))
    assert all((None, "dice") in line.best for line in lines)


def test_nobody_is_best_beside_other_seeds(data: PreparedData, tmp_path: Path) -> None:
    runs = [
        ("a", "supervised", 2, 0, 2),
        ("b", "supervised", 2, 0, 1),
        ("b", "supervised", 2, 1, 1),
    ]
    rows = rows_of(make_benchmark(data, tmp_path / "b", runs))
    assert not any(line.best for line in make_lines(rows))
    assert any("different seeds" in sentence for sentence in caption(rows, "test"))


def test_runs_csv_has_every_class_and_units(bench: Path, data: PreparedData) -> None:
    write_tables(bench, rows_of(bench), data, "test")
    rows = read(bench / "runs.csv")
    assert len(rows) == 6 * 3  # runs x networks, two classes and their mean
    assert {"hd95_mm", "asd_mm", "dice", "size", "iterations", "pretrained", "seconds"} <= set(
        rows[0]
    )
    first = next(r for r in rows if r["variant"] == "supervised" and r["labelled"] == "1")
    assert first["class"] == "mean"
    missing = [r for r in rows if r["class"] == "core" and r["missing"] != "0"]
    assert [(r["variant"], r["labelled"], r["missing"]) for r in missing] == [
        ("supervised", "1", "3")
    ]


def test_caption_says_what_was_scored_and_how(bench: Path, data: PreparedData) -> None:
    text = write_tables(bench, rows_of(bench), data, "test")
    markdown = (bench / "table.md").read_text()
    for words in (
        "3 patients = 3 volumes = 12 slices", "Protocol strict", "distances in mm", "HD95 pooled",
        "Input 32 x 32 pixels, 20 iterations", "No pretrained weights", "Resizing to 32 x 32",
        "one seed", "core in 3 of 3",
    ):  # fmt: skip
        assert words in markdown.replace("\n", " ")
        assert words in text.replace("\n", " ")
    assert "**" in markdown
    assert "**" not in text


def test_validation_numbers_are_said_to_be_optimistic(data: PreparedData, tmp_path: Path) -> None:
    runs = [("supervised", "supervised", 2, 0, 2)]
    folder = make_benchmark(data, tmp_path / "b", runs, on="validation")
    assert "optimistic" in write_tables(folder, rows_of(folder), data, "validation")


def test_pretrained_weights_are_named_with_their_method(bench: Path, data: PreparedData) -> None:
    rows = rows_of(bench)
    for row in rows:
        if row["method"] == "mcsc":
            row["pretrained"] = ["Swin-T weights of ImageNet."]
    text = write_tables(bench, rows, data, "test").replace("\n", " ")
    assert "mcsc: Swin-T weights of ImageNet." in text
    assert "No pretrained" not in text


def test_pipe_in_a_name_does_not_break_the_markdown(data: PreparedData, tmp_path: Path) -> None:
    folder = make_benchmark(data, tmp_path / "b", [("a", "supervised", 2, 0, 2)])
    rows = [{**row, "variant": "a|b"} for row in rows_of(folder)]
    write_tables(folder, rows, data, "test")
    body = [ln for ln in (folder / "table.md").read_text().splitlines() if ln.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in body}) == 1


def test_pictures_have_iou_and_mae_and_pixels(bench: Path) -> None:
    reference = np.zeros((20, 20), np.uint8)
    reference[5:15, 5:15] = 1
    scores = [
        score_picture(np.roll(reference, n, 0), reference, ("background", "polyp"), case=str(n))
        for n in range(3)
    ]
    summary = summarise([score for case in scores for score in case], STRICT).to_json()
    rows = [{**rows_of(bench)[0], "summary": summary}]
    heads = [head_of(key) for key in keys_of(rows)]  # with one class, only the mean
    assert heads == ["DSC [%]", "IoU [%]", "HD95 [pixels]", "ASD [pixels]", "MAE [%]"]
    assert {"IoU", "MAE"} <= {term for term, _ in definitions(rows)}


def test_lists_of_one_name_are_told_apart() -> None:
    budgets = ["/data/A/x.txt", "/data/B/x.txt", "/data/B/y.txt", "7", "all"]
    words = [labelled_words(budget, budgets) for budget in budgets]
    assert words == ["A/x.txt", "B/x.txt", "y.txt", "7", "all"]
    assert labelled_words("/data/A/x.txt") == "x.txt"
