"""The tables of a benchmark: one row per run and network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semiseg.data.manifest import PreparedData
from semiseg.evaluation.stored_summary import read_summary
from semiseg.training.run_folder import RunFolder, steps_of
from semiseg.workflows.benchmark.plan import CommonSettings, PlannedRun
from semiseg.workflows.benchmark.run import network_attributes, summary_file


def make_tables(
    folder: Path, finished: Sequence[PlannedRun], data: PreparedData, common: CommonSettings
) -> str:
    """Write ``runs.csv``, ``table.csv`` and ``table.md``; returns the table as text for a terminal."""
    from semiseg.reporting.tables import write_tables  # not needed in the process of a run

    rows = [row for run in finished for row in rows_of(run, common)]
    return write_tables(folder, rows, data, common.on)


def rows_of(run: PlannedRun, common: CommonSettings) -> list[dict[str, Any]]:
    """One row per network, with the summary that `semiseg evaluate` wrote."""
    folder = RunFolder(run.folder)
    config, ended = folder.config(), folder.finished()
    same = {
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
            **same,
            "network": network,
            "summary": read_summary(summary_file(run, network, common)),
        }
        for network in network_attributes(run)
    ]
