"""Sampling: every item once per pass, determined by (seed, step), disjoint ranks."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.data.sampler import Sampler, Stream

sizes = st.integers(1, 23)


@given(length=sizes, count=st.integers(1, 9), seed=st.integers(0, 99), passes=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_every_item_comes_once_a_pass(length: int, count: int, seed: int, passes: int) -> None:
    stream = Stream(length, seed, 1)
    steps = -(-length * passes // count)
    taken = [item for step in range(steps) for item in stream.take(step, count)]
    for p in range(passes):
        assert sorted(taken[p * length : (p + 1) * length]) == list(range(length))


def test_passes_seeds_and_streams_have_their_own_orders() -> None:
    def order(seed: int, name: int, step: int) -> tuple[int, ...]:
        return tuple(Stream(30, seed, name).take(step, 30))

    orders = [order(s, n, p) for s in (0, 1) for n in (1, 2) for p in (0, 1)]
    assert len(set(orders)) == len(orders)


def test_a_step_does_not_depend_on_what_was_taken_before() -> None:
    used = Sampler(7, 11, (3, 5), seed=4)
    history = [used(step) for step in range(40)]
    for step in (39, 0, 17, 3, 17):
        assert Sampler(7, 11, (3, 5), seed=4)(step) == history[step]
        assert used(step) == history[step]


@given(
    labelled=sizes, unlabelled=sizes, each=st.tuples(st.integers(1, 3), st.integers(0, 3)),
    ranks=st.integers(1, 4), step=st.integers(0, 50),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_ranks_share_a_batch_without_overlap(
    labelled: int, unlabelled: int, each: tuple[int, int], ranks: int, step: int
) -> None:
    counts = (each[0] * ranks, each[1] * ranks)
    whole = Sampler(labelled, unlabelled, counts, seed=2)(step)
    parts = [Sampler(labelled, unlabelled, counts, 2, rank, ranks)(step) for rank in range(ranks)]
    for i in range(2):
        assert all(len(part[i]) == each[i] for part in parts)
        assert Counter(x for part in parts for x in part[i]) == Counter(whole[i])
        assert len(whole[i]) == counts[i]


def test_no_unlabelled_items_are_drawn_where_none_are_wanted() -> None:
    labelled, unlabelled = Sampler(5, 0, (4, 0), seed=0)(3)
    assert (len(labelled), list(unlabelled)) == (4, [])
