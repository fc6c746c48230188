"""Parts of a state add up to the same in any order and any split."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossmeter.core.block import Block
from lossmeter.core.exact import ZERO, ExactSum
from lossmeter.core.parts import PARTS, Least, Linear, Part, Values
from lossmeter.core.reductions import Reduction, finish
from tests.unit.core.blocks import block

NAN, INF = math.nan, math.inf
SUMS = [pytest.param(kind, id=key) for key, kind in PARTS.items() if kind is not Values]
RNG = np.random.default_rng(3)
# Losses whose exponentials fill more bands than are kept, with ties across the batches.
PIECES = [
    block(np.round(RNG.normal(size=40) ** 3 * 900) / 8 + 1e-3, RNG.uniform(0, 2, 40), batch)
    for batch in "abc"
]
WHOLE = block(
    np.concatenate([piece.losses for piece in PIECES]),
    np.concatenate([piece.weights for piece in PIECES if piece.weights is not None]),
)
BARE = Block(WHOLE.losses, None, None, None, "")
EQUAL = block(np.ones(200))


def _total(kind: type[Part], blocks: list[Block]) -> Part:
    with np.errstate(all="ignore"):
        first, *rest = map(kind.of, blocks)
    for part in rest:
        first = first + part
    return first


@pytest.mark.parametrize("kind", SUMS)
def test_parts_add_up_to_equal_objects_in_any_order(kind: type[Part]) -> None:
    a, b, c = (_total(kind, [piece]) for piece in PIECES)
    assert (a + b) + c == a + (b + c)
    assert all(_total(kind, list(order)) == a + b + c for order in permutations(PIECES))


@pytest.mark.parametrize("kind", [k for k in SUMS if k.id not in ("least", "greatest")])
def test_pieces_add_up_to_the_whole(kind: type[Part]) -> None:
    assert _total(kind, PIECES) == _total(kind, [WHOLE])


def test_values_of_pieces_have_the_quantile_of_the_whole() -> None:
    pieces, whole = ({"values": _total(Values, blocks)} for blocks in (PIECES, [WHOLE]))
    reduction = Reduction("quantile", q=0.9)
    assert finish(pieces, reduction) == finish(whole, reduction)


@settings(max_examples=60, deadline=None, derandomize=True)
@pytest.mark.parametrize("kind", SUMS)
@given(data=st.data())
def test_any_two_parts_commute(kind: type[Part], data: st.DataObject) -> None:
    numbers = st.lists(st.floats(-1e5, 1e5) | st.sampled_from([INF, -INF]), max_size=9)
    a, b = (_total(kind, [block(data.draw(numbers), None, batch)]) for batch in "ab")
    assert a + b == b + a
    assert a + _total(kind, [block([])]) == a


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize(
    "whole",
    [WHOLE, BARE, EQUAL],
    ids=["of all it can have", "of losses alone", "of equal losses"],
)
def test_a_block_in_groups_is_a_block_for_each(kind: type[Part], whole: Block) -> None:
    codes = np.random.default_rng(4).integers(0, 4, whole.losses.size)
    codes[codes == 2] = 1
    apart = [whole.taken(np.flatnonzero(codes == g)) for g in range(4)]
    assert [_total(kind, [b]) for b in whole.groups(codes, 4)] == [_total(kind, [b]) for b in apart]
    assert Linear.of_groups(whole, codes, 4) == [Linear.of(b) for b in apart]


@pytest.mark.parametrize("kind", [k for k in SUMS if k.id != "reciprocals"])
def test_zeros_of_both_signs_leave_the_same(kind: type[Part]) -> None:
    assert repr(_total(kind, [block([-0.0])])) == repr(_total(kind, [block([0.0])]))


@pytest.mark.parametrize(
    ("pieces", "at"),
    [
        pytest.param([([2.0, 1.0], "b"), ([1.0], "a")], ("a", 0), id="the first batch by name"),
        pytest.param([([1.0, 1.0], "a"), ([2.0], "b")], ("a", 0), id="the first row"),
        pytest.param([([], "a"), ([1.0], "b")], ("b", 0), id="not of an empty batch"),
        pytest.param([([1.0], "a"), ([2.0, NAN], "b")], ("b", 1), id="NaN before any number"),
        pytest.param([([0.0], "b"), ([-0.0], "a")], ("a", 0), id="zeros of both signs tie"),
    ],
)
def test_the_least_is_found_where_it_first_occurs(
    pieces: list[tuple[list[float], str]], at: tuple[str, int]
) -> None:
    blocks = [block(losses, None, batch) for losses, batch in pieces]
    for order in (blocks, blocks[::-1]):
        least = _total(Least, order)
        assert isinstance(least, Least)
        assert (least.batch_id, least.row) == at


def test_weights_that_are_not_given_count_ones() -> None:
    linear = Linear.of(Block(np.array([5.0, 6.0]), None, None, None, ""))
    assert linear == Linear(
        ExactSum.of_int(11), ExactSum.of_int(2), ZERO, 2, 2, entries=2, nonzero_entries=2
    )
