"""The base class of methods with a student and a teacher that is its moving average."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.task import Task
from semiseg.methods import base
from semiseg.methods.base import Method, Step, as_iterations
from semiseg.methods.common.consistency import ConsistencyOptions, consistency_weight
from semiseg.methods.common.frozen_pass import frozen_pass
from semiseg.methods.common.pseudo_label import soft_pseudo_label
from semiseg.methods.common.teacher import ema_decay_at, frozen_copy, update_ema
from semiseg.networks.build import build_network


class TeacherOptions(ConsistencyOptions, base.NetworkOptions):
    """Options of methods with a teacher."""

    ema_decay: float = Field(0.99, ge=0, lt=1, description="decay of the teacher")


class TeacherStudent(Method):
    """A student and a teacher. The student is used for inference; the teacher can predict too.

    The teacher's decay is ``min(1 - 1/(t + 1), ema_decay)``.
    """

    Options: ClassVar[type[base.Options]] = TeacherOptions
    networks: ClassVar[tuple[str, ...]] = ("student", "teacher")

    def __init__(self, task: Task, config: RunConfig) -> None:
        """See `Method`."""
        super().__init__(task, config)
        self.student = build_network(task, config, self.options.network)
        self.teacher = frozen_copy(self.student)

    def student_logits(self, batch: Batch) -> Tensor:
        """Return the student's logits [B, K, ...] of all images, labelled ones first."""
        return self.student.classify(self.features(self.student, batch.images, batch.labelled))

    def teacher_probabilities(
        self, images: Tensor, labelled: int = 0, dropout: bool = False
    ) -> Tensor:
        """Return the teacher's softmax [B, K, ...] in a `frozen_pass`.

        Args:
            images: [B, C, ...], labelled images first.
            labelled: their number, for ``training.batch_norm`` (see `Method.features`).
            dropout: whether dropout is on.
        """
        with frozen_pass(self.teacher, dropout):
            features = self.features(self.teacher, images, labelled)
            return soft_pseudo_label(self.teacher.classify(features))

    def consistency_weight(self, step: Step) -> float:
        """Return w(t) (see `semiseg.methods.common.consistency.consistency_weight`)."""
        return consistency_weight(self.options, step)

    def after_step(self, step: Step) -> None:
        """Update the teacher."""
        update_ema(self.teacher, self.student, ema_decay_at(step.index, self.options.ema_decay))

    def active_from(self, iterations: int) -> dict[str, int]:
        """See `Method`."""
        if not self.options.consistency_weight:
            return {}
        return {"consistency": as_iterations(self.options.consistency_from, iterations)}
