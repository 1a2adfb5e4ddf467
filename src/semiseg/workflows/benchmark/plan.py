"""The plan of a benchmark: its settings and its list of runs, in ``benchmark.json``."""

import dataclasses
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg import methods, networks, presets
from semiseg.console import Console
from semiseg.data.budget import names_a_file, plain_budget
from semiseg.digests import text_digest
from semiseg.errors import UserError
from semiseg.files import atomic_write, is_file
from semiseg.training.benchmark_file import PLAN, read_plan
from semiseg.training.configuration import SMALL
from semiseg.workflows.benchmark.given_files import check_unchanged, digests_of

LONGEST = 100  # characters of a name made from a variant and a budget


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of a benchmark: a method, and the settings of a study's variant if it is one."""

    name: str
    method: str
    sections: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One training and its evaluation."""

    variant: Variant
    labelled: str
    seed: int
    folder: Path

    @property
    def key(self) -> tuple[str, str, int]:
        """What distinguishes the run from the others of its benchmark."""
        return self.variant.name, self.labelled, self.seed

    @property
    def title(self) -> str:
        """The run's name in messages."""
        return f"{self.variant.name}, {self.labelled} labelled, seed {self.seed}"

    def settings(self, common: "CommonSettings") -> list[str]:
        """The settings of its training: those of the benchmark and the run's own seed."""
        return [*common.settings, f"training.seed={self.seed}"]


@dataclasses.dataclass(frozen=True)
class CommonSettings:
    """The settings of all runs of a benchmark, which cannot change when the benchmark is extended.

    Attributes:
        data: the absolute path of the prepared data.
        preset: name or file.
        settings: ``section.key=value`` each.
        on: the part that is scored, validation or test.
        protocol: evaluation protocol; None: the preset's.
        weights: the scored weights, best or last.
        time: seconds of all runs of the first call, if they were limited.
        seconds: seconds of each training, if the time was limited.
    """

    data: str
    preset: str | None
    settings: tuple[str, ...]
    on: str
    protocol: str | None
    weights: str
    time: float | None = None
    seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class BenchmarkPlan:
    """The runs of a benchmark, finished or not, in the order of the tables.

    ``files``: the digest of each list of patients or preset that is a file.
    """

    folder: Path
    common: CommonSettings
    runs: tuple[PlannedRun, ...]
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def save(self) -> None:
        """Write ``benchmark.json``; raises `UserError` if that fails."""
        runs = [
            {**dataclasses.asdict(run), "folder": str(run.folder.relative_to(self.folder))}
            for run in self.runs
        ]
        content = {
            "plan": dataclasses.asdict(self.common), "runs": runs, "files": dict(self.files),
        }  # fmt: skip
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self.folder / PLAN) as partial:
                partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{self.folder} cannot be written ({error.strerror}): choose another -o."
            ) from error

    def extended(
        self, variants: Sequence[Variant], labelled: Sequence[str], seeds: Sequence[int]
    ) -> "BenchmarkPlan":
        """The plan with a run added for every combination of the arguments.

        A run that exists stays unchanged, but moves to its position in the arguments.

        Raises:
            UserError: if two variants with one name have different methods or settings, or if a file
                among ``labelled`` or the preset has changed since it was given.
        """
        labelled = [plain_budget(budget) for budget in labelled]
        given = [self.common.preset, *labelled]
        check_unchanged(self.files, given)
        rows = {run.variant.name: run.variant for run in self.runs}
        known = {run.key: run for run in self.runs}
        taken = {run.folder.name.lower() for run in self.runs}
        for seed, budget, variant in itertools.product(seeds, labelled, variants):
            name = _slug(variant.name, budget, seed)
            run = PlannedRun(variant, budget, seed, self.folder / "runs" / name)
            if run.key not in known and name in taken:
                # names that differ only in case, punctuation, or the folder of a list
                unique = f"{name}-{_digest(run.key)}"
                run = dataclasses.replace(run, folder=run.folder.with_name(unique))
            if rows.setdefault(variant.name, variant) != variant:
                raise UserError(
                    f"The row '{variant.name}' has another method or other settings than the row of that "
                    f"name in {self.folder}: give it another name, or choose another -o."
                )
            known[run.key] = found = known.pop(run.key, run)
            taken.add(found.folder.name.lower())
        files = digests_of(given) | dict(self.files)
        return dataclasses.replace(self, runs=tuple(known.values()), files=files)


def load_plan(folder: Path) -> BenchmarkPlan | None:
    """Read the plan of the benchmark in ``folder``; None if there is none.

    Raises:
        UserError: if ``benchmark.json`` is damaged, or names a folder outside of the benchmark's.
    """
    if not (folder / PLAN).exists():
        return None
    stored = read_plan(folder)
    runs = [
        PlannedRun(
            Variant(run.variant.name, run.variant.method, run.variant.sections),
            run.labelled, run.seed, folder / run.folder,
        )
        for run in stored.runs
    ]  # fmt: skip
    return BenchmarkPlan(folder, CommonSettings(**dict(stored.plan)), tuple(runs), stored.files)


def variants_of(names: Sequence[str], study: str | None) -> list[Variant]:
    """The methods ``names``, then the variants of ``study``.

    Raises:
        UserError: if a method or the study is unknown, or a variant has a section of another method.
    """
    variants = [Variant(name, methods.entry(name).name) for name in names]
    if study is not None:
        for name, content in presets.load_study(study)["variants"].items():
            sections = {key: value for key, value in content.items() if key != "method"}
            method = methods.entry(content["method"]).name
            other = methods.table().keys() & sections.keys() - {method, *networks.table()}
            if other:
                raise UserError(
                    f"Study '{study}', variant '{name}' has the section '{min(other)}', which has no effect "
                    f"on {method}: remove it."
                )
            variants.append(Variant(str(name), method, sections))
    return variants


def small_preset(variants: Sequence[Variant], console: Console) -> str:
    """The preset for all variants of a new benchmark on a machine without a GPU.

    It is the preset of the first method other than the baseline, so that the baseline is trained in the
    same way.
    """
    first = next((v.method for v in variants if v.method != "supervised"), None)
    preset = f"{first}-{SMALL}" if first in presets.overlays(SMALL) else SMALL
    console.info(f"preset: {preset}, since there is no GPU (to change it: --preset)")
    return preset


def absolute_preset(word: str) -> str:
    """The absolute path of a preset in a file; the name of a preset unchanged."""
    return str(Path(word).resolve()) if word.endswith(presets.SUFFIXES) and is_file(word) else word


def _slug(variant: str, budget: str, seed: int) -> str:
    """The name of a run's folder; a budget in a file is represented by the file's name."""
    text = f"{variant}-{Path(budget).stem if names_a_file(budget) else budget}-s{seed}"
    slug = re.sub(r"[^A-Za-z0-9.%]+", "-", text.replace("+", "plus")).strip("-").lower()
    return slug if len(slug) <= LONGEST else f"{slug[:LONGEST]}-{_digest((variant, budget, seed))}"


def _digest(key: tuple[str, str, int]) -> str:
    return text_digest(repr(key), 8)
