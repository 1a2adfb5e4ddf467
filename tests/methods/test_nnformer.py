"""``nnformer``: the conformance checks, and its loss at three resolutions."""

from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from semiseg.data.batch import Batch
from semiseg.data.manifest import PreparedData
from semiseg.data.task import IGNORE_INDEX
from semiseg.errors import UserError
from semiseg.losses.dice import dice_loss
from semiseg.methods.base import Step
from semiseg.methods.nnformer import NNFormerMethod, loss_at, output_weights
from semiseg.testing import MethodConformance
from semiseg.training.configuration import resolve_config
from semiseg.training.loop import batch_counts


class TestNNFormer(MethodConformance):
    name = "nnformer"
    dimensions = 3
    terms: ClassVar[set[str]] = {"supervised", "deep_supervised"}
    golden: ClassVar[dict[int, float]] = {0: 1.64235, 5: 1.61293, 10: 1.59459, 19: 1.58292}

    def dropout(self, rate: float) -> str:
        return f"nnformer.drop_path={rate}"

    def test_the_loss_is_the_papers(self, data: PreparedData) -> None:
        method = self.build(data, self.config(data)).eval()
        assert isinstance(method, NNFormerMethod)
        batch = self.batch()
        batch.labels.random_(0, 3)  # the blocks of a batch are alike wherever a cell is sampled
        with torch.no_grad():
            terms = method(batch, Step(0, 10))
            features = method.network.features(batch.images[:2])
            outputs = [method.network.classify(features)]
            outputs += [h(features[s]) for h, s in zip(method.heads, (8, 16), strict=True)]
        assert [tuple(x.shape[2:]) for x in outputs] == [(8, 16, 16), (4, 8, 8), (2, 4, 4)]
        losses = []
        for number, logits in enumerate(outputs):
            step = 2**number
            cells = slice(step // 2, None, step)
            labels = batch.labels[:, cells, cells, cells]
            dice = dice_loss(logits.softmax(1), labels, background=False)
            losses.append((F.cross_entropy(logits, labels) + dice).item())
        assert terms["supervised"].item() == pytest.approx(4 / 7 * losses[0], rel=1e-4)
        deep = (2 * losses[1] + losses[2]) / 7
        assert terms["deep_supervised"].item() == pytest.approx(deep, rel=1e-4)

    def test_unlabelled_volumes_have_no_influence(self, data: PreparedData) -> None:
        config = self.config(data, self.dropout(0.0))
        method = self.build(data, config)
        assert batch_counts(method, config) == (4, 0)
        batch = self.batch()
        other = Batch(batch.images.clone(), batch.labels)
        other.images[2:] = 1e9
        one, two = (method(given, Step(0, 10)) for given in (batch, other))
        assert all(torch.equal(term, two[name]) for name, term in one.items())

    def test_with_two_stages_there_is_one_output(self, data: PreparedData) -> None:
        method = self.build(data, self.config(data, "nnformer.depths=[1, 1]"))
        assert set(method(self.batch(), Step(0, 10))) == {"supervised"}

    def test_the_heads_expand_by_the_stride_of_the_embedding(self, data: PreparedData) -> None:
        method = self.build(data, self.config(data))
        assert isinstance(method, NNFormerMethod)
        for head in method.heads:
            assert isinstance(head, nn.Sequential)
            assert isinstance(head[1], nn.ConvTranspose3d)
            assert head[1].stride == (2, 4, 4)  # slices are twice as far apart as pixels
        assert method.factors == [(2, 2, 2), (4, 4, 4)]

    def test_slices_are_refused(self, small_data: PreparedData) -> None:
        with pytest.raises(UserError, match="nnformer is for volumes"):
            resolve_config(small_data.manifest, "nnformer", None, ["data.dimensions=2"])


def test_weights_are_halved() -> None:
    assert output_weights(3, 0.5) == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    assert output_weights(1, 0.5) == [1]
    assert output_weights(2, 0.0) == [1, 0]


def test_a_label_is_reduced_and_the_rest_of_a_prediction_left_out() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 5, 6, 7))
    labels[:, 0] = IGNORE_INDEX
    logits = torch.randn(2, 3, 6, 4, 4)
    found = loss_at(logits, labels, (1, 2, 2))
    kept = logits[:, :, :5, :3, :3].clone()
    target = labels[:, :, 1::2, 1::2]
    expected = F.cross_entropy(kept, target, ignore_index=IGNORE_INDEX)
    expected = expected + dice_loss(kept.softmax(1), target, background=False)
    torch.testing.assert_close(found, expected)
    logits[:, :, :1], logits[:, :, 5:], logits[:, :, :, 3:], logits[..., 3:] = 9, -9, 9, -9
    torch.testing.assert_close(loss_at(logits, labels, (1, 2, 2)), expected)


def test_a_label_is_taken_at_the_centre_of_a_cell() -> None:
    """A prediction that is right at all centres has no loss, also where a side is below a cell's."""
    labels = torch.zeros(1, 1, 8, 6, dtype=torch.int64)
    labels[:, 0, 2::4, 1::2] = 1
    logits = torch.tensor([-50.0, 50.0]).view(1, 2, 1, 1, 1).expand(1, 2, 1, 2, 3)
    assert loss_at(logits, labels, (4, 4, 2)).item() == pytest.approx(0, abs=1e-4)
    labels.zero_()[:, :, 2::4] = 1  # one voxel beside the centre along the last axis
    labels[..., 1::2] = 0
    assert loss_at(logits, labels, (4, 4, 2)).item() > 1
