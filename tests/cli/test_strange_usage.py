"""Misspelt and contradictory options, unusual paths, imports and start-up time."""

import errno
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import nibabel
import numpy as np
import pytest
import typer
import yaml
from commandline import COMMAND, call, refused, small, tree, well

from semiseg import methods, networks, presets
from semiseg.cli.main import app
from semiseg.config import NETWORKS, SECTIONS
from semiseg.evaluation.protocols import MISSING, PROTOCOLS
from semiseg.evaluation.surfaces import DEFINITIONS

VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
TRAIN = ("train", "DATA", "-o", "OUT")
BENCH = ("benchmark", "DATA", "-o", "OUT")
EQUAL = ("--set", "training.batch_size=4", "--set", "training.labelled_batch_size=4")


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        ((*TRAIN, "--lablled", "3"), ["--lablled", "did you mean --labelled or --labelled-seed?"]),
        (("trian", "DATA"), ["'trian'", "Did you mean 'train'?"]),
        (("frobnicate",), ["'frobnicate'", "semiseg --help"]),
        (("train", "DATA"), ["--out", "semiseg train --help"]),
        (("train", "DATA", "-o"), ["-o"]),
        (("predict", "DATA", "-o", "OUT"), ["images", "semiseg predict --help"]),
        ((*TRAIN, "extra"), ["extra"]),
        (("train", "-o", "OUT"), ["semiseg train DATA -o RUN"]),
        ((*TRAIN, "--method", "mcsk"), ["'mcsk'", "did you mean 'mcsc'?"]),
        ((*TRAIN, "--preset", "mcsc-cpuu"), ["'mcsc-cpuu'", "did you mean 'mcsc-cpu'?"]),
        ((*TRAIN, "--preset", "mine.yaml"), ["'mine.yaml'"]),
        ((*TRAIN, "--method", "mcsc", "--set", "traning.iterations=3"), ["'training'?"]),
        (
            (*TRAIN, "--method", "mcsc", "--set", "training.iteration=3"),
            ["training.iteration", "did you mean 'training.iterations'?"],
        ),
        (
            (*TRAIN, "--method", "mcsc", "--set", "mcsc.temprature=3"),
            ["mcsc.temprature", "did you mean 'mcsc.temperature'?"],
        ),
        ((*TRAIN, "--method", "mcsc", "--set", "training.iterations"), ["section.key=value"]),
        (
            (*TRAIN, "--method", "mcsc", "--set", "training.iterations=abc"),
            ["training.iterations must be a valid integer", "'abc'", "(from --set)"],
        ),
        (
            (*TRAIN, "--method", "mcsc", "--set", "training.iterations=0"),
            ["training.iterations", "greater than or equal to 1"],
        ),
        (
            (*TRAIN, "--method", "mcsc", "--set", "training.labelled_batch_size=40"),
            ["labelled_batch_size (40) is larger than batch_size"],
        ),
        (
            (*TRAIN, "--method", "mcsc", "--set", "unet.channels=[4,4,0,4,4]"),
            ["unet.channels.2"],
        ),
        (
            (*TRAIN, "--method", "mcsc", "--set", "unet.dropout=[0,0,0,0,7]"),
            ["unet.dropout.4", "less than 1"],
        ),
        ((*TRAIN, "--method", "mcsc", "--set", "mcsc.scales=[2]"), ["mcsc.scales"]),
        ((*TRAIN, "--method", "mcsc", "--set", "mcsc.temperature=0"), ["mcsc.temperature"]),
        (
            (*TRAIN, "--method", "plgcl", "--set", "plgcl.lambda_weight=inf"),
            ["plgcl.lambda_weight must be a finite number, got"],
        ),
        (
            (*TRAIN, "--method", "plgcl", "--set", "plgcl.refine=maybe"),
            ["plgcl.refine must be true or false, got 'maybe'"],
        ),
        (
            (*TRAIN, "--method", "cross-level", "--set", "cross-level.projector_widths=[0,8,8]"),
            ["cross-level.projector_widths.0 must be greater than or equal to 1"],
        ),
        (
            (*TRAIN, "--method", "cross-level", "--set", "cross-level.projector_widths=64"),
            ["cross-level.projector_widths must be a list, such as [1, 2, 3], got 64"],
        ),
        (
            (*TRAIN, "--method", "cross-level", "--set", "cross-level.projector_widths=[8,8]"),
            ["cross-level.projector_widths must have more entries, got [8, 8] (from --set)"],
        ),
        (
            (*TRAIN, "--method", "supervised", "--set", "data.size=40"),
            ["side of 40 pixels", "such as 32 or 48"],
        ),
        (
            (*TRAIN, "--method", "mcsc", "--set", "mcsc.labelled_contrast_until=9",
             "--set", "training.iterations=9", "--labelled", "2"),
            ["'contrast on unlabelled images'", "training.iterations"],
        ),
        ((*TRAIN, "--method", "mcsc", "--labelled", "0"), ["--labelled 0"]),
        ((*TRAIN, "--method", "mcsc", "--labelled", "-1"), ["--labelled -1"]),
        ((*TRAIN, "--method", "mcsc", "--labelled", "2.5"), ["--labelled 2.5"]),
        ((*TRAIN, "--method", "mcsc", "--labelled", "0%"), ["--labelled 0%"]),
        ((*TRAIN, "--method", "mcsc", "--labelled", "200%"), ["--labelled 200%"]),
        ((*TRAIN, "--method", "mcsc", "--labelled", "a few"), ["--labelled a few", "give a number"]),
        ((*TRAIN, "--method", "mcsc", "--labelled", "50"), ["50 patients", "at most"]),
        ((*TRAIN, "--method", "mcsc", "--seed", "-1"), ["training.seed"]),
        ((*TRAIN, "--method", "mcsc", "--time", "soon"), ["--time soon", "2h"]),
        ((*TRAIN, "--method", "mcsc", "--time", "-5"), ["--time -5"]),
        ((*TRAIN, "--method", "mcsc", "--device", "gpu"), ["--device gpu", "cpu"]),
        ((*TRAIN, "--method", "mcsc", "--threads", "0"), ["--threads"]),
        ((*TRAIN, "--method", "mcsc", "--threads", "two"), ["--threads"]),
        (("evaluate", "RUN", "--on", "tets"), ["--on tets", "validation, test or unlabelled"]),
        (("evaluate", "RUN", "--network", "unett"), ["'unett'", "did you mean 'unet'?"]),
        (("evaluate", "RUN", "--weights", "newest"), ["--weights newest", "best and last"]),
        (("evaluate", "RUN", "--protocol", "stric"), ["did you mean 'strict'?"]),
        (("evaluate", "RUN", "--missing", "wors"), ["did you mean 'worst'?"]),
        (("evaluate", "RUN", "--hd95", "pool"), ["did you mean 'pooled'?"]),
        (("evaluate", "RUN", "--classes", "a"), ["--classes", "MASKS REFERENCES"]),
        (("evaluate", "LABELS", "LABELS", "--on", "validation"), ["--on", "need a run"]),
        (("evaluate", "LABELS", "LABELS", "--missing", "no"), ["(--missing)"]),
        (("predict", "RUN", "IMAGES", "-o", "OUT", "--network", "gru"), ["'gru'", "unet"]),
        (("predict", "RUN", "IMAGES", "-o", "OUT", "--device", "tpu"), ["--device tpu"]),
        (("prepare", "SOURCE", "-o", "OUT", "--layout", "nifty"), ["did you mean 'nifti'?"]),
        (("prepare", "SOURCE", "-o", "OUT", "--spacing", "1,2"), ["--spacing 1,2"]),
        (("prepare", "SOURCE", "-o", "OUT", "--spacing", "0,1,1"), ["--spacing 0,1,1"]),
        (("prepare", "SOURCE", "-o", "OUT", "--spacing", "1e308,1,1"), ["at most 10,000"]),
        (("prepare", "SOURCE", "-o", "OUT", "--classes", "a,a"), ["--classes"]),
        (("prepare", "SOURCE", "-o", "OUT", "--patient-pattern", "("), ["--patient-pattern"]),
        (("prepare", "SOURCE", "-o", "OUT", "--split", "none.json"), ["none.json"]),
        ((*BENCH,), ["--methods", "--study"]),
        (("benchmark", "-o", "OUT", "--methods", "mcsc"), ["No prepared data set was given"]),
        (("prepare", "SOURCE", "-o", "OUT", "--split", "acdc-papers", "--parts", "0.6,0.2,0.2"),
         ["--parts is for a random split", "leave out --parts, or --split"]),
        (("prepare", "SOURCE", "-o", "OUT", "--all-frames"), ["--all-frames is for ACDC"]),
        (("inspect", "SOURCE", "--overwrite"), ["--overwrite", "-o"]),
        ((*TRAIN, "--method", "mcsc", "--seed", "1", "--set", "training.seed=2"),
         ["--seed 1 and --set training.seed contradict"]),
        ((*TRAIN, "--method", "mcsc", "--labelled-seed", "1", "--labelled", "DATA/manifest.json"),
         ["--labelled-seed 1 chooses patients, but", "lists them"]),
        (("evaluate", "LABELS", "LABELS", "--threads", "1"), ["--threads", "need a run"]),
        (("evaluate", "LABELS", "LABELS", "--device", "cpu"), ["--device", "need a run"]),
        (("evaluate", "LABELS", "LABELS", "--overwrite"), ["--overwrite", "-o"]),
        ((*BENCH, "--methods", "mcsk"), ["did you mean 'mcsc'?"]),
        ((*BENCH, "--methods", "mcsc", "--labelled", "3,,7"), ["--labelled 3,,7", "empty entry"]),
        ((*BENCH, "--methods", "mcsc,"), ["--methods mcsc,", "empty entry"]),
        ((*BENCH, "--methods", "mcsc", "--seeds", "1_0"), ["--seeds 1_0", "whole numbers"]),
        ((*BENCH, "--methods", "mcsc", "--seeds", "1,01"), ["--seeds names 1 twice"]),
        (("prepare", "SOURCE", "-o", "OUT", "--classes", "RV,,LV"), ["--classes RV,,LV"]),
        (("prepare", "SOURCE", "-o", "OUT", "--spacing", "1_0,1,1"), ["--spacing 1_0,1,1"]),
        ((*BENCH, "--study", "mcsc-tabel3"), ["did you mean 'mcsc-table3'?"]),
        ((*BENCH, "--methods", "mcsc", *EQUAL), ["in its batch"]),
        ((*BENCH, "--methods", "mcsc", "--set", "training.weights_from=none"), ["none"]),
        ((*BENCH, "--methods", "mcsc", "--seeds", "a"), ["--seeds a"]),
        ((*BENCH, "--methods", "mcsc", "--seeds", "-1"), ["training.seed"]),
        ((*BENCH, "--methods", "mcsc", "--seeds", ","), ["--seeds"]),
        ((*BENCH, "--methods", "mcsc", "--set", "training.seed=3"), ["training.seed", "use --seeds"]),
        ((*BENCH, "--methods", "mcsc", "--labelled", "1,50"), ["50 patients"]),
        ((*BENCH, "--methods", "mcsc", "--on", "training"), ["--on training"]),
        ((*BENCH, "--methods", "mcsc", "--protocol", "stric"), ["did you mean 'strict'?"]),
        ((*BENCH, "--methods", "mcsc", "--device", "gpu"), ["--device gpu"]),
        ((*BENCH, "--methods", "mcsc", "--jobs", "0"), ["--jobs"]),
        (("demo", "-o", "OUT", "--patients", "2"), ["--patients"]),
        (("demo", "-o", "OUT", "--seed", "-2"), ["--seed -2"]),
        (("demo", "-o", "OUT", "--labelled", "none"), ["--labelled"]),
    ],
)  # fmt: skip
def test_wrong_words_are_refused_before_anything_is_written(
    tmp_path: Path,
    words: tuple[str, ...],
    fragments: list[str],
    data: Path,
    run: Path,
    phantom: Path,
) -> None:
    places = {
        "DATA": data, "RUN": run, "SOURCE": phantom, "IMAGES": phantom / "images",
        "LABELS": phantom / "labels", "OUT": tmp_path / "out",
    }  # fmt: skip
    before = tree(run)
    refused(call(*(places.get(word, word) for word in words)), *fragments)
    assert list(tmp_path.iterdir()) == []
    assert tree(run) == before


