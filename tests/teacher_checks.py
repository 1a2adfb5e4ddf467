"""A check that the methods with a teacher share."""

from collections.abc import Set
from typing import ClassVar

from torch import Tensor

from semiseg.data.manifest import PreparedData
from semiseg.methods.base import Step
from semiseg.testing.case import MethodCase


class LateTeacher(MethodCase):
    """A method whose term ``consistency`` needs the teacher. Inherit it beside the conformance tests."""

    terms: ClassVar[Set[str]]

    def test_a_weight_of_0_needs_no_pass_of_the_teacher(self, small_data: PreparedData) -> None:
        config = self.config(small_data, f"{self.name}.consistency_from=0.5")
        method = self.build(small_data, config)
        seen: list[Tensor] = []
        method.teacher.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        early = method(self.batch(), Step(49, 100))
        assert set(early) == self.terms
        assert early["consistency"].item() == 0
        assert not seen
        assert method(self.batch(), Step(50, 100))["consistency"].item() > 0
        assert seen
