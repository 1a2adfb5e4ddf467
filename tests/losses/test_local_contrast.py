"""The local contrast of LCLPL against a loop over the formula."""

import math

import pytest
import torch
from torch import Tensor

from semiseg.data.task import IGNORE_INDEX
from semiseg.losses.local_contrast import draw_anchors, local_contrast

CLASSES = 4


def case(images: int = 3) -> tuple[Tensor, Tensor]:
    """Embeddings in double precision and labels. Image 0 lacks class 3 and has ignored pixels."""
    generator = torch.Generator().manual_seed(2)
    embeddings = torch.randn(images, 5, 4, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(CLASSES, (images, 4, 6), generator=generator)
    labels[0][labels[0] == 3] = 0
    labels[0, 0] = IGNORE_INDEX
    return embeddings, labels


def cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def looped(
    embeddings: Tensor, labels: Tensor, place: Tensor, partners: list[int] | None, tau: float
) -> float:
    pixels = embeddings.flatten(2).transpose(1, 2).tolist()
    codes = labels.flatten(1).tolist()
    means: dict[tuple[int, int], list[float]] = {}
    for image, row in enumerate(codes):
        for k in range(1, CLASSES):
            members = [pixels[image][n] for n, code in enumerate(row) if code == k]
            if members:
                means[image, k] = [sum(x) / len(members) for x in zip(*members, strict=True)]
    found = []
    for image, row in enumerate(codes):
        pair = [image] if partners is None else [image, partners[image]]
        for k in range(1, CLASSES):
            for n in place[image, k - 1].tolist():
                if row[n] != k:
                    continue
                z = pixels[image][n]
                keys = [means[h, c] for h in pair for c in range(1, CLASSES) if (h, c) in means]
                below = sum(math.exp(cosine(z, m) / tau) for m in keys)
                found += [
                    -math.log(math.exp(cosine(z, means[h, k]) / tau) / below)
                    for h in pair
                    if (h, k) in means
                ]
    return sum(found) / len(found)


@pytest.mark.parametrize("partners", [None, [1, 2, 0]])
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_the_formula(partners: list[int] | None, tau: float) -> None:
    embeddings, labels = case()
    torch.manual_seed(0)
    place, valid = draw_anchors(labels, CLASSES, 3)
    given = None if partners is None else torch.tensor(partners)
    found = local_contrast(embeddings, labels, CLASSES, (place, valid), given, tau)
    expected = looped(embeddings, labels, place, partners, tau)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_gradcheck() -> None:
    embeddings, labels = case()
    torch.manual_seed(0)
    anchors = draw_anchors(labels, CLASSES, 2)
    embeddings.requires_grad_()
    partners = torch.tensor([1, 2, 0])
    assert torch.autograd.gradcheck(
        lambda x: local_contrast(x, labels, CLASSES, anchors, partners, 0.5), (embeddings,)
    )


def test_anchors_are_distinct_pixels_of_their_class() -> None:
    _, labels = case()
    place, valid = draw_anchors(labels, CLASSES, 5)
    assert place.shape == valid.shape == (3, 3, 5)
    codes = labels.flatten(1)
    for image in range(3):
        for k in range(1, CLASSES):
            chosen = place[image, k - 1][valid[image, k - 1]].tolist()
            assert len(set(chosen)) == len(chosen) == min(5, int((codes[image] == k).sum()))
            assert all(codes[image, n] == k for n in chosen)
    assert draw_anchors(labels, CLASSES, 999)[0].shape == (3, 3, 24)


def test_ignored_pixels_have_no_influence() -> None:
    embeddings, labels = case()
    torch.manual_seed(0)
    anchors = draw_anchors(labels, CLASSES, 3)
    partners = torch.tensor([1, 2, 0])
    before = local_contrast(embeddings, labels, CLASSES, anchors, partners)
    embeddings[0, :, 0] = 1e6
    after = local_contrast(embeddings, labels, CLASSES, anchors, partners)
    assert float(before) == float(after)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e15])
def test_extreme_embeddings_give_finite_values(scale: float) -> None:
    embeddings, labels = case()
    x = (scale * embeddings.float()).requires_grad_()
    anchors = draw_anchors(labels, CLASSES, 3)
    loss = local_contrast(x, labels, CLASSES, anchors, torch.tensor([1, 2, 0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("value", [0, IGNORE_INDEX])
def test_without_foreground_it_is_0(value: int) -> None:
    embeddings, labels = case()
    labels.fill_(value)
    x = embeddings.requires_grad_()
    loss = local_contrast(
        x, labels, CLASSES, draw_anchors(labels, CLASSES, 3), torch.tensor([1, 2, 0])
    )
    loss.backward()
    assert loss.item() == 0
