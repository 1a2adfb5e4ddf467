"""``semiseg benchmark``: interrupted, resumed, extended, several at a time, one table."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commandline import call, process, refused, small, start, tree, well

from semiseg.workflows.benchmark import benchmark

LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it reads /proc")


def table(bench: Path) -> set[tuple[str, str, str]]:
    """(variant, labelled, network) of the table's rows."""
    with (bench / "table.csv").open(newline="") as file:
        return {(row["method"], row["labelled"], row["network"]) for row in csv.DictReader(file)}


def finished(bench: Path) -> set[str]:
    return {path.parent.name for path in bench.glob("runs/*/finished.json")}


def wait_for(happened: object, seconds: float = 60) -> None:
    """Until ``happened()``, or fail."""
    assert callable(happened)
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def test_interrupted_resumed_and_extended(data: Path, tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    words = ("benchmark", data, "-o", bench, "--labelled", "1,2", "--on", "test")
    settings = small(iterations="40", checkpoint_every="2")
    both = (*words, "--methods", "supervised,cross-teaching", *settings)

    going = start(*both)
    wait_for(lambda: "cross-teaching-1-s0" in finished(bench) or going.poll() is not None)
    wait_for(lambda: list(bench.glob("runs/supervised-2-s0/checkpoints/*.pt")))
    going.send_signal(signal.SIGINT)
    out, err = going.communicate(timeout=60)
    assert going.returncode == 130, err
    assert "done: supervised, 1 labelled, seed 0" in out
    last = err.splitlines()[-1]
    assert last.startswith("semiseg: stopped; the same command goes on")
    assert "Traceback" not in err
    early = finished(bench)
    assert early < {f"{m}-{n}-s0" for m in ("supervised", "cross-teaching") for n in (1, 2)}
    assert not (bench / "table.md").exists()

    done = {name: tree(bench / "runs" / name / "weights") for name in early}
    said = well(call("benchmark", "-o", bench))
    assert f"4 runs, {len(early)} of them finished" in said.out
    assert "resuming" in said.out
    assert {name: tree(bench / "runs" / name / "weights") for name in early} == done
    plan = {(m, n) for m in ("supervised", "cross-teaching") for n in "12"}
    expected = {(m, n, "cnn") for m, n in plan} | {
        ("cross-teaching", n, "transformer") for n in "12"
    }
    assert table(bench) == expected
    assert "| " in (bench / "table.md").read_text()
    assert (bench / "runs.csv").is_file()

    before = tree(bench / "runs")
    said = well(call(*both))
    assert "4 runs, 4 of them finished" in said.out
    assert tree(bench / "runs") == before

    mcsc = (*words, "--methods", "mcsc", *settings)
    said = well(process(*mcsc, "--jobs", "2"))
    assert "6 runs, 4 of them finished" in said.out
    assert "done: mcsc, 1 labelled, seed 0" in said.out
    assert table(bench) == expected | {
        ("mcsc", n, network) for n in "12" for network in ("cnn", "transformer")
    }
    assert tree(bench / "runs").items() >= before.items()
    well(call("report", bench))
    assert "cross-teaching" in (bench / "report.html").read_text()


def test_an_uninterrupted_benchmark_gives_the_same_numbers(data: Path, tmp_path: Path) -> None:
    words = ("--methods", "supervised", "--labelled", "2", *small(iterations="4"))
    well(call("benchmark", data, "-o", tmp_path / "whole", *words))
    cut = tmp_path / "cut" / "runs" / "supervised-2-s0"
    well(call("benchmark", data, "-o", tmp_path / "cut", *words, "--dry-run"))
    assert not (tmp_path / "cut").exists()
    train = ("train", data, "--method", "supervised", "--labelled", "2", "--draw", "0", "--seed")
    well(call(*train, "0", "-o", cut, *small(iterations="4"), "--time", "0"))
    (tmp_path / "cut" / "benchmark.json").write_text(
        (tmp_path / "whole" / "benchmark.json").read_text()
    )
    well(call("benchmark", "-o", tmp_path / "cut"))
    tables = [(tmp_path / name / "table.csv").read_text() for name in ("whole", "cut")]
    assert tables[0] == tables[1]


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
    said = well(call(*words[:-1], "supervised,supervised", *small(iterations="1"), "--dry-run"))
    assert "1 run, 1 of them finished" in said.out
    (bench / "benchmark.json").write_text("{")
    refused(call("benchmark", "-o", bench), bench / "benchmark.json")


def test_a_run_that_fails_does_not_stop_the_others(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semiseg.methods.supervised import Supervised

    forward = Supervised.forward

    def unlucky(self: Supervised, batch: object, step: object) -> object:
        if self.unlucky and step.index == 1:  # type: ignore[attr-defined]
            raise ZeroDivisionError("of all things")
        return forward(self, batch, step)  # type: ignore[arg-type]

    monkeypatch.setattr(Supervised, "forward", unlucky)
    monkeypatch.setattr(Supervised, "unlucky", True, raising=False)
    bench = tmp_path / "bench"
    words = ("benchmark", data, "-o", bench, "--labelled", "2")
    said = call(*words, "--methods", "supervised,cross-teaching", *small(iterations="2"))
    assert said.code == 1
    assert "FAILED: supervised, 2 labelled, seed 0: ZeroDivisionError: of all things" in said.out
    assert "done: cross-teaching" in said.out
    error = bench / "runs" / "supervised-2-s0" / "error.txt"
    assert "Traceback" in error.read_text()
    assert table(bench) == {("cross-teaching", "2", n) for n in ("cnn", "transformer")}

    monkeypatch.setattr(Supervised, "unlucky", False)
    well(call("benchmark", "-o", bench))
    assert not error.exists()
    assert ("supervised", "2", "cnn") in table(bench)


def children(parent: int) -> set[int]:
    """Process ids whose parent is ``parent``."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(words[1]) == parent and words[0] != "Z":
            found.add(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@LINUX
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_a_stopped_benchmark(
    data: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    bench = tmp_path / "bench"
    going = start(
        "benchmark", data, "-o", bench, "--methods", "supervised", "--labelled", "1,2",
        *small(iterations="100000"), "--jobs", "2",
    )  # fmt: skip
    wait_for(lambda: len(list(bench.glob("runs/*/checkpoints/*.pt"))) > 1 or going.poll())
    workers = children(going.pid)
    assert len(workers) >= 2
    going.send_signal(stop)
    _, err = going.communicate(timeout=60)
    assert going.returncode == (130 if stop == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in err
    wait_for(lambda: not any(alive(pid) for pid in workers), seconds=20)


def test_a_killed_run_takes_no_other_with_it(data: Path, tmp_path: Path) -> None:
    """As where memory runs out: the operating system kills one process of several."""
    bench = tmp_path / "bench"
    program = (
        "import os, signal, sys\n"
        "import semiseg.workflows.benchmark as module\n"
        "real = module.one_run\n"
        "def one_run(run, *rest):\n"
        "    if run.labelled == '1':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(run, *rest)\n"
        "module.one_run = one_run\n"  # also in the children, which import this file
        "if __name__ == '__main__':\n"
        "    settings = sys.argv[3:]\n"
        "    result = module.benchmark(sys.argv[1], sys.argv[2], methods_=['supervised'],\n"
        "        labelled=['1', '2'], settings=settings, jobs=2)\n"
        "    print('failed:', result.failed, 'finished:', result.finished)\n"
    )
    script = tmp_path / "killed.py"
    script.write_text(program)
    settings = [word for word in small(iterations="2") if word != "--set"]
    done = subprocess.run(
        [sys.executable, str(script), str(data), str(bench), *settings],
        capture_output=True, text=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "FAILED: supervised, 1 labelled, seed 0: its process ended with exit code -9" in done.stdout
    assert "failed: ('supervised, 1 labelled, seed 0',) finished: 1" in done.stdout
    result = benchmark(None, bench)
    assert (result.finished, result.failed) == (2, ())
