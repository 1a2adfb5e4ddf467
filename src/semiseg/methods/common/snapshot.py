"""A snapshot of a network for pseudo-labels, refreshed at given iterations.

The snapshot is a `frozen_copy`. It is part of the method's state dict, so a resumed run restores it:

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
    """Copy weights and buffers of ``network`` to ``snapshot`` if ``index`` is in ``at``.

    Call it at the beginning of a step. The snapshot is then the network after ``index`` updates.

    Args:
        snapshot: made by `semiseg.methods.common.teacher.frozen_copy`.
        network: the network that is trained.
        index: index of the step, from 0.
        at: iterations at which the snapshot is refreshed.
    """
    if index in at:
        snapshot.load_state_dict(network.state_dict())
