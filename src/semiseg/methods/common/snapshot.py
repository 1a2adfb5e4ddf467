"""A snapshot of a network for pseudo-labels, refreshed at given iterations.

The snapshot is a `frozen_copy`. It is part of the method's state dict, so a resumed run restores it:

    self.guide = frozen_copy(self.student)

    def forward(self, batch, step):
        refresh_snapshot(self.guide, self.student, step, at={1000, 2000})
        target = predict_probabilities(self.guide, batch.images[batch.labelled :])
"""

from collections.abc import Collection

from torch import nn

from semiseg.methods.base import Step


def refresh_snapshot(
    snapshot: nn.Module, network: nn.Module, step: Step, at: Collection[int]
) -> None:
    """Copy weights and buffers of ``network`` to ``snapshot`` if ``step`` is the first to reach one of
    ``at``.

    Call it at the beginning of a step.

    Args:
        snapshot: made by `semiseg.methods.common.teacher.frozen_copy`.
        network: the network that is trained.
        step: the current step.
        at: iterations at which the snapshot is refreshed.
    """
    if any(step.reached(index) for index in at):
        snapshot.load_state_dict(network.state_dict())
