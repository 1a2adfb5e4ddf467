"""semiseg: a trained, measured segmenter from a few labelled and many unlabelled images.

Every verb of the command line is a function of the same name and arguments; `load` gives a trained
network that takes arrays. Each is imported where it is first used, so that ``import semiseg`` takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # for editors and type checkers; at run time `__getattr__` imports them
    from semiseg.workflows.benchmark import benchmark as benchmark
    from semiseg.workflows.evaluate import evaluate as evaluate
    from semiseg.workflows.inspect import inspect as inspect
    from semiseg.workflows.model import load as load
    from semiseg.workflows.predict import predict as predict
    from semiseg.workflows.prepare import prepare as prepare
    from semiseg.workflows.report import report as report
    from semiseg.workflows.run import run as run
    from semiseg.workflows.train import train as train

_MODULES = {
    name: f"semiseg.workflows.{'model' if name == 'load' else name}"
    for name in (
        "prepare", "inspect", "train", "evaluate", "predict", "benchmark", "report", "run", "load",
    )
}  # fmt: skip

__all__ = [
    "benchmark", "evaluate", "inspect", "load", "predict", "prepare", "report", "run", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'semiseg' has no attribute '{name}'")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
