"""The sentences around a table: what was scored and how, what was missing, and definitions."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.config import CROPS
from semiseg.csv_files import read_csv
from semiseg.data.manifest import PARTS, Case, PreparedData
from semiseg.data.splits import counted
from semiseg.evaluation.resize_upper_bound import resize_upper_bound_of_set, sample_of
from semiseg.evaluation.stored_summary import REMEDY
from semiseg.evaluation.summary import possible

Row = Mapping[str, Any]


def caption(
    rows: Sequence[Row],
    on: str,
    prepared: PreparedData | None = None,
    cases: Sequence[Case] = (),
    held_out: bool = False,
) -> list[str]:
    """The sentences above a table.

    Args:
        rows: see `semiseg.reporting.tables.write_tables`.
        on: the scored part.
        prepared: the data; None leaves out counts and the upper bound of resizing.
        cases: the scored cases.
        held_out: whether each run held the cases out of its own labelled patients.
    """
    out = [f"Scored on the {on} part."]
    if prepared is not None and cases:
        out = [f"Scored on the {on} part: {counted(cases, prepared.task.kind)}."]
    if held_out:
        out.append(
            "The data have no such part: each run held it out of its own labelled patients, so "
            "runs with different numbers of labelled patients are scored on different cases."
        )
    out += _weights(rows, on)
    if on == "unlabelled":
        out.append(
            "These are training cases whose labels the run did not read: the scores measure the quality "
            "of its pseudo-labels."
        )
    out += [*_definitions(rows), *_settings(rows)]
    if prepared is not None:
        out += _upper_bounds(rows, prepared, cases)
    return [*out, *_seeds(rows)]


def _weights(rows: Sequence[Row], on: str) -> list[str]:
    """Which weights were scored, and whether the scored cases have chosen them."""
    kinds = {(row["summary"].get("of") or {}).get("weights", "best") for row in rows}
    if kinds == {"last"}:
        return ["The weights are those of the last iteration."]
    if "best" in kinds and on == "validation":
        return [
            "The checkpoint of each run was chosen on the same part, so the numbers are optimistic."
        ]
    return []


def scored_cases(prepared: PreparedData, on: str, folder: Path) -> tuple[list[Case], bool]:
    """The cases that a benchmark scored, and whether its runs held them out of their labelled patients.

    Args:
        prepared: the data.
        on: the scored part.
        folder: the benchmark's folder. Its ``cases.csv`` are read if the data have no such part.
    """
    for part in PARTS:
        cases = prepared.of_patients(prepared.manifest.split.part(part), labelled=True)
        if part == on and cases:
            return cases, False
    names: dict[str, None] = {}
    for path in sorted(folder.glob(f"runs/*/evaluation/{on}-*/cases.csv")):
        names.update((str(row["case"]), None) for row in read_csv(path, ["case"], REMEDY))
    return [prepared.cases[name] for name in names if name in prepared.cases], True


def _definitions(rows: Sequence[Row]) -> list[str]:
    rules = {
        "worst": "count as the image's diagonal in HD95 and ASD",
        "zero": "count as 0 in HD95 and ASD (as in the papers; this makes the results look better)",
        "exclude": "are left out of HD95 and ASD",
    }
    said = [
        f"Protocol {s['protocol']}: distances in {s['units']}, HD95 {s['hd95_definition']}, "
        f"ASD {s['asd_definition']}, on {s['scored_at']}; missing structures "
        f"{rules.get(s['missing_rule'], s['missing_rule'])}."
        for s in (row["summary"] for row in rows)
    ]
    return list(dict.fromkeys(said))


def input_words(sizes: Collection[int | str]) -> str:
    """``96 x 96 or 128 x 128 pixels``, ``96 x 96 pixels (crops)``, ``32 x 32 x 48 voxels``."""
    flat = [f"{s} x {s}" for s in sorted({s for s in sizes if isinstance(s, int)})]
    named_sizes = {s for s in sizes if isinstance(s, str)}
    crops = sorted(s.removesuffix(CROPS) for s in named_sizes if s.endswith(CROPS))
    deep = sorted(s for s in named_sizes if not s.endswith(CROPS))
    named = ((flat, "pixels"), (crops, f"pixels{CROPS}"), (deep, "voxels"))
    return " or ".join(f"{' or '.join(shown)} {unit}" for shown, unit in named if shown)


def _settings(rows: Sequence[Row]) -> list[str]:
    sizes = input_words([row["size"] for row in rows])
    steps = " or ".join(f"{n:,}" for n in sorted({row["iterations"] for row in rows}))
    out = [f"Input {sizes}, {steps} iterations."]
    notes: dict[str, dict[str, None]] = {}
    for row in rows:
        for note in row["pretrained"]:
            notes.setdefault(note, {})[row["variant"]] = None
    out += [f"{', '.join(variants)}: {note}" for note, variants in notes.items()]
    if not notes:
        out.append("No pretrained weights were loaded.")
    return out


def _upper_bounds(rows: Sequence[Row], prepared: PreparedData, cases: Sequence[Case]) -> list[str]:
    if not cases:
        return []
    count = len(sample_of(cases))
    sample = f" (over {count} of {len(cases)} cases)" if count < len(cases) else ""
    out = []
    for size in sorted({row["size"] for row in rows if isinstance(row["size"], int)}):
        best = resize_upper_bound_of_set(prepared, cases, size)
        values = ", ".join(f"{n} {100 * v:.1f}" for n, v in best.items() if v is not None)
        out.append(
            f"Resizing to {size} x {size} and back limits DSC [%] to about {values}{sample}."
        )
    return out


def _seeds(rows: Sequence[Row]) -> list[str]:
    seeds: dict[tuple[str, str, str], set[int]] = {}
    for row in rows:
        key = row["variant"], row["labelled"], row["network"]
        seeds.setdefault(key, set()).add(row["seed"])
    counts = {len(own) for own in seeds.values()}
    if counts == {1}:
        return ["Means over cases, then over classes; one seed."]
    some = "" if min(counts) > 1 else "; lines without ± are based on one seed"
    out = [
        f"Means over cases, then classes, then seeds; ± is the standard deviation over seeds{some}."
    ]
    budgets = {labelled for _, labelled, _ in seeds}
    for budget in budgets:
        if len({frozenset(own) for key, own in seeds.items() if key[1] == budget}) > 1:
            return [
                *out,
                "Some lines with the same number of labelled patients are based on different seeds. They "
                "are not comparable, so the best one is not marked.",
            ]
    return out


def trouble(rows: Sequence[Row]) -> list[str]:
    """Sentences about missing and spurious structures, and about cases that were not scored."""
    words = {
        "missing": "in the reference but not predicted; counts are of the cases that contain the structure",
        "spurious": "predicted but not in the reference; counts are of the cases that do not contain it",
    }
    out = []
    for status, meaning in words.items():
        counts: dict[tuple[str, str], list[int]] = {}
        for row in rows:
            for name, item in row["summary"]["classes"].items():
                count = counts.setdefault((_who(row), name), [0, 0])
                count[0] += item["cases"][status]
                count[1] += possible(item["cases"])[status]
        found: dict[str, list[str]] = {}
        for (who, name), (count_, total) in counts.items():
            if count_:
                found.setdefault(who, []).append(f"{name} in {count_} of {total}")
        if found:
            said = "; ".join(f"{who}: {', '.join(parts)}" for who, parts in found.items())
            out.append(f"{status.capitalize()} structures ({meaning}). {said}.")
    failed: dict[str, int] = {}
    for row in rows:
        failed[_who(row)] = failed.get(_who(row), 0) + len(row["summary"]["failed"])
    out += [
        f"{who}: {count} cases could not be scored and are not included in the means."
        for who, count in failed.items()
        if count
    ]
    return out


def _who(row: Row) -> str:
    return f"{row['variant']} ({row['network']}, {row['labelled']} labelled)"


_HD95 = {
    "pooled": "95th percentile of the pooled surface distances of both directions",
    "larger-direction": "95th percentile of the surface distances in each direction, the larger of "
    "the two",
    "surfel-weighted": "95th percentile of the surface distances weighted by surface area in each "
    "direction, the larger of the two",
}
_ASD = {
    "symmetric": "mean of the mean surface distances of both directions",
    "prediction-to-reference": "mean distance from the prediction's surface to the reference's, in "
    "this direction only",
}
_MISSING = {
    "worst": "a structure in only one of the two masks counts as the image's diagonal in HD95 and "
    "ASD, and as 0 in DSC",
    "zero": "a missing structure counts as 0 in HD95 and ASD, as in the papers' code, so that a missed "
    "organ improves the mean; in DSC it counts as 0",
    "exclude": "a structure in only one of the two masks is left out of HD95 and ASD, and counts as 0 "
    "in DSC",
}


def definitions(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """The terms in the tables of these rows, with their meaning."""
    if not rows:
        return []
    first = rows[0]["summary"]
    whole = "of a whole volume" if first["units"] == "mm" else "of a whole case"
    out = [
        ("DSC (Dice)", f"2 |P ∩ R| / (|P| + |R|) {whole}: 100 % is perfect overlap of prediction P "
         "and reference R. A class in neither of them is left out, and counted."),
    ]  # fmt: skip
    columns = {c for row in rows for c in row["summary"]["mean_over_classes"]}
    pictures = "mae_percent" in columns
    if pictures:
        out.append(("IoU", "|P ∩ R| / |P ∪ R|; 100 % is perfect."))
    for kind, words in (("hd95_definition", _HD95), ("asd_definition", _ASD)):
        for value in dict.fromkeys(row["summary"][kind] for row in rows):
            name = "HD95" if kind.startswith("hd95") else "ASD"
            unit = first["units"]
            if unit != "mm":
                unit += ", regardless of their size"
            out.append((name, f"{words.get(value, value)}; in {unit}; 0 is perfect ({value})."))
    if pictures:
        out.append(("MAE", "100 times the mean of |p - y| over pixels; 0 is perfect."))
    for value in dict.fromkeys(row["summary"]["missing_rule"] for row in rows):
        out.append(("Missing structures", f"{_MISSING.get(value, value)} ({value})."))
    out.append(
        ("Mean over classes", "the mean of the class means: all classes have the same weight.")
    )
    return out
