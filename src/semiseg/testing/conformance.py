"""What every method owes. A test class of a method inherits `MethodConformance` and names itself."""

import itertools
import math
from collections.abc import Set
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.evaluation.overlap import dice
from semiseg.methods.base import Method, Step
from semiseg.testing.case import (
    CLASSES,
    FIRST_LABELLED,
    LABELLED,
    UNLABELLED,
    InterruptionError,
    MethodCase,
    equal,
    total,
)
from semiseg.training.loop import seed_step

EARLY, LATE = Step(0, 100), Step(99, 100)
GOLDEN_STEPS = (0, 5, 10, 19)


class MethodConformance(MethodCase):
    """Checks that are the same for all methods. One class for each dimension that a method claims.

    A class needs ``name``, ``terms`` and ``golden``; without ``golden``, its test prints the values.
    """

    terms: ClassVar[Set[str]] = frozenset()
    """Names of the loss terms late in a run."""
    golden: ClassVar[dict[int, float]] = {}
    """The loss at some of 20 steps (see `test_the_golden_curve`)."""
    overfit_steps: ClassVar[int] = 40

    def dropout(self, rate: float) -> str:
        """The setting of the U-Net's dropout."""
        return f"unet.dropout={[rate] * (5 if self.dimensions == 2 else 3)}"

    def test_terms_are_named_and_finite(self, data: PreparedData) -> None:
        method = self.build(data, self.config(data))
        for step in (EARLY, Step(50, 100), LATE):
            terms = method(self.batch(), step)
            assert all(term.ndim == 0 and torch.isfinite(term) for term in terms.values())
            assert set(terms) <= self.terms or not self.terms
        assert self.terms, (
            f"{type(self).__name__} has no terms; late in a run, they are {set(terms)}"
        )
        assert set(terms) == self.terms

    def test_flat_images_give_finite_losses(self, data: PreparedData) -> None:
        method = self.build(data, self.config(data))
        images = torch.zeros(LABELLED + UNLABELLED, 1, *self.shape)
        labels = torch.zeros(LABELLED, *self.shape).long()
        terms = method(self.as_batch(images, labels), LATE)
        total(terms).backward()
        assert all(torch.isfinite(term) for term in terms.values())
        assert gradients_are_finite(method)

    def test_a_batch_of_which_everything_is_ignored(self, data: PreparedData) -> None:
        """Finite; and without labels that say anything, no supervised term."""
        method = self.build(data, self.config(data))
        batch = self.batch()
        batch.labels.fill_(IGNORE_INDEX)
        for step in (EARLY, LATE):
            terms = method(batch, step)
            total(terms).backward()
            assert all(torch.isfinite(term) for term in terms.values())
            supervised = [term.item() for name, term in terms.items() if "supervised" in name]
            assert supervised
            assert not any(supervised)
        assert gradients_are_finite(method)

    def test_what_is_ignored_has_no_label(self, data: PreparedData) -> None:
        """Half of each image ignored: other terms than those of whole labels, and no trace of 255."""
        method = self.build(data, self.config(data))
        batch = self.batch()
        losses = []
        for part in (0, self.shape[0] // 2):
            batch.labels[:, :part] = IGNORE_INDEX
            seed_step(0, 0, 0)
            terms = method(batch, LATE)
            assert all(torch.isfinite(term) for term in terms.values())
            losses.append(sum(t.item() for name, t in terms.items() if "supervised" in name))
        assert 0 < losses[1] != losses[0]

    def test_gradients_reach_every_trainable_parameter_and_no_other(
        self, data: PreparedData
    ) -> None:
        method = self.build(data, self.config(data))
        total(method(self.batch(), LATE)).backward()
        named = {id(p): name for name, p in method.named_parameters()}
        grouped = [named[id(p)] for group in method.parameter_groups() for p in group.parameters]
        reached = {name for name, p in method.named_parameters() if p.grad is not None}
        assert len(grouped) == len(set(grouped))
        assert set(grouped) == {n for n, p in method.named_parameters() if p.requires_grad}
        assert reached == set(grouped)
        assert gradients_are_finite(method)
        for group in method.parameter_groups():
            gradients = [p.grad for p in group.parameters if p.grad is not None]
            # a bias before a normalisation has none; most weights must have some
            moved = sum(bool(g.abs().max() > 0) for g in gradients)
            assert moved > 0.8 * len(gradients)

    def test_mixed_precision_reaches_the_same_parameters(self, data: PreparedData) -> None:
        """Forward in bf16 autocast, backward outside, as in a training."""
        if self.dimensions == 3:
            pytest.skip("bf16 is refused for volumes on a CPU")
        reached = []
        for mixed in (False, True):
            method = self.build(data, self.config(data))
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                loss = total(method(self.batch(), LATE))
            loss.backward()
            assert gradients_are_finite(method)
            reached.append({n for n, p in method.named_parameters() if p.grad is not None})
        assert reached[0] == reached[1], "bf16 loses gradients"

    def test_every_network_predicts(self, data: PreparedData) -> None:
        config = self.config(data)
        method = self.build(data, config)
        # a teacher begins as its student, and may equal it after a step in which nothing is averaged
        self.steps(method, config, [self.batch()], 3)
        method.eval()
        images = self.batch().images
        with torch.no_grad():
            outputs = {name: method.logits(images, name) for name in method.network_names}
        for output in outputs.values():
            assert output.shape == (LABELLED + UNLABELLED, CLASSES, *self.shape)
        for one, other in itertools.combinations(outputs, 2):
            same = torch.equal(outputs[one], outputs[other])
            assert not same, f"{one} and {other} predict the same after 3 steps"

    def test_labels_of_unlabelled_images_are_never_read(
        self, data: PreparedData, tmp_path: Path
    ) -> None:
        """Files without sense and no files make no difference."""
        found = []
        for poison in (True, False):
            other = self.write(tmp_path / f"data-{poison}")
            for case in other.manifest.cases:
                if (
                    case.patient in other.manifest.split.train
                    and case.patient not in FIRST_LABELLED
                ):
                    file = other.folder / "labels" / f"{case.identifier}.npy"
                    file.unlink(missing_ok=True)
                    if poison:
                        np.save(file, np.full((case.shape[0], *case.shape[2:]), 99, np.uint8))
            config = self.config(other, "training.iterations=2")
            found.append(self.train(other, config, tmp_path / f"run-{poison}"))
        assert equal(*found)

    def test_resumed_equals_uninterrupted_bit_for_bit(
        self, data: PreparedData, tmp_path: Path
    ) -> None:
        config = self.config(data, "training.iterations=5")
        expected = self.train(data, config, tmp_path / "whole")
        for _ in range(2):  # after 3 steps, and from the checkpoint of 2 after 5
            with pytest.raises(InterruptionError):
                self.train(data, config, tmp_path / "parts", stop_after=3)
        resumed = self.train(data, config, tmp_path / "parts")
        assert equal(resumed, expected)
        rows = [(tmp_path / run / "validation.csv").read_text() for run in ("whole", "parts")]
        assert rows[0] == rows[1]
        assert len(rows[0].splitlines()) > 1

    def test_two_images_are_overfitted(self, data: PreparedData) -> None:
        config = self.config(
            data, f"training.iterations={self.overfit_steps}", "training.learning_rate=0.01",
            self.dropout(0.0), "swin.drop_path=0", "swin.learning_rate_scale=0.5",
            "training.weight_decay=0", "swin.warmup=0.1",
        )  # fmt: skip
        method = self.build(data, config)
        batch = self.batch(seed=1)
        self.steps(method, config, [batch], self.overfit_steps)
        method.eval()
        with torch.no_grad():
            for network in method.network_names:
                found = method.logits(batch.images, network)[:LABELLED].argmax(1)
                scores = [dice((found == k).numpy(), (batch.labels == k).numpy()) for k in (1, 2)]
                # a small Transformer is slow to learn; all but the first are helpers
                least = 0.9 if network == method.network_names[0] else 0.6
                assert min(s or 0.0 for s in scores) > least, network

    def test_embeddings_are_points_with_true_classes(self, data: PreparedData) -> None:
        method = self.build(data, self.config(data)).eval()
        batch = self.batch(labelled=4, unlabelled=0)
        with torch.no_grad():
            spaces = method.embeddings(batch.images, batch.labels)
        assert len(spaces) >= len(method.network_names)
        for points, classes in spaces.values():
            assert points.shape[0] == classes.shape[0] > 0
            assert torch.isfinite(points).all()
            assert set(classes.unique().tolist()) <= set(batch.labels.unique().tolist())
        batch.labels[:, : self.shape[0] // 2] = IGNORE_INDEX
        with torch.no_grad():
            spaces = method.embeddings(batch.images, batch.labels)
        for points, classes in spaces.values():
            assert points.shape[0] == classes.shape[0] > 0
            assert set(classes.unique().tolist()) <= set(range(CLASSES))

    def test_the_golden_curve(self, data: PreparedData) -> None:
        """A change that is meant to keep the mathematics must keep these numbers.

        Plain gradient descent: Adam would magnify another processor's rounding. No dropout: some
        processors draw it otherwise.
        """
        config = self.config(
            data, "training.iterations=20", "training.optimiser=sgd", "training.momentum=0",
            "training.learning_rate=0.03", "swin.drop_path=0", self.dropout(0.0),
        )  # fmt: skip
        method = self.build(data, config)
        losses = self.steps(method, config, [self.batch(seed) for seed in range(3)], 20)
        found = {index: round(losses[index], 5) for index in self.golden or GOLDEN_STEPS}
        if not self.golden:
            pytest.fail(
                f"{type(self).__name__} has no golden curve. If the method does what it should, "
                f"paste the losses of now:\n    golden: ClassVar[dict[int, float]] = {found}",
                pytrace=False,
            )
        assert found == pytest.approx(self.golden, rel=1e-3)

    def test_the_loss_is_reproducible(self, data: PreparedData) -> None:
        method = self.build(data, self.config(data, self.dropout(0.5)))  # something to draw
        totals = []
        for seed in (1, 1, 2):
            seed_step(seed, 0, 0)
            terms = method(self.batch(), LATE)
            totals.append(math.fsum(term.item() for term in terms.values()))
        assert totals[0] == totals[1] != totals[2]


def gradients_are_finite(method: Method) -> bool:
    """Of all parameters that have one."""
    return all(
        bool(torch.isfinite(p.grad).all()) for p in method.parameters() if p.grad is not None
    )