def test_resume_takes_no_other_options(data: Path, run: Path, tmp_path: Path) -> None:
    before = tree(run)
    for words in (
        ("--method", "mcsc"), ("--labelled", "3"), ("--labelled-seed", "1"), ("--seed", "1"),
        ("--preset", "demo"), ("--set", "training.iterations=9"), ("--overwrite",), ("--dry-run",),
    ):  # fmt: skip
        refused(call("train", "--resume", "-o", run, *words), "--resume", words[0])
    said = well(call("train", "--resume", "-o", run))
    assert "is finished: nothing to do" in said.out
    assert tree(run) == before
    refused(call("train", "--resume", "-o", tmp_path), tmp_path, "is not a run")


def test_a_training_ends_cleanly_in_time_and_goes_on(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "a run"
    words = ("train", data, "--method", "cross-teaching", "--labelled", "2", "-o", run)
    said = well(call(*words, *small(iterations="4"), "--time", "0s"))
    hint = f"semiseg train --resume -o '{run}'"
    assert "stopped after 1 iteration (" in said.out
    assert f"resume with: {hint}" in said.out
    assert not (run / "finished.json").exists()
    well(call("evaluate", run, "--on", "validation", "-o", tmp_path / "early"))
    well(call("train", "--resume", "-o", run, "--time", "1h30m"))
    assert json.loads((run / "finished.json").read_text())["iterations"] == 4


def test_overwrite_replaces_a_run_whole(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("train", data, "--method", "supervised", "--labelled", "2", "-o", run)
    well(call(*words, *small(iterations="2")))
    well(call("evaluate", run))
    refused(call(*words, *small(iterations="1"), "--dry-run"), run, "--overwrite")
    well(call(*words, *small(iterations="1"), "--overwrite"))
    assert json.loads((run / "finished.json").read_text())["iterations"] == 1
    assert not (run / "evaluation").exists()
    link = tmp_path / "link"
    link.symlink_to(run, target_is_directory=True)
    well(call(*words[:-1], link, *small(iterations="3"), "--overwrite"))
    assert json.loads((run / "finished.json").read_text())["iterations"] == 3


def test_the_origin_of_each_value_is_said(data: Path, tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text(
        yaml.safe_dump(
            {
                "summary": "ours", "method": "mcsc", "training": {"iterations": 7, "seed": 5},
                "mcsc": {"temperature": 0.2}, "cross-teaching": {"consistency_weight": 0.3},
            }
        )
    )  # fmt: skip
    words = ("train", data, "--preset", preset, "--labelled", "2", "-o", tmp_path / "run")
    said = well(call(*words, *small(iterations="8"), "--dry-run"))
    assert "method:     mcsc" in said.out
    assert "training.iterations = 8  (from --set)" in said.out
    assert f"training.seed = 5  (from preset '{preset}')" in said.out
    assert f"mcsc.temperature = 0.2  (from preset '{preset}')" in said.out
    assert "consistency_weight" not in said.out
    said = well(call("train", data, "--method", "supervised", "-o", tmp_path / "r", "--dry-run"))
    assert "data.size = 64  (from the data: the median slice is " in said.out


def test_paths_with_spaces_and_letters_of_any_language(phantom: Path, tmp_path: Path) -> None:
    """Relative paths, from another directory, through links, with the source locked."""
    home = tmp_path / "Ärzte und 患者"
    home.mkdir()
    (home / "früher").symlink_to(phantom, target_is_directory=True)
    before = tree(phantom)
    well(call("prepare", "früher", "-o", "a b/dáta", cwd=home))
    words = ("train", "a b/dáta", "--method", "supervised", "--labelled", "2", "-o", "läufe/1")
    well(call(*words, *small(iterations="1"), cwd=home))
    well(call("evaluate", "läufe/1", cwd=home))
    well(call("evaluate", home / "läufe" / "1", "--on", "validation"))  # from another directory
    (home / "new").mkdir()
    scan = nibabel.load(phantom / "images" / "phantom001_ED.nii.gz")
    nibabel.save(scan, home / "new" / "Müller, Jürgen.nii.gz")
    (home / "new" / "link.nii.gz").symlink_to(phantom / "images" / "phantom002_ES.nii.gz")
    well(call("predict", "läufe/1", "new", "-o", "Masken hier", cwd=home))
    made = {path.name for path in (home / "Masken hier").glob("*.nii.gz")}
    assert made == {"Müller, Jürgen.nii.gz", "link.nii.gz"}
    well(call("report", "1", cwd=home / "läufe"))
    assert (home / "läufe" / "1" / "report.html").is_file()
    (home / "data-link").symlink_to(home / "a b" / "dáta", target_is_directory=True)
    words = ("train", "data-link", "--method", "supervised", "--labelled", "2", "-o", "läufe/2")
    well(call(*words, *small(iterations="1"), cwd=home))
    well(call("evaluate", "läufe/2", cwd=home))
    assert tree(phantom) == before


def test_data_are_only_read(data: Path, tmp_path: Path) -> None:
    mine = tmp_path / "data"
    shutil.copytree(data, mine)
    for path in (mine, *mine.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = tree(mine)
    run = tmp_path / "run"
    words = ("train", mine, "--method", "mcsc", "--labelled", "2", "-o", run)
    well(call(*words, *small(iterations="2")))
    well(call("evaluate", run))
    well(call("report", run))
    assert tree(mine) == before


def test_listings() -> None:
    said = well(call("methods", "--json"))
    listed = json.loads(said.out)
    assert [entry["name"] for entry in listed] == list(methods.table())
    fields = {"name", "year", "summary", "citation", "dimensions", "equation", "reported"}
    assert all(set(entry) == fields for entry in listed)
    said = well(call("methods"))
    assert [line.split()[0] for line in said.out.splitlines()] == list(methods.table())
    assert re.search(r"^mean-teacher +2017  2D, 3D  predictions", said.out, re.M)
    listed = json.loads(well(call("presets", "--json")).out)
    names = {(entry["kind"], entry["name"]) for entry in listed}
    assert names >= {("preset", name) for name in presets.names()}
    assert names >= {("study", name) for name in presets.study_names()}
    assert all(entry["summary"] for entry in listed)
    said = well(call("presets"))
    assert all(name in said.out for name in presets.names())


@pytest.mark.parametrize("verb", list(VERBS))
def test_the_help_of_a_verb_mentions_its_options(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    said = well(call(verb, "--help"))
    assert f"Usage: semiseg {verb}" in said.out
    names = [name for parameter in VERBS[verb].params for name in parameter.opts]
    assert names
    assert [name for name in names if name not in said.out] == []
    helps = [getattr(parameter, "help", None) for parameter in VERBS[verb].params]
    assert all(helps)
    # paragraphs are wrapped only at the terminal's width
    assert all("\n" not in lines for lines in (VERBS[verb].help or "\n").split("\n\n"))


@pytest.mark.parametrize(
    ("verb", "option", "table"),
    [
        ("evaluate", "protocol", PROTOCOLS), ("benchmark", "protocol", PROTOCOLS),
        ("evaluate", "missing", MISSING), ("evaluate", "hd95", DEFINITIONS),
        ("prepare", "split", presets.split_names()), ("run", "split", presets.split_names()),
    ],
)  # fmt: skip
def test_the_help_repeats_every_name_of_a_table(
    verb: str, option: str, table: Collection[str]
) -> None:
    """The tables themselves are too slow to import for the help."""
    (text,) = (parameter.help for parameter in VERBS[verb].params if parameter.name == option)
    assert [name for name in table if name not in text] == []


def test_no_words_give_the_help() -> None:
    said = call()
    assert said.code == 2
    assert all(verb in said.out for verb in VERBS)
    assert "Traceback" not in said.all


def test_debug_shows_the_traceback_and_else_a_failure_of_ours_is_one_line(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("semiseg.workflows.evaluate.evaluate", fail)
    said = call("evaluate", run)
    assert said.code == 1
    assert len(said.err.splitlines()) == 1
    assert "RuntimeError: a bug" in said.err
    assert "--debug" in said.err
    with pytest.raises(RuntimeError, match="a bug"):
        call("evaluate", run, "--debug")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=["torch", "system"],
)
def test_a_lack_of_memory_is_one_sentence(
    run: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("semiseg.workflows.evaluate.evaluate", fail)
    said = call("evaluate", run)
    assert said.code == 1
    assert said.err.startswith("semiseg: out of memory (CPU or GPU): reduce")


def test_the_case_for_which_the_memory_does_not_suffice_is_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("semiseg.workflows.evaluate.score_prepared", fail)
    said = call("evaluate", run, "-o", tmp_path / "out")
    assert said.code == 1
    (line,) = (line for line in said.err.splitlines() if line.startswith("semiseg: "))
    assert re.match(r"semiseg: phantom\d+_\w+: not enough memory .* to predict and score it", line)


@pytest.mark.parametrize("words", [["--help"], ["methods"], ["train", "--help"]], ids=" ".join)
def test_nothing_heavy_is_imported_for_a_list_or_for_help(words: list[str]) -> None:
    """What makes them quick; ``benchmarks/startup.py`` measures the time."""
    heavy = {
        "torch", "lightning_fabric", "numpy", "scipy", "matplotlib", "nibabel", "h5py", "PIL",
        "pydantic_settings", "jinja2", "safetensors", "semiseg.config", "semiseg.data",
    }  # fmt: skip
    program = (
        "import sys, json, contextlib, io\n"
        "from semiseg.cli.main import main\n"
        f"sys.argv = ['semiseg', *{words}]\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert heavy & set(json.loads(done.stdout)) == set()


def test_a_closed_pipe_is_no_failure() -> None:
    process = subprocess.Popen(
        [*COMMAND, "presets"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert b"Traceback" not in err
    assert b"internal error" not in err


def test_every_section_of_a_preset_is_known() -> None:
    for name in presets.names():
        sections = set(presets.sections(presets.load(name)))
        assert sections <= {*SECTIONS, NETWORKS, *networks.table(), *methods.table()}


def test_probabilities_of_one_slice(run: Path, tmp_path: Path) -> None:
    """The mask of an image with two axes has two axes."""
    image = np.random.default_rng(0).integers(0, 500, (40, 37)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(image, np.diag([1.5, 1.5, 8, 1])), tmp_path / "flat.nii")
    well(call("predict", run, tmp_path / "flat.nii", "-o", tmp_path / "out"))
    assert nibabel.load(tmp_path / "out" / "flat.nii.gz").shape == (40, 37)


def test_settings_of_another_method_are_refused(data: Path, tmp_path: Path) -> None:
    words = ("train", data, "--method", "supervised", "-o", tmp_path / "run")
    refused(call(*words, "--set", "mcsc.temperature=1"), "option of mcsc", "method is supervised")
    assert not (tmp_path / "run").exists()


def test_without_a_preset_a_small_machine_takes_its_own(data: Path, tmp_path: Path) -> None:
    words = ("train", data, "-o", tmp_path / "run", "--dry-run", "--device", "cpu")
    few = ("--set", "training.batch_size=2", "--set", "training.labelled_batch_size=1")
    said = well(call(*words, *few, "--method", "supervised", "--set", "data.size=32")).out
    assert "training.iterations = 2000  (from preset 'cpu', because there is no GPU)" in said
    said = well(call(*words, *few, "--method", "cross-level")).out
    assert "data.size = 64  (from the data: the median slice is" in said
    assert "training.iterations = 2000  (from preset 'cpu', because there is no GPU)" in said
    for spelled in ("cross-level", "cross_level"):
        five = ("--set", f"{spelled}.patches=5")
        said = well(call(*words, *few, "--method", "cross-level", *five)).out
        assert "data.size = 80  (from the data: the median slice is" in said
    said = well(call(*words, *few, "--method", "mcsc", "--preset", "mcsc-acdc",
                     "--set", "data.size=32", "--set", "swin.pretrained=none")).out  # fmt: skip
    assert "no GPU" not in said


def test_data_sets_are_listed() -> None:
    said = well(call("datasets"))
    for name in ("acdc-hdf5", "acdc", "btcv", "kits19", "crag", "kvasir-seg", "isic2018", "volumes",
                 "nnunet", "decathlon", "synapse-prepared", "manifest", "dicom"):  # fmt: skip
        assert name in said.out
    rows = json.loads(well(call("datasets", "--json")).out)
    assert all(row["layout"] and row["where"] for row in rows)
