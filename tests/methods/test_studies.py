"""Every row of every built-in study, and every preset, can run a step."""

from typing import Any

import pytest
import torch
import yaml

from semiseg import methods, presets
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Step
from semiseg.networks.build import without_pretrained
from semiseg.testing.data import small_settings
from semiseg.training.configuration import resolve_config

ROWS = [
    (study, row)
    for study in presets.study_names()
    for row in presets.load_study(study)["variants"]
    if not study.startswith("mcsc")  # its rows are tested in test_mcsc.py
]


@pytest.mark.parametrize(("study", "row"), ROWS)
def test_every_row_of_the_papers_tables_runs(
    small_data: PreparedData, study: str, row: str
) -> None:
    sections: dict[str, Any] = dict(presets.load_study(study)["variants"][row])
    name = sections.pop("method")
    config = resolve_config(small_data.manifest, name, None, small_settings(name), sections).config
    method = methods.entry(name).load()(small_data.task, config)
    side = config.data.size
    batch = Batch(torch.rand(4, 1, side, side), torch.randint(0, 3, (2, side, side)))
    for index in (0, 50, 99):
        terms = method(batch, Step(index, 100))
        torch.stack(list(terms.values())).sum().backward()
        assert all(torch.isfinite(term) for term in terms.values())
        method.after_step(Step(index, 100))
    written = sections.get(name, {})
    assert {k: config.options[k] for k in written} == written


def test_a_row_is_what_its_name_says_whatever_is_set_for_all(small_data: PreparedData) -> None:
    """Otherwise ``--set plgcl.weight=0.2`` would add the contrast to a row "L_sup"."""
    rows = presets.load_study("plgcl-table2")["variants"]
    weights = {}
    for row, content in rows.items():
        sections = {key: value for key, value in content.items() if key != "method"}
        said = ["plgcl.weight=0.2", "plgcl.regularisation_weight=0.5"]
        resolved = resolve_config(small_data.manifest, "plgcl", "plgcl-cpu", said, sections)
        weights[row] = [resolved.config.options[k] for k in ("regularisation_weight", "weight")]
    assert weights["L_sup"] == [0, 0]
    assert weights["L_sup + L_reg"] == [0.5, 0]
    assert weights["warm-up, then all"] == [0.5, 0.2]


@pytest.mark.parametrize("preset", presets.names())
def test_every_preset_says_what_is_known(small_data: PreparedData, preset: str) -> None:
    """Each preset works with every method that it has a section for."""
    content = presets.load(preset)
    assert content["summary"]
    assert content["source"]
    task = small_data.task
    if content.get("unet", {}).get("standardise") == "imagenet":
        task = task.model_copy(update={"channels": 3, "kind": "pictures"})
    data = small_data.manifest.model_copy(update={"task": task})
    dimensions = content.get("data", {}).get("dimensions", 2)
    every = {n for n, e in methods.table().items() if dimensions in e.dimensions}
    profile = preset in presets.profiles()
    for name in every if profile else {content["method"], *(set(content) & every)}:
        config = without_pretrained(resolve_config(data, name, preset).config)
        method = methods.entry(name).load()(task, config)
        assert all(start < 10_000 for start in method.active_from(10_000).values())


def test_a_profile_names_no_method_and_no_line_stands_twice() -> None:
    for profile in presets.profiles():
        content = presets.load(profile)
        assert not {"method", *methods.table()} & set(content)
        for method in presets.overlays(profile):
            path = presets.PROFILES / profile / f"{method}.yaml"
            overlay = presets.sections(yaml.safe_load(path.read_text("utf-8")))
            for section, values in overlay.items():
                held = content.get(section, {})
                assert not [k for k, v in values.items() if k in held and held[k] == v], path


def test_a_method_of_another_package_gets_the_profile() -> None:
    assert presets.load("cpu", "mine") == presets.load("cpu")
    assert presets.load("mcsc-cpu", "mine")["training"]["batch_size"] == 4
    assert presets.load("cpu", "mcsc")["training"]["batch_size"] == 4
    assert presets.load("cpu")["training"]["batch_size"] == 8


@pytest.mark.parametrize("preset", ["cross-level-cpu", "mcsc-cpu", "plgcl-cpu"])
@pytest.mark.parametrize("name", ["supervised", "cross-level", "plgcl"])
def test_small_presets_serve_a_comparison_of_methods(
    small_data: PreparedData, preset: str, name: str
) -> None:
    """Settings for other methods fit the preset's size and a very short run."""
    config = resolve_config(small_data.manifest, name, preset).config
    methods.entry(name).load()(small_data.task, config)
    if name != "supervised":
        own = resolve_config(small_data.manifest, name, f"{name}-cpu").config
        assert config.options == own.options
