"""``semiseg benchmark``: interrupt, resume and extend it, run several at a time, one table."""

import csv
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import call, refused, small, start, tree, well
from torch import Tensor

from semiseg.data.batch import Batch
from semiseg.methods.base import Step
from semiseg.methods.supervised import Supervised
from semiseg.reporting.results import read_benchmark
from semiseg.training.run_folder import RunFolder
from semiseg.workflows.benchmark.timing import RunTime, share_of_time, total_words

LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it reads /proc")


def table(bench: Path) -> set[tuple[str, str, str]]:
    """(variant, labelled, network) of the table's rows."""
    with (bench / "table.csv").open(newline="") as file:
        return {(row["method"], row["labelled"], row["network"]) for row in csv.DictReader(file)}


def finished(bench: Path) -> set[str]:
    return {path.parent.name for path in bench.glob("runs/*/finished.json")}


def wait_for(happened: Callable[[], object], seconds: float = 180) -> None:
    """Wait until ``happened()``, or fail."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def children(parent: int) -> list[int]:
    """The ids of the child processes of ``parent``, in the order of their start."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # the process has ended
        if int(words[1]) == parent and words[0] != "Z":
            found.append((int(words[19]), int(stat.parent.name)))
    return [pid for _, pid in sorted(found)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@LINUX
def test_interrupted_resumed_and_extended(data: Path, tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    words = ("benchmark", data, "-o", bench, "--labelled", "1,2", "--on", "test")
    settings = small(iterations="30", validate_every="10")
    both = (*words, "--methods", "supervised,cross-teaching", *settings)

    going = start(*both, "--jobs", "2")
    wait_for(lambda: finished(bench) or going.poll() is not None)
    workers = children(going.pid)
    assert workers
    going.send_signal(signal.SIGINT)
    _, err = going.communicate(timeout=60)
    assert going.returncode == 130, err
    assert err.splitlines()[-1].startswith(
        "semiseg: stopped; to resume, run the same command again"
    )
    assert "Traceback" not in err
    wait_for(lambda: not any(alive(pid) for pid in workers), seconds=20)
    early = finished(bench)
    assert early < {f"{m}-{n}-s0" for m in ("supervised", "cross-teaching") for n in (1, 2)}
    assert not (bench / "table.md").exists()

    done = {name: tree(bench / "runs" / name / "weights") for name in early}
    said = well(call("benchmark", "-o", bench))
    assert "4 runs, " in said.out
    assert {name: tree(bench / "runs" / name / "weights") for name in early} == done
    plan = {(m, n) for m in ("supervised", "cross-teaching") for n in "12"}
    expected = {(m, n, "unet") for m, n in plan} | {("cross-teaching", n, "swin") for n in "12"}
    assert table(bench) == expected
    assert "| " in (bench / "table.md").read_text()
    assert (bench / "runs.csv").is_file()

    before = tree(bench / "runs")
    said = well(call(*both))
    assert "4 runs, 4 of them finished" in said.out
    assert tree(bench / "runs") == before

    said = well(call(*words, "--methods", "mcsc", *settings))
    assert "6 runs, 4 of them finished" in said.out
    assert "done: mcsc, 1 labelled, seed 0" in said.out
    assert table(bench) == expected | {
        ("mcsc", n, network) for n in "12" for network in ("unet", "swin")
    }
    assert tree(bench / "runs").items() >= before.items()
    well(call("report", bench))
    assert "cross-teaching" in (bench / "report.html").read_text()


def test_an_interrupted_benchmark_gives_the_same_numbers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--methods", "supervised", "--labelled", "2", *small(iterations="6"))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    well(call("benchmark", data, "-o", whole, *words))
    forward = Supervised.forward

    def interrupted(self: Supervised, batch: Batch, step: Step) -> dict[str, Tensor]:
        if step.index == 4:
            raise KeyboardInterrupt
        return forward(self, batch, step)

    with monkeypatch.context() as patch:
        patch.setattr(Supervised, "forward", interrupted)
        said = call("benchmark", data, "-o", cut, *words)
    assert said.code == 130
    assert finished(cut) == set()
    said = well(call("benchmark", "-o", cut))
    assert "resuming" in said.out
    assert (whole / "table.csv").read_text() == (cut / "table.csv").read_text()


def test_a_dry_run_lists_the_runs(data: Path, tmp_path: Path) -> None:
    words = ("benchmark", data, "-o", tmp_path / "bench", "--study", "mcsc-table3")
    said = well(call(*words, "--labelled", "1,2", "--seeds", "0,1", "--dry-run", *small()))
    assert "20 runs, 0 of them finished" in said.out
    assert said.out.count("would run: ") == 20
    assert list(tmp_path.iterdir()) == []


def test_it_is_said_where_a_row_has_its_own_word(data: Path, tmp_path: Path) -> None:
    words = ("benchmark", data, "-o", tmp_path / "bench", "--dry-run", "--labelled", "2", *small())
    more = ("--set", "plgcl.warmup=0.1", "--set", "data.size=64")
    said = well(call(*words, "--study", "plgcl-table2", *more))
    assert "plgcl.warmup: the study overrides --set in 'all, no warm-up'\n" in said.out
    assert "data.size:" not in said.out
    # the baseline uses as many labelled images, regardless of the batch size
    well(call(*words, "--study", "cross-level-table1"))


def test_settings_without_effect_in_any_row_are_said(data: Path, tmp_path: Path) -> None:
    words = ("benchmark", data, "-o", tmp_path / "bench", "--dry-run", "--labelled", "2", *small())
    more = ("--set", "mcsc.temperature=1", "--set", "training.power=1")
    alone = well(call(*words, "--methods", "supervised", *more)).out
    assert "mcsc.temperature has no effect: no row of the benchmark is mcsc\n" in alone
    assert "swin.embed_dim has no effect: supervised trains unet\n" in alone
    assert "training.power" not in alone
    both = well(call(*words, "--methods", "supervised,mcsc", *more)).out
    assert "has no effect" not in both
    study = tmp_path / "study.yaml"
    study.write_text("variants: {a: {method: supervised, swin: {window: 4}}}\n")
    said = well(call(*words, "--study", study)).out
    assert "a: swin.window has no effect: supervised trains unet\n" in said
    study.write_text("variants: {a: {method: supervised, mcsc: {temperature: 1}}}\n")
    refused(call(*words, "--study", study), study, "variant 'a' has the section 'mcsc'")


def test_what_would_not_be_comparable_is_refused(data: Path, tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    words = ("benchmark", data, "-o", bench, "--labelled", "2", "--methods", "supervised")
    well(call(*words, *small(iterations="1")))
    before = tree(bench)
    refused(call(*words, *small(iterations="2")), bench, "not be comparable")
    refused(call(*words, *small(iterations="1"), "--on", "test"), bench, "not be comparable")
    refused(call("benchmark", "-o", bench, "--labelled", "1"), "--methods")
    refused(call("benchmark", "-o", bench, "--seeds", "1,2"), "--methods")
    assert tree(bench) == before
    twice = call(*words[:-1], "supervised,supervised", *small(iterations="1"), "--dry-run")
    refused(twice, "--methods names supervised twice")
    said = well(call(*words, *small(iterations="1"), "--dry-run"))
    assert "1 run, 1 of them finished" in said.out
    (bench / "benchmark.json").write_text("{")
    refused(call("benchmark", "-o", bench), bench / "benchmark.json")


def test_a_list_of_patients_that_has_changed_is_refused(data: Path, tmp_path: Path) -> None:
    names, bench = tmp_path / "list.txt", tmp_path / "bench"
    patients = json.loads((data / "manifest.json").read_text())["split"]["train"]
    names.write_text(f"{patients[0]}\n")
    words = ("benchmark", data, "-o", bench, "--labelled", names, "--methods")
    well(call(*words, "supervised", *small(iterations="1")))
    names.write_text(f"{patients[1]}\n")
    before = tree(bench)
    refused(call(*words, "cross-teaching", *small(iterations="1")), names, "has changed")
    refused(call(*words, "supervised", *small(iterations="1")), names, "has changed")
    assert tree(bench) == before
    names.unlink()  # finished runs do not need it
    well(call("benchmark", "-o", bench))


def test_a_run_that_fails_does_not_stop_the_others(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, luck = Supervised.forward, {"good": False}

    def unlucky(self: Supervised, batch: Batch, step: Step) -> dict[str, Tensor]:
        if not luck["good"] and step.index == 1:
            raise ZeroDivisionError("of all things")
        return forward(self, batch, step)

    monkeypatch.setattr(Supervised, "forward", unlucky)
    bench = tmp_path / "bench"
    words = ("benchmark", data, "-o", bench, "--labelled", "2")
    said = call(*words, "--methods", "supervised,cross-teaching", *small(iterations="2"))
    assert said.code == 1
    assert "FAILED: supervised, 2 labelled, seed 0: ZeroDivisionError: of all things" in said.out
    assert "done: cross-teaching" in said.out
    error = bench / "runs" / "supervised-2-s0" / "error.txt"
    assert "Traceback" in error.read_text()
    assert table(bench) == {("cross-teaching", "2", n) for n in ("unet", "swin")}

    luck["good"] = True
    well(call("benchmark", "-o", bench))
    assert not error.exists()
    assert ("supervised", "2", "unet") in table(bench)


@LINUX
def test_no_process_outlives_a_killed_benchmark(data: Path, tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    going = start(
        "benchmark", data, "-o", bench, "--methods", "supervised", "--labelled", "1",
        *small(iterations="100000"), "--jobs", "2",
    )  # fmt: skip
    try:
        wait_for(lambda: list(bench.glob("runs/*/checkpoints/*.pt")) or going.poll() is not None)
        workers = children(going.pid)
        assert workers
    finally:  # a failed test must not leave a training running
        going.kill()
        going.communicate(timeout=60)
    wait_for(lambda: not any(alive(pid) for pid in workers), seconds=20)


@LINUX
def test_a_killed_run_takes_no_other_with_it(data: Path, tmp_path: Path) -> None:
    """As when memory runs out, and the operating system kills one of several processes."""
    bench = tmp_path / "bench"

    def kill_the_first() -> None:
        wait_for(lambda: list(bench.glob("runs/supervised-1-s0/checkpoints/*.pt")))
        first = [pid for pid in children(os.getpid()) if pid not in before][-2:][0]
        os.kill(first, signal.SIGKILL)

    before = children(os.getpid())
    killer = threading.Thread(target=kill_the_first)
    killer.start()
    words = ("benchmark", data, "-o", bench, "--methods", "supervised", "--labelled", "1,2")
    said = call(*words, *small(iterations="300", validate_every="100"), "--jobs", "2")
    killer.join()
    assert said.code == 1
    assert "FAILED: supervised, 1 labelled, seed 0: its process ended with exit code -9" in said.out
    assert "done: supervised, 2 labelled, seed 0" in said.out
    assert table(bench) == {("supervised", "2", "unet")}
    well(call("benchmark", "-o", bench))
    assert table(bench) == {("supervised", n, "unet") for n in "12"}


def test_a_time_is_divided_among_the_runs(data: Path, tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    sets = small()
    at = sets.index("training.iterations=6")
    words = (
        "benchmark",
        data,
        "-o",
        bench,
        "--methods",
        "supervised",
        "--labelled",
        "2",
        "--on",
        "test",
    )
    refused(call(*words, "--time", "4s", *sets), "--time and training.iterations")
    sets = sets[: at - 1] + sets[at + 1 :]
    dry = well(call(*words, "--seeds", "0,1", "--time", "4s", "--dry-run", *sets))
    assert "dry run: trainings 1 s each, 1 s together" in dry.out
    assert not bench.exists()
    said = well(call(*words, "--seeds", "0,1", "--time", "4s", *sets))
    assert "every training takes 1 s" in said.out
    plan = json.loads((bench / "benchmark.json").read_text())["plan"]
    assert plan["time"] == 4
    assert plan["seconds"] == pytest.approx(0.6)  # at least
    refused(call(*words, "--seeds", "2", "--time", "9s", *sets), "leave out --time")
    well(call(*words, "--seeds", "2", *sets))
    for seed in range(3):
        training = RunFolder(bench / "runs" / f"supervised-2-s{seed}").config().training
        assert training.seconds is not None
        assert 0 < training.seconds <= plan["seconds"]  # less the time of measuring a step
    with (bench / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(
        float(r["dice_low"]) <= float(r["dice"]) <= float(r["dice_high"])
        for r in rows
        if r["dice_low"]
    )


def test_shares_of_the_time() -> None:
    times = [RunTime(60.0, 10.0), RunTime(80.0, 20.0)] * 2
    assert share_of_time(400.0, 0.0, times, 1) == 80.0
    assert share_of_time(400.0, 40.0, times, 2) == 160.0
    assert share_of_time(40.0, 0.0, times, 1) == 3.0  # the scores take longer than the time
    assert "4 min 40 s together, scoring 1 min 00 s; about 2 min 50 s" in total_words(
        times, None, 2
    )
    assert "nothing is left" in total_words([], 80.0, 2)


@pytest.mark.parametrize(
    ("on", "given", "scored"),
    [
        ("validation", (), "last"),
        ("validation", ("--weights", "best"), "best"),
        ("test", (), "best"),
    ],
)
def test_the_best_weights_are_not_scored_on_the_cases_that_chose_them(
    data: Path, tmp_path: Path, on: str, given: tuple[str, ...], scored: str
) -> None:
    bench = tmp_path / "bench"
    words = ("benchmark", data, "-o", bench, "--methods", "cross-teaching", "--labelled", "2")
    well(call(*words, "--on", on, *given, *small(iterations="4", validate_every="2")))
    run = bench / "runs" / "cross-teaching-2-s0"
    ending = "-last" if scored == "last" else ""
    names = {path.name for path in (run / "evaluation").iterdir()}
    assert names == {f"{on}-unet{ending}", f"{on}-swin{ending}"}
    summary = json.loads((run / "evaluation" / f"{on}-unet{ending}" / "summary.json").read_text())
    assert summary["of"]["weights"] == scored
    above = (bench / "table.md").read_text()
    assert ("weights are those of the last iteration" in above) == (scored == "last")
    assert ("optimistic" in above) == (on == "validation" and scored == "best")
    assert table(bench) == {("cross-teaching", "2", "unet"), ("cross-teaching", "2", "swin")}
    well(call("report", bench))
    page = (bench / "report.html").read_text()
    assert "unet-last" not in page
    assert "swin" in page
    # other evaluations of a run do not count
    well(call("evaluate", run, "--on", on, "--weights", "best" if scored == "last" else "last"))
    found = read_benchmark(bench).scored
    assert [(s.network, s.default, s.weights) for s in found] == [
        ("unet", True, scored), ("swin", False, scored),
    ]  # fmt: skip
    other = "best" if scored == "last" else "last"
    said = call("benchmark", "-o", bench, "--on", on, "--weights", other)
    assert said.code == 2
    assert "give --methods" in said.err


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_a_precision_that_the_device_lacks_is_refused_first(
    data: Path, tmp_path: Path, precision: str
) -> None:
    words = ("benchmark", data, "-o", tmp_path / "b", "--methods", "supervised")
    settings = (
        "--set",
        "data.dimensions=3",
        "--set",
        "data.patch=[16,16,16]",
        "--set",
        f"training.precision={precision}",
    )
    refused(call(*words, *settings, "--device", "cpu"), "training.precision")
    assert not (tmp_path / "b").exists()


def test_weights_of_an_iteration_are_no_weights_of_a_benchmark(data: Path, tmp_path: Path) -> None:
    words = ("benchmark", data, "-o", tmp_path / "b", "--methods", "supervised")
    refused(call(*words, "--weights", "step-2"), "--weights step-2: choose best or last")
