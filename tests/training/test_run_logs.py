"""Logs of resumed runs."""

import json
from pathlib import Path

from semiseg.csv_files import read_csv
from semiseg.training.logs import CsvLog, Logs


def test_rows_after_the_resumed_step_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    log = CsvLog(path, 0)
    for step in range(1, 8):
        log.write({"step": step, "loss": 1 / step})
    resumed = CsvLog(path, 4)
    assert [row["step"] for row in read_csv(path)] == ["1", "2", "3", "4"]
    resumed.write({"step": 5, "loss": 9.0})
    assert read_csv(path)[-1] == {"step": "5", "loss": "9"}
    assert len(path.read_text().splitlines()) == 6


def test_a_line_that_a_crash_cut_short_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    log = CsvLog(path, 0)
    for step in (8, 9, 10, 11, 12):
        log.write({"step": step, "loss": 0.5})
    whole = path.read_text()
    for cut in ("1", "12,0.", "12"):
        path.write_text(whole.removesuffix("12,0.5\n") + cut)
        CsvLog(path, 10)
        assert [row["step"] for row in read_csv(path)] == ["8", "9", "10"]


def test_a_new_column_leaves_earlier_rows_empty(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "metrics.csv", 0)
    log.write({"step": 1, "a": 0.123456789})
    log.write({"step": 2, "a": 2, "b": 3})
    log.write({"step": 3, "b": 4})
    assert read_csv(tmp_path / "metrics.csv") == [
        {"step": "1", "a": "0.123457", "b": ""},
        {"step": "2", "a": "2", "b": "3"},
        {"step": "3", "a": "", "b": "4"},
    ]


def test_json_lines_hold_the_same(tmp_path: Path) -> None:
    logs = Logs(tmp_path, 0, tensorboard=False)
    for step in (1, 2, 3):
        logs.write("metrics", {"step": step, "loss": 0.25})
    logs.write("validation", {"step": 3, "dice": 0.5})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"table": "metrics", "step')
    Logs(tmp_path, 2, tensorboard=False)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"table": "metrics", "step": step, "loss": 0.25} for step in (1, 2)]
    assert read_csv(tmp_path / "validation.csv") == []
    assert [row["step"] for row in read_csv(tmp_path / "metrics.csv")] == ["1", "2"]
