"""Shuffled patches: every pixel once, labels with their features, separate permutations."""

import pytest
import torch
from torch import Tensor

from semiseg.methods.common.patches import shuffle_patches


def coded_maps(count: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Features (map, row, column) + 1, and labels that number the pixels of all maps."""
    index = torch.stack(
        torch.meshgrid(*(torch.arange(n) for n in (count, height, width)), indexing="ij"), 1
    )
    number = (index[:, 0] * height + index[:, 1]) * width + index[:, 2]
    return index.float() + 1, number


def positions(embeddings: Tensor, height: int, width: int) -> Tensor:
    """The pixels' numbers, from their features; negative for padding."""
    m, r, c = (embeddings.long() - 1).unbind(-1)
    return torch.where(m >= 0, (m * height + r) * width + c, -1)


@pytest.mark.parametrize("remainder", ["pad", "offset"])
@pytest.mark.parametrize(
    ("height", "width", "side"), [(12, 12, 4), (10, 13, 4), (7, 7, 3), (5, 8, 9)]
)
def test_every_pixel_is_used_exactly_once(
    height: int, width: int, side: int, remainder: str
) -> None:
    maps, labels = coded_maps(3, height, width)
    for seed in range(4):
        torch.manual_seed(seed)
        embeddings, dealt, mask = shuffle_patches(maps, labels, side, remainder)  # type: ignore[arg-type]
        found = positions(embeddings, height, width)
        if mask is None:
            assert height % side == 0 == width % side
        else:
            assert torch.equal(found >= 0, mask)
            found, dealt = found[mask], dealt[mask]
        assert torch.equal(found, dealt)  # the label stays with its feature
        assert torch.equal(found.flatten().sort().values, labels.flatten())


def test_drop_leaves_out_the_remainder_and_nothing_else() -> None:
    maps, labels = coded_maps(2, 10, 13)
    embeddings, dealt, mask = shuffle_patches(maps, labels, 4, "drop")
    assert mask is None
    assert embeddings.shape == (6, 2 * 16, 3)
    assert torch.equal(positions(embeddings, 10, 13), dealt)
    assert torch.equal(dealt.flatten().sort().values, labels[:, :8, :12].flatten().sort().values)


def test_a_problem_holds_one_whole_tile_of_every_map() -> None:
    maps, labels = coded_maps(3, 12, 20)
    embeddings, _, _ = shuffle_patches(maps, labels, 4)
    for problem in embeddings.reshape(15, 3, 16, 3):
        for number, tile in enumerate(problem):
            m, r, c = (tile.long() - 1).unbind(-1)
            assert (m == number).all()  # in the maps' order
            assert len(torch.unique((r // 4) * 5 + c // 4)) == 1
            assert len(torch.unique((r % 4) * 4 + c % 4)) == 16


def tile_orders(embeddings: Tensor, count: int) -> list[tuple[int, ...]]:
    first = embeddings.reshape(embeddings.shape[0], count, -1, 3)[:, :, 0].long()
    return [tuple((first[:, m, 1] * 100 + first[:, m, 2]).tolist()) for m in range(count)]


def test_permutations_differ_between_maps_and_steps_and_follow_the_seed() -> None:
    maps, labels = coded_maps(6, 16, 16)
    torch.manual_seed(7)
    first = tile_orders(shuffle_patches(maps, labels, 4)[0], 6)
    second = tile_orders(shuffle_patches(maps, labels, 4)[0], 6)
    torch.manual_seed(7)
    again = tile_orders(shuffle_patches(maps, labels, 4)[0], 6)
    assert len(set(first + second)) == 12
    assert again == first
    assert all(sorted(order) == sorted(first[0]) for order in first + second)


def test_offset_moves_the_grid() -> None:
    maps, labels = coded_maps(1, 10, 10)
    corners = set()
    for seed in range(12):
        torch.manual_seed(seed)
        _, dealt, mask = shuffle_patches(maps, labels, 4, "offset")
        assert mask is not None
        problem = next(i for i in range(len(dealt)) if (mask[i] & (dealt[i] == 0)).any())
        corners.add(int(mask[problem].sum()))  # the size of the patch in the upper left corner
    assert len(corners) > 3


@pytest.mark.parametrize(("size", "side", "problems"), [(224, 19, 144), (56, 14, 16), (28, 14, 4)])
def test_the_papers_numbers(size: int, side: int, problems: int) -> None:
    maps, labels = torch.rand(8, 1, size, size), torch.zeros(8, size, size, dtype=torch.long)
    embeddings, dealt, mask = shuffle_patches(maps, labels, side)
    assert embeddings.shape == (problems, 8 * side * side, 1)
    assert dealt.shape == embeddings.shape[:2]
    if mask is not None:
        assert int(mask.sum()) == 8 * size * size


def test_gradients_reach_every_pixel_once() -> None:
    maps, labels = coded_maps(2, 7, 7)
    maps.requires_grad_()
    embeddings, _, mask = shuffle_patches(maps, labels, 3)
    assert mask is not None
    embeddings.sum().backward()
    assert maps.grad is not None
    assert (maps.grad == 1).all()


def coded_volumes(count: int, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Labels that number the voxels of all maps, and features with that number + 1."""
    number = torch.arange(count * shape[0] * shape[1] * shape[2]).reshape(count, *shape)
    return number[:, None].float() + 1, number


@pytest.mark.parametrize("remainder", ["pad", "offset", "drop"])
@pytest.mark.parametrize(("shape", "sides"), [((4, 6, 6), (2, 3, 2)), ((5, 7, 6), (2, 3, 6))])
def test_voxels_are_dealt_as_pixels_are(
    shape: tuple[int, int, int], sides: tuple[int, int, int], remainder: str
) -> None:
    maps, labels = coded_volumes(3, shape)
    embeddings, dealt, mask = shuffle_patches(maps, labels, sides, remainder)  # type: ignore[arg-type]
    size = sides[0] * sides[1] * sides[2]
    assert embeddings.shape == (*dealt.shape, 1)
    assert dealt.shape[1] == 3 * size
    kept = embeddings[..., 0].long() - 1
    there = kept >= 0
    assert torch.equal(kept[there], dealt[there])  # the label stays with its feature
    assert mask is None or torch.equal(there, mask)
    whole = [n // s * s for n, s in zip(shape, sides, strict=True)]
    expected = labels[:, : whole[0], : whole[1], : whole[2]] if remainder == "drop" else labels
    assert torch.equal(kept[there].sort().values, expected.flatten().sort().values)


def test_a_problem_holds_one_whole_cube_of_every_map() -> None:
    maps, labels = coded_volumes(3, (4, 6, 6))
    _, dealt, mask = shuffle_patches(maps, labels, (2, 3, 2))
    assert mask is None
    for problem in dealt.reshape(2 * 2 * 3, 3, 12):
        for number, cube in enumerate(problem):
            m, rest = cube // 144, cube % 144
            assert (m == number).all()
            z, y, x = rest // 36, rest % 36 // 6, rest % 6
            assert len(torch.unique((z // 2) * 100 + (y // 3) * 10 + x // 2)) == 1
            assert len(torch.unique((z % 2) * 100 + (y % 3) * 10 + x % 2)) == 12
