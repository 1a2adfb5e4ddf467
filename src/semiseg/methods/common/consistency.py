"""The weight of a consistency that rises during a run and may start late."""

from pydantic import Field

from semiseg.methods import base
from semiseg.methods.base import Step, as_iterations
from semiseg.methods.common.ramp_up import sigmoid_rampup


class ConsistencyOptions(base.Options):
    """Options of `consistency_weight`."""

    consistency_weight: float = Field(0.1, ge=0, description="final weight of the consistency")
    consistency_from: float = Field(
        0.0, ge=0, description="start of the consistency: fraction of the run, or iteration if >= 1"
    )


def consistency_rampup(options: ConsistencyOptions, step: Step) -> float:
    """Return ``exp(-5 (1 - t/T)^2)``, 0 before ``consistency_from``."""
    if step.index < as_iterations(options.consistency_from, step.total):
        return 0.0
    return sigmoid_rampup(step.fraction)


def consistency_weight(options: ConsistencyOptions, step: Step) -> float:
    """Return ``w(t) = consistency_weight exp(-5 (1 - t/T)^2)``, 0 before ``consistency_from``."""
    return options.consistency_weight * consistency_rampup(options, step)
