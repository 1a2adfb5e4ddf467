"""Strong views: images, pseudo-labels and confidence masks stay together."""

import pytest
import torch

from semiseg.data.task import IGNORE_INDEX
from semiseg.methods.common.mixing import another_image, beta_box_mask
from semiseg.methods.common.pseudo_label import confident_pseudo_label
from semiseg.methods.common.strong_view import cutmix


@pytest.mark.parametrize("shape", [(16, 12), (6, 8, 7)])
def test_images_labels_and_confidence_are_mixed_alike(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    count = 5
    probabilities = (3 * torch.randn(count, 3, *shape)).softmax(1)
    images = probabilities[:, :1] + torch.arange(count).view(-1, *(1,) * (len(shape) + 1))
    label = confident_pseudo_label(probabilities, 0.8)
    mask = beta_box_mask(count, shape, alpha=4.0)
    view = cutmix(images, label, mask)
    pasted = set()
    for b in range(count):
        for place in torch.ones(shape).nonzero().tolist():
            at = (slice(None), *place)
            source = int(view.images[b][at][0])  # the whole part is the image's number
            assert (source == b) == bool(mask[b][tuple(place)])
            pasted.add((b, source))
            p = probabilities[source][at]
            expected = int(p.argmax()) if float(p.max()) >= 0.8 else IGNORE_INDEX
            assert int(view.pseudo_label[b][tuple(place)]) == expected
    assert len(pasted) == 2 * count  # itself and one other image each


def test_partners_are_other_images() -> None:
    torch.manual_seed(0)
    for count in (2, 3, 7):
        for _ in range(20):
            partners = another_image(count)
            assert sorted(partners.tolist()) == list(range(count))
            assert (partners != torch.arange(count)).all()
    assert another_image(1).tolist() == [0]
    assert another_image(0).shape == (0,)


@pytest.mark.parametrize("shape", [(64, 32), (40, 32, 48)])
def test_boxes_cover_a_beta_distributed_part(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    parts = (~beta_box_mask(500, shape, alpha=4.0)).flatten(1).float().mean(1)
    assert float(parts.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(parts.var()) == pytest.approx(0.25 / 9, abs=0.006)  # 1 / (4 (2 alpha + 1))
