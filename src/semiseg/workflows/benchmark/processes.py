"""Execute the runs of a benchmark one after another, or several at a time in separate processes."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from semiseg.console import Console
from semiseg.workflows.benchmark.plan import PlannedRun
from semiseg.workflows.benchmark.run import Execution, execute_run


def execute_runs(
    todo: Sequence[PlannedRun], execution: Execution, jobs: int, console: Console
) -> list[str]:
    """Execute the runs ``todo``, ``jobs`` at a time. A run that fails does not stop the others.

    Returns:
        The titles of the runs that failed.
    """
    failed: list[str] = []

    def note(run: PlannedRun, problem: str | None) -> None:
        if problem is None:
            console.info(f"done: {run.title}")
        else:
            console.info(f"FAILED: {run.title}: {problem}")
            failed.append(run.title)

    if jobs <= 1:
        for run in todo:
            console.info(f"--- {run.title}")
            note(run, execute_run(run, execution, console))
        return failed
    with console.bar("runs", len(todo)) as bar:
        for run, problem in _in_processes(todo, execution, jobs):
            note(run, problem)
            bar.advance()
    return failed


def _in_processes(
    todo: Sequence[PlannedRun], execution: Execution, jobs: int
) -> Iterator[tuple[PlannedRun, str | None]]:
    """Start one process per run, ``jobs`` at a time; yield each run and its error when it ends.

    A killed process does not affect the others. When the generator is closed, all processes are stopped.
    """
    waiting = list(todo)
    running: dict[Any, tuple[Any, Any, PlannedRun]] = {}  # by the process's sentinel
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                process, answer = _start(run, execution)
                running[process.sentinel] = (process, answer, run)
            for sentinel in multiprocessing.connection.wait(list(running)):
                process, answer, run = running.pop(sentinel)
                process.join()
                yield run, _problem(process, answer)
    finally:
        for process, _, _ in running.values():
            process.terminate()
        for process, _, _ in running.values():
            process.join()


def _start(run: PlannedRun, execution: Execution) -> tuple[Any, Any]:
    """Start the process of a run. Returns the process and the connection that receives its result."""
    context = multiprocessing.get_context("spawn")  # a forked copy of torch's threads can hang
    answer, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, run, execution), daemon=True)
    with _ignoring_interrupts():
        process.start()
    sender.close()  # only the child keeps it open, so that the connection ends with the child
    return process, answer


def _problem(process: Any, answer: Any) -> str | None:
    """The result of an ended process, or a message that it was killed."""
    try:
        said: str | None = answer.recv()
    except EOFError:
        return (
            f"its process ended with exit code {process.exitcode} (too little memory?); "
            "to resume, run the same command again"
        )
    return said


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """A process started here ignores Ctrl-C; its parent receives the signal and stops the process."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set signal handlers
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _child(sender: Any, run: PlannedRun, execution: Execution) -> None:
    """Call `execute_run` in a process that ends with its parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow(join: Callable[[], None] = parent.join) -> None:
            join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
    sender.send(execute_run(run, execution))
