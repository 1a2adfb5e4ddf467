"""The tables of a benchmark: one row per run and network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semiseg.data.manifest import PreparedData
from semiseg.evaluation.stored_summary import read_summary
from semiseg.training.run_folder import RunFolder, steps_of
from semiseg.workflows.benchmark.plan import PlannedRun
from semiseg.workflows.benchmark.run import evaluation_name, network_attributes


def make_tables(folder: Path, finished: Sequence[PlannedRun], data: PreparedData, on: str) -> str:
    """Write ``runs.csv``, ``table.csv`` and ``table.md``; returns the table as text for a terminal."""
    from semiseg.reporting.tables import write_tables  # not needed in the process of a run

    rows = [row for run in finished for row in rows_of(run, on)]
    return write_tables(folder, rows, data, on)


def rows_of(run: PlannedRun, on: str) -> list[dict[str, Any]]:
    """One row per network, with the summary that `semiseg evaluate` wrote."""
    folder = RunFolder(run.folder)
    config, ended = folder.config(), folder.finished()
    common = {
        "variant": run.variant.name,
        "method": run.variant.method,
        "labelled": run.labelled,
        "seed": run.seed,
        "size": config.data.input_size,
        "iterations": steps_of(config, ended),
        "pretrained": list(folder.facts().notes),
        "seconds": ended.seconds if ended else None,
    }
    return [
        {
            **common,
            "network": network,
            "summary": read_summary(run.folder / evaluation_name(on, network) / "summary.json"),
        }
        for network in network_attributes(run)
    ]
