"""What every method owes. A method's test file inherits `MethodConformance` and names itself.

What two processes owe is in tests/training/test_two_processes.py, for all methods in one pair.
"""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from semiseg import methods
from semiseg.config import RunConfig
from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.data.splits import draw_labelled
from semiseg.data.task import IGNORE_INDEX
from semiseg.evaluation.overlap import dice
from semiseg.methods.base import Method, Step
from semiseg.training.configuration import resolve_config
from semiseg.training.loop import Hooks, fit, seed_step
from semiseg.training.optimiser import build_optimisers, set_rates
from semiseg.training.patients import cases_of
from semiseg.training.run_folder import RunFolder, RunSplit

State = dict[str, Tensor]


class InterruptionError(Exception):
    """What a test stops a training with."""


class MethodConformance:
    """Checks that are the same for all methods."""

    name: ClassVar[str]
    settings: ClassVar[tuple[str, ...]]
    terms: ClassVar[set[str]]
    """Names of the loss terms late in a run."""
    golden: ClassVar[dict[int, float]]
    """The loss at some of 20 steps (see `test_the_golden_curve`)."""
    overfit_steps: ClassVar[int] = 60
    size: ClassVar[int] = 32

    def config(self, data: PreparedData, *more: str) -> RunConfig:
        return resolve_config(data.manifest, self.name, None, [*self.settings, *more], {}).config

    def build(self, data: PreparedData, config: RunConfig, seed: int = 0) -> Method:
        torch.manual_seed(seed)
        return methods.entry(self.name).load()(data.task, config)

    def batch(self, seed: int = 0, labelled: int = 2, unlabelled: int = 2) -> Batch:
        """Blocks of grey, labelled by their grey value."""
        rng = np.random.default_rng(seed)
        count, block = labelled + unlabelled, np.ones((self.size // 4, self.size // 4))
        codes = np.kron(rng.integers(0, 3, (count, 4, 4)), block)
        images = codes[:, None] / 2 + rng.normal(0, 0.05, (count, 1, *codes.shape[1:]))
        return Batch(torch.from_numpy(images).float(), torch.from_numpy(codes[:labelled]).long())

    def train(
        self, data: PreparedData, config: RunConfig, folder: Path, stop_after: int | None = None
    ) -> State:
        """Train on the first two labelled patients, or raise after a number of steps."""
        split = data.manifest.split
        labelled = draw_labelled(split, ("p1", "p2", "p3", "p4"), 2)
        cases = cases_of(data, RunSplit(split=split, labelled=labelled))
        done = itertools.count(1)

        def advance(steps: int, note: str) -> None:
            if next(done) == stop_after:
                raise InterruptionError

        folder.mkdir(exist_ok=True)
        method = self.build(data, config)
        fabric = Fabric(accelerator="cpu", devices=1)
        fit(fabric, method, data, cases, config, RunFolder(folder), Hooks(advance))
        return {name: x.clone() for name, x in method.state_dict().items()}

    def test_terms_are_named_and_finite(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        for index in (0, 50, 99):
            terms = method(self.batch(), Step(index, 100))
            assert all(term.ndim == 0 and torch.isfinite(term) for term in terms.values())
            assert set(terms) <= self.terms
        assert set(terms) == self.terms

    def test_flat_images_give_finite_losses(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data))
        side = (self.size, self.size)
        flat = Batch(torch.zeros(4, 1, *side), torch.zeros(2, *side, dtype=torch.long))
        terms = method(flat, Step(99, 100))
        torch.stack(list(terms.values())).sum().backward()
        assert all(torch.isfinite(term) for term in terms.values())
        assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)

    def test_a_batch_of_which_everything_is_ignored(self, small_data: PreparedData) -> None:
        """Finite; and without labels that say anything, no supervised term."""
        method = self.build(small_data, self.config(small_data))
        batch = self.batch()
        batch.labels.fill_(IGNORE_INDEX)
        for index in (0, 99):
            terms = method(batch, Step(index, 100))
            torch.stack(list(terms.values())).sum().backward()
            assert all(torch.isfinite(term) for term in terms.values())
            supervised = [term.item() for name, term in terms.items() if "supervised" in name]
            assert supervised
            assert not any(supervised)
        assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)

    def test_what_is_ignored_has_no_label(self, small_data: PreparedData) -> None:
        """Half of each image ignored: other terms than those of whole labels, and no trace of 255."""
        method = self.build(small_data, self.config(small_data))
        batch = self.batch()
        losses = []
        for part in (0, self.size // 2):
            batch.labels[:, :part] = IGNORE_INDEX
            seed_step(0, 0, 0)
            terms = method(batch, Step(99, 100))
            assert all(torch.isfinite(term) for term in terms.values())
            losses.append(sum(t.item() for name, t in terms.items() if "supervised" in name))
        assert 0 < losses[1] != losses[0]

    def test_gradients_reach_every_trainable_parameter_and_no_other(
        self, small_data: PreparedData
    ) -> None:
        method = self.build(small_data, self.config(small_data))
        torch.stack(list(method(self.batch(), Step(99, 100)).values())).sum().backward()
        named = {id(p): name for name, p in method.named_parameters()}
        grouped = [named[id(p)] for group in method.parameter_groups() for p in group.parameters]
        reached = {name for name, p in method.named_parameters() if p.grad is not None}
        assert len(grouped) == len(set(grouped))
        assert set(grouped) == {n for n, p in method.named_parameters() if p.requires_grad}
        assert reached == set(grouped)
        for group in method.parameter_groups():
            gradients = [p.grad for p in group.parameters if p.grad is not None]
            assert all(torch.isfinite(g).all() for g in gradients)
            # a bias before a normalisation has none; most weights must have some
            moved = sum(bool(g.abs().max() > 0) for g in gradients)
            assert moved > 0.8 * len(gradients)

    def test_every_network_predicts(self, small_data: PreparedData) -> None:
        config = self.config(small_data)
        method = self.build(small_data, config)
        self.steps(method, config, [self.batch()], 1)  # a teacher begins as its student
        method.eval()
        images = self.batch().images
        with torch.no_grad():
            outputs = [method.logits(images, network) for network in method.network_names]
        for output in outputs:
            assert output.shape == (4, 3, self.size, self.size)
        assert len({float(output.sum()) for output in outputs}) == len(method.network_names)

    @pytest.mark.parametrize("poison", [True, False])
    def test_labels_of_unlabelled_images_are_never_read(
        self,
        small_data: PreparedData,
        write_data: Callable[[Path], PreparedData],
        tmp_path: Path,
        poison: bool,
    ) -> None:
        other = write_data(tmp_path / "data")
        for patient in ("p3", "p4", "p5", "p6"):
            file = other.folder / "labels" / f"{patient}.npy"
            file.unlink(missing_ok=True)
            if poison:
                np.save(file, np.full((2, 36, 32), 255, np.uint8))
        config = self.config(small_data, "training.iterations=3")
        expected = self.train(small_data, config, tmp_path / "one")
        assert equal(self.train(other, config, tmp_path / "other"), expected)

    def test_resumed_equals_uninterrupted_bit_for_bit(
        self, small_data: PreparedData, tmp_path: Path
    ) -> None:
        config = self.config(small_data)
        expected = self.train(small_data, config, tmp_path / "whole")
        for _ in range(2):  # after 3 steps, and from the checkpoint of 2 after 5
            with pytest.raises(InterruptionError):
                self.train(small_data, config, tmp_path / "parts", stop_after=3)
        resumed = self.train(small_data, config, tmp_path / "parts")
        assert equal(resumed, expected)
        rows = [(tmp_path / run / "validation.csv").read_text() for run in ("whole", "parts")]
        assert rows[0] == rows[1]

    def test_two_images_are_overfitted(self, small_data: PreparedData) -> None:
        config = self.config(
            small_data, f"training.iterations={self.overfit_steps}", "training.learning_rate=0.005",
            "unet.dropout=[0, 0, 0, 0, 0]", "swin.drop_path=0", "swin.learning_rate_scale=0.5",
            "training.weight_decay=0", "swin.warmup=0.1",
        )  # fmt: skip
        method = self.build(small_data, config)
        batch = self.batch(seed=1)
        self.steps(method, config, [batch], self.overfit_steps)
        method.eval()
        with torch.no_grad():
            for network in method.network_names:
                found = method.logits(batch.images, network)[:2].argmax(1)
                scores = [dice((found == k).numpy(), (batch.labels == k).numpy()) for k in (1, 2)]
                # a small Transformer is slow to learn; all but the first are helpers
                least = 0.9 if network == method.network_names[0] else 0.6
                assert min(s or 0.0 for s in scores) > least, network

    def steps(
        self, method: Method, config: RunConfig, batches: list[Batch], count: int
    ) -> list[float]:
        """The loss of every step of a plain loop."""
        optimisers = build_optimisers(method.parameter_groups(), config.training)
        losses = []
        method.train()
        for index in range(count):
            seed_step(0, index, 0)
            set_rates(optimisers, index, config.training)
            loss = torch.stack(
                list(method(batches[index % len(batches)], Step(index, count)).values())
            ).sum()
            for optimiser in optimisers:
                optimiser.zero_grad()
            loss.backward()
            for optimiser in optimisers:
                optimiser.step()
            method.after_step(Step(index, count))
            losses.append(loss.item())
        return losses

    def test_embeddings_are_points_with_true_classes(self, small_data: PreparedData) -> None:
        method = self.build(small_data, self.config(small_data)).eval()
        batch = self.batch(labelled=4, unlabelled=0)
        with torch.no_grad():
            spaces = method.embeddings(batch.images, batch.labels)
        assert len(spaces) >= len(method.network_names)
        for points, classes in spaces.values():
            assert points.shape[0] == classes.shape[0] > 0
            assert torch.isfinite(points).all()
            assert set(classes.unique().tolist()) <= set(batch.labels.unique().tolist())
        batch.labels[:, : self.size // 2] = IGNORE_INDEX
        with torch.no_grad():
            spaces = method.embeddings(batch.images, batch.labels)
        for points, classes in spaces.values():
            assert points.shape[0] == classes.shape[0] > 0
            assert set(classes.unique().tolist()) <= {0, 1, 2}

    def test_the_golden_curve(self, small_data: PreparedData) -> None:
        """A change that is meant to keep the mathematics must keep these numbers.

        Plain gradient descent: Adam would magnify another processor's rounding. No dropout: some
        processors draw it otherwise.
        """
        config = self.config(
            small_data, "training.iterations=20", "training.optimiser=sgd",
            "training.momentum=0", "training.learning_rate=0.03", "swin.drop_path=0",
            "unet.dropout=[0, 0, 0, 0, 0]",
        )  # fmt: skip
        method = self.build(small_data, config)
        losses = self.steps(method, config, [self.batch(seed) for seed in range(3)], 20)
        found = {index: round(losses[index], 5) for index in self.golden}
        assert found == pytest.approx(self.golden, rel=1e-3)

    def test_the_loss_is_reproducible(self, small_data: PreparedData) -> None:
        dropout = "unet.dropout=[0.5, 0.5, 0.5, 0.5, 0.5]"  # something to draw, in every method
        method = self.build(small_data, self.config(small_data, dropout))
        totals = []
        for seed in (1, 1, 2):
            seed_step(seed, 0, 0)
            terms = method(self.batch(), Step(99, 100))
            totals.append(math.fsum(term.item() for term in terms.values()))
        assert totals[0] == totals[1] != totals[2]


def equal(one: State, other: State) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(x, other[n]) for n, x in one.items())
