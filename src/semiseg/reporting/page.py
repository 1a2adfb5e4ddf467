"""Self-contained HTML pages about a run or a benchmark, without scripts and external files.

A page is made from the files in the folder. The caller makes the predictions for its pictures, since
this layer does not use networks.
"""

import datetime
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from semiseg import __version__
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.evaluation import intervals
from semiseg.reporting import charts, figures, tables
from semiseg.reporting.captions import caption, definitions, scored_cases, trouble
from semiseg.reporting.commands import (
    benchmark_commands,
    evaluate_command,
    run_command,
    train_command,
)
from semiseg.reporting.facts import (
    available_of,
    benchmark_facts,
    budget_words,
    config_text,
    counts,
    described,
    ignores_unlabelled,
    is_phantom,
    methods_of,
    noun_of,
    settings_of,
    software,
    trained,
)
from semiseg.reporting.overlays import Shown, picture_sections
from semiseg.reporting.results import (
    Benchmark,
    Scored,
    held_out_scores,
    open_data,
    read_benchmark,
    read_run,
)
from semiseg.reporting.rounds import (
    cross_validation_sentence,
    read_cross_validation,
    read_story,
)
from semiseg.reporting.stored_inspection import read_findings
from semiseg.reporting.verdict import verdict
from semiseg.text import joined
from semiseg.training.run_folder import RunFolder, steps_of
from semiseg.training.run_output import RunOutput

MOST_NAMES = 4  # in a title


def benchmark_page(
    folder: Path | str,
    pictures: Sequence[Shown] = (),
    title: str | None = None,
    intro: str | None = None,
) -> str:
    """The page of a benchmark as HTML.

    Args:
        folder: the benchmark's folder.
        pictures: cases with the predictions of every method.
        title: default: data, methods and budgets.
        intro: a paragraph below the title.

    Raises:
        UserError: if the folder cannot be read, or no run is finished.
    """
    bench = read_benchmark(folder)
    if not bench.scored:
        raise UserError(
            f"{bench.folder} contains no evaluated run yet: resume it with "
            f"'semiseg benchmark -o {bench.folder}'."
        )
    rows = [s.row for s in bench.scored]
    first = bench.scored[0]
    lines, keys = tables.make_lines(rows, available_of(bench.data)), tables.keys_of(rows)
    on = bench.plan["on"]
    cases, held_out = scored_cases(bench.data, on, bench.folder) if bench.data else ([], False)
    task = RunFolder(first.folder).task()
    return render(
        "benchmark.html.j2",
        title=title or _title(bench, task.name),
        intro=intro,
        lead=_lead(bench, on),
        phantom=is_phantom(task.name),
        unfinished=len(bench.runs) - len({s.folder for s in bench.scored}),
        planned=len(bench.runs),
        tiles=charts.tiles(bench),
        by_budget=charts.by_budget(bench),
        heads=_heads(keys),
        lines=[
            {
                "index": bench.variants.index(line.variant), "line": line,
                "cells": [(tables.shown(k[1], line.values.get(k)), k in line.best) for k in keys],
            }
            for line in lines
        ],
        several_networks=any(not line.default for line in lines),
        caption=caption(rows, on, bench.data, cases, held_out),
        trouble=trouble(rows),
        bold=any(line.best for line in lines),
        variants=list(enumerate(bench.variants)),
        strips=[charts.strip_section(bench, budget) for budget in bench.budgets],
        paired=charts.paired(bench),
        one_seed=all(len(line.seeds) == 1 for line in lines),
        pictures=picture_sections(pictures, figures.class_colours(task)),
        classes=list(zip(figures.class_colours(task), task.foreground, strict=True)),
        validation=charts.validation_facets(bench),
        losses=charts.losses(bench),
        facts=benchmark_facts(bench),
        methods=methods_of(bench),
        settings=settings_of(bench),
        commands=benchmark_commands(bench),
        definitions=definitions(rows),
    )  # fmt: skip


def _title(bench: Benchmark, name: str) -> str:
    many = len(bench.variants) > MOST_NAMES
    who = f"{len(bench.variants)} variants" if many else joined(bench.variants)
    return f"{who} on {name}, {budget_words(bench.budgets, noun_of(bench.data))}"


def _lead(bench: Benchmark, on: str) -> str:
    seen = {
        "test": "which were not used for training or for choosing a checkpoint",
        "validation": "which were not used for training, but for choosing the checkpoints",
    }
    scored = {s.row["summary"]["cases"] for s in bench.scored}
    count = " or ".join(str(number) for number in sorted(scored))
    who = (
        "All trainings with the same number of labelled patients and the same seed"
        if len(bench.variants) > 1
        else "All trainings"
    )
    return f"{who} used the same labels. All were scored on {count} {on} cases, {seen[on]}."


def _heads(keys: Sequence[tuple[str | None, str]]) -> list[tuple[str, list[str]]]:
    """Two rows of headings: a group of means over classes, then one group per metric."""
    groups: dict[str, list[str]] = {}
    for name, column in keys:
        title = tables.title_of(column)
        group, head = ("mean over classes", title) if name is None else (title, name)
        groups.setdefault(group, []).append(head)
    return list(groups.items())


def output_page(
    folder: Path | str,
    pictures: Sequence[Shown] = (),
    unlabelled: Sequence[Shown] = (),
) -> str:
    """The page of the folder that ``semiseg run`` wrote, with its rounds.

    Args:
        folder: the folder.
        pictures: scored cases.
        unlabelled: images without a label, the least certain first.

    Raises:
        UserError: if a file is damaged.
    """
    output = RunOutput(folder)
    name = output.folder.resolve().name
    return _run_page(output.training, name, pictures, output, unlabelled)


