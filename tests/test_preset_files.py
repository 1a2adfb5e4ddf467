"""Presets and studies in files of the user: what has no effect is refused, and ``extends`` works."""

import copy
from pathlib import Path
from typing import Any

import pytest

from semiseg import presets
from semiseg.data.manifest import PreparedData
from semiseg.errors import UserError
from semiseg.training.configuration import resolve_config


def written(folder: Path, text: str, name: str = "mine.yaml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def sections(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in presets.NO_SECTIONS}


def test_a_preset_extends_another(small_data: PreparedData, tmp_path: Path) -> None:
    mine = written(tmp_path, "extends: cpu\ntraining: {iterations: 7}\n")
    for method in ("mcsc", "supervised"):
        expected = copy.deepcopy(presets.load("cpu", method))
        expected["training"]["iterations"] = 7
        assert sections(presets.load(mine, method)) == sections(expected)
    resolved = resolve_config(small_data.manifest, "mcsc", mine, [])
    assert resolved.config.data.size == 96  # of the profile
    assert resolved.config.options["contrast_weight"] == 0.02  # of its overlay
    assert resolved.config.training.iterations == 7
    assert resolved.origins["training.iterations"] == f"preset '{mine}'"


def test_the_method_of_a_preset_is_that_of_the_one_it_extends(tmp_path: Path) -> None:
    assert presets.load(written(tmp_path, "extends: mcsc-acdc\n"))["method"] == "mcsc"
    own = written(tmp_path, "extends: mcsc-acdc\nmethod: supervised\n")
    assert presets.load(own)["method"] == "supervised"


def test_an_option_replaces_the_one_that_it_excludes(
    small_data: PreparedData, tmp_path: Path
) -> None:
    mine = written(tmp_path, "extends: cpu\ntraining: {epochs: 3}\n")
    training = resolve_config(small_data.manifest, "supervised", mine, []).config.training
    assert (training.epochs, training.iterations) == (3, 30_000)
    none = written(tmp_path, "extends: cpu\ntraining: {epochs: null}\n")
    training = resolve_config(small_data.manifest, "supervised", none, []).config.training
    assert (training.epochs, training.iterations) == (None, 2000)


def test_options_that_exclude_each_other_are_refused(
    small_data: PreparedData, tmp_path: Path
) -> None:
    both = ["training.iterations=5", "training.epochs=2"]
    with pytest.raises(UserError, match=r"iterations and training.epochs contradict .*--set"):
        resolve_config(small_data.manifest, "supervised", None, both)
    mine = written(tmp_path, "training: {iterations: 5, epochs: 2}\n")
    with pytest.raises(UserError, match=r"contradict each other \(both from preset"):
        resolve_config(small_data.manifest, "supervised", mine, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: cqu\n", "did you mean 'cpu'"),
        ("extends: other.yaml\n", "'extends' takes the name of a preset .* not a file"),
        ("extends: [cpu]\n", "'extends' must be a text"),
        ("variants: {a: {method: mcsc}}\n", "is a study, since it has 'variants'"),
    ],
)
def test_a_preset_that_would_be_ignored_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        presets.load(written(tmp_path, text))
    assert "mine.yaml" in str(caught.value)


def test_an_unknown_section_names_the_file(small_data: PreparedData, tmp_path: Path) -> None:
    mine = written(tmp_path, "traning: {iterations: 7}\n")
    with pytest.raises(UserError, match=r"mine\.yaml.* 'traning': did you mean 'training'"):
        resolve_config(small_data.manifest, "supervised", mine, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training: {iterations: 3}\nvariants: {a: {method: mcsc}}\n", "has 'training' outside"),
        ("extends: mcsc-table3\nvariants: {a: {method: mcsc}}\n", "has 'extends' outside"),
        ("method: mcsc\nvariants: {a: {method: mcsc}}\n", "has 'method' outside"),
        ("variants: {a: {method: mcsc, extends: cpu}}\n", "variant 'a' has 'extends'"),
    ],
)
def test_what_a_study_would_ignore_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        presets.load_study(written(tmp_path, text))
    assert "mine.yaml" in str(caught.value)


def test_words_are_not_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cpu", "mcsc-table3", "acdc-papers"):
        Path(name).write_text("nothing")
    assert presets.load("cpu")["training"]
    assert presets.load_study("mcsc-table3")["variants"]
    assert presets.split_file("acdc-papers").parent.name == "splits"
    assert presets.split_file("./acdc-papers") == Path("acdc-papers")


def test_presets_and_studies_in_files_are_shown(tmp_path: Path) -> None:
    study = written(tmp_path, "variants: {a: {method: mcsc}}\n")
    assert presets.load_either(study)["variants"] == {"a": {"method": "mcsc"}}
    assert presets.load_either(written(tmp_path, "extends: cpu\n"))["data"]["size"] == 96
