"""An earlier state of a network as the source of pseudo-labels, refreshed at given iterations.

The snapshot is a `frozen_copy`, so it lies in the method's state dict and a resumed run has the same one:

    self.guide = frozen_copy(self.student)

    def forward(self, batch, step):
        refresh_snapshot(self.guide, self.student, step.index, at={1000, 2000})
        target = predict_probabilities(self.guide, batch.images[batch.labelled :])
"""

from collections.abc import Collection

from torch import nn


def refresh_snapshot(
    snapshot: nn.Module, network: nn.Module, index: int, at: Collection[int]
) -> None:
    """Copy weights and buffers of ``network`` to ``snapshot`` if ``index`` is one of ``at``.

    Call it at the beginning of a step: the snapshot is then the network after ``index`` updates.

    Args:
        snapshot: of `semiseg.methods.common.teacher.frozen_copy`.
        network: the network that learns.
        index: of the step, from 0.
        at: iterations at which the snapshot is taken.
    """
    if index in at:
        snapshot.load_state_dict(network.state_dict())