def run_page(folder: Path | str, pictures: Sequence[Shown] = ()) -> str:
    """The page of one run as HTML; it may be unfinished or not yet evaluated.

    Raises:
        UserError: if the folder is not a run, or one of its files is damaged.
    """
    run = RunFolder(folder)
    return _run_page(run, run.folder.name, pictures, None)


def _run_page(
    run: RunFolder,
    name: str,
    pictures: Sequence[Shown],
    output: RunOutput | None,
    unlabelled: Sequence[Shown] = (),
) -> str:
    config, task, scored = run.config(), run.task(), read_run(run.folder)
    crossed = None if output is None else read_cross_validation(output)
    story = None if output is None else read_story(output)
    facts = run.facts()
    data = open_data(facts.data)
    split, ended = run.split(), run.finished()
    best = crossed or held_out_scores(scored)
    networks = list(
        dict.fromkeys(
            r["network"] for r in charts.log_of(run.folder, "validation") if r.get("network")
        )
    )
    return render(
        "run.html.j2",
        title=f"{config.method} on {task.name}, {budget_words([split.budget], noun_of(data))}",
        phantom=is_phantom(task.name),
        folder=name,
        ended=ended,
        story=story,
        verdict=[] if best is None else verdict(best),
        findings=None if output is None else read_findings(output),
        unlabelled=picture_sections(unlabelled, figures.class_colours(task), slices=1),
        evaluations=[
            *([_crossed(crossed, data, task.foreground, output)] if crossed and output else []),
            *(
                _evaluation(s, data, task.foreground, split.validation_from_training)
                for s in scored
            ),
        ],
        pictures=picture_sections(pictures, figures.class_colours(task)),
        classes=list(zip(figures.class_colours(task), task.foreground, strict=True)),
        validation=[
            (network, charts.class_curves(run.folder, network, task.foreground))
            for network in networks
        ],
        validation_legend=list(enumerate(["mean", *task.foreground]))
        if len(task.foreground) > 1 else [],
        losses=charts.loss_charts(run.folder),
        facts=[
            *((key, f"{value} (not used by {config.method})")
              if key == "Unlabelled" and ignores_unlabelled(config) else (key, value)
              for key, value in counts(
                  data, split.labelled, split.split.train, split.split.validation,
                  split.validation_from_training)),
            ("Training", trained(steps_of(config, ended), config.data.input_size, ended)),
            *software(facts, data, task.name),
        ],
        methods=described({config.method: config.method}),
        settings=[(config.method, config_text(run.folder))],
        commands=[
            train_command(run, data),
            *(evaluate_command(run, s) for s in scored),
        ] if output is None else [run_command(run)],
        definitions=definitions([s.row for s in ([crossed] if crossed else []) + scored]),
    )  # fmt: skip


def _crossed(
    scored: Scored, data: PreparedData | None, classes: Sequence[str], output: RunOutput
) -> dict[str, Any]:
    """The evaluation of a cross-validation."""
    out = _evaluation(scored, data, classes, False)
    return out | {
        "title": "Cross-validation",
        "caption": [cross_validation_sentence(output), *out["caption"][1:]],
        "trainings": f"{len(output.round().folds)} trainings",
    }


def render(template: str, **context: Any) -> str:
    """Render a template as a page, with the colours of all pages."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("semiseg.reporting", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {
        "version": __version__,
        "date": datetime.date.today().isoformat(),
        "series": figures.SERIES,
        "series_dark": figures.SERIES_DARK,
        "series_colour": figures.series_colour,
        "dash": figures.dash,
    }
    return _numbered(environment.get_template(template).render(context))


def _numbered(text: str) -> str:
    """Make the identifiers within figures unique: figures of the same data have the same ones."""
    numbers = itertools.count()

    def number(match: re.Match[str]) -> str:
        prefix = rf"\g<1>figure{next(numbers)}-"
        return re.sub(r'(id="|href="#|url\(#)figure-', prefix, match[0])

    return re.sub(r'<svg role="img".*?</svg>', number, text, flags=re.DOTALL)


def _evaluation(
    scored: Scored, data: PreparedData | None, classes: Sequence[str], held_out: bool
) -> dict[str, Any]:
    summary, row = scored.row["summary"], scored.row
    columns = tables.shown_columns([row])
    cases = [data.cases[c] for c in scored.dice[None] if c in data.cases] if data else []
    table = []
    for name, values in tables.by_class(summary).items():
        cells = []
        for column in columns:
            mean = values.get(column, {})
            spread = tables.Spread(mean["mean"], mean["deviation"], mean["count"])
            cells.append(tables.shown(column, None if mean["mean"] is None else spread))
        low_high = values.get("dice", {}).get("interval")
        cells.insert(1, tables.shown_interval("dice", low_high))
        table.append((name or "mean of class means", cells))
    groups = {
        name or "mean over classes": list(values.values())
        for name, values in scored.dice.items()
        if name is not None or len(classes) > 1
    }
    return {
        "title": f"{row['network']} network, {row['on']} part",
        "heads": [tables.title_of(columns[0]), "95% interval", *map(tables.title_of, columns[1:])],
        "interval": intervals.interval_words(
            summary["mean_over_classes"]["dice"].get("interval"), summary["patients"]
        ) if "patients" in summary else "",
        "table": [*table[1:], table[0]] if len(table) > 2 else table[1:],
        # the sentence about seeds is below the table
        "caption": caption([row], row["on"], data, cases)[:-1],
        "cases": summary["cases"], "trainings": "one training",
        "held_out": held_out and row["on"] == "validation",
        "trouble": trouble([row]),
        "strip": charts.strip(groups, list(range(len(groups))), "of every case")
        if any(groups.values()) else None,
    }  # fmt: skip
