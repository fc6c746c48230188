"""Exact sums against fractions, above all where float64 runs out of digits or of range."""

import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lossmeter.core.exact import (
    ZERO,
    ExactSum,
    Floats,
    divide,
    exact_product,
    exact_sum,
    exact_sums,
)

UNITS = 1 << 1074
BLOCK = 32_768
LEAST, TINY, LARGEST = 5e-324, 2.0**-1022, math.ldexp(1.0 - 2.0**-53, 1024)


def _fraction(x: Floats) -> Fraction:
    return Fraction(sum(int(Fraction(v) * UNITS) for v in x[np.isfinite(x)].tolist()), UNITS)


def _rounded(x: Fraction) -> float:
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


RNG = np.random.default_rng(0)
EVERY_EXPONENT: Floats = np.ldexp(RNG.uniform(-1, 1, 2098), np.arange(-1074, 1024))
CASES: dict[str, Floats] = {
    "nothing": np.zeros(0),
    "zeros of both signs": np.array([0.0, -0.0]),
    "one number": np.array([math.pi]),
    "ordinary losses": RNG.exponential(size=70_000),
    "1e300 with 1e-300": np.array([1e300, 1e-300, -1e300]),
    "subnormals alone": np.arange(1.0, 2000.0) * LEAST,
    "the least float, once in each sign but one": np.array([LEAST, -LEAST, LEAST]),
    "subnormals with normals": np.array([LEAST, 1.0, TINY, -1.0, 3 * LEAST]),
    "every exponent": EVERY_EXPONENT,
    "total cancellation": np.concatenate([EVERY_EXPONENT, -EVERY_EXPONENT]),
    "cancellation to the last digit": np.array([1.0, 2.0**-53, -1.0, -(2.0**-53), LEAST]),
    "overflow and back": np.array([LARGEST, LARGEST, -LARGEST]),
    "overflow": np.array([LARGEST, LARGEST]),
    "overflow below": np.full(100, -LARGEST),
    "a tie to even below": np.array([1.0, 2.0**-53]),
    "a tie to even above": np.array([1.0 + 2.0**-52, 2.0**-53]),
    "a tie broken by the least float": np.array([1.0, 2.0**-53, LEAST]),
    "tails of half an ulp": np.concatenate([[1.0], np.full(BLOCK, 2.0**-53)]),
    "the smallest exponent that is not scaled up": np.full(99, 2.0**-900) * (1 - 2.0**-53),
    "both sides of the greatest sigma": np.array([2.0**958, 2.0**959, 2.0**960, -(2.0**944), 1.0]),
    "greatest and least": np.array([LARGEST, LEAST, -LARGEST, -TINY]),
}
# Numbers just below a power of two, or with a last bit about where a round ends, fill a block to
# the brim of its integers.
FULL = [(exponent, 53) for exponent in (-1020, -901, -900, -899, 1, 944, 945, 960, 961, 1024)]
FULL += [(0, bits) for bits in range(36, 54)]
CONSTANTS = [
    pytest.param(
        np.full(BLOCK + 1, sign * math.ldexp(1.0 - 2.0**-bits, exponent)),
        id=f"a full block of {sign:+.0f} times 2^{exponent} less its bit {bits}",
    )
    for exponent, bits in FULL
    for sign in (1.0, -1.0)
]
HARD = [pytest.param(x, id=name) for name, x in CASES.items()] + CONSTANTS


@pytest.mark.parametrize("x", HARD)
def test_a_sum_is_that_of_fractions_rounded_once(x: Floats) -> None:
    expected = _fraction(x)
    total = exact_sum(x)
    assert Fraction(total.units, UNITS) == expected
    assert float(total) == _rounded(expected)


@pytest.mark.parametrize("x", HARD)
def test_shuffled_pieces_merge_to_the_same_object(x: Floats) -> None:
    shuffled = np.random.default_rng(1).permutation(x)
    for ends in ([0], [1, 2, 3], [x.size // 3, x.size // 2]):
        assert sum(map(exact_sum, np.split(shuffled, ends)), start=ZERO) == exact_sum(x)


def test_threads_sum_apart() -> None:
    pieces = np.split(np.random.default_rng(4).normal(size=64 * BLOCK), 64)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(exact_sum, pieces)) == [exact_sum(x) for x in pieces]


@pytest.mark.parametrize("groups", [1, 3, 300], ids="in {} groups".format)
@pytest.mark.parametrize("x", HARD)
def test_grouped_sums_are_the_sums_of_the_groups(x: Floats, groups: int) -> None:
    codes = np.random.default_rng(2).integers(0, groups, x.size)
    totals = exact_sums(x, codes, groups)
    present = np.unique(codes).tolist()
    assert len(totals) == groups
    assert [totals[g] for g in present] == [exact_sum(x[codes == g]) for g in present]
    assert {totals[g] for g in set(range(groups)) - set(present)} <= {ZERO}


@pytest.mark.parametrize(
    ("x", "total", "value"),
    [
        pytest.param([1.0, math.nan, 2.0], ExactSum(3 * UNITS, 1, 0, 0), math.nan, id="a NaN"),
        pytest.param([math.inf] * 2, ExactSum(0, 0, 2, 0), math.inf, id="two infinities"),
        pytest.param([-math.inf, 0.5], ExactSum(UNITS // 2, 0, 0, 1), -math.inf, id="one below"),
        pytest.param([math.inf, -math.inf], ExactSum(0, 0, 1, 1), math.nan, id="of both signs"),
        pytest.param([math.nan, math.inf], ExactSum(0, 1, 1, 0), math.nan, id="NaN and infinity"),
    ],
)
def test_what_is_not_finite_is_counted(x: list[float], total: ExactSum, value: float) -> None:
    array = np.array(x)
    assert exact_sum(array) == total
    assert exact_sums(array, np.ones(len(x), np.int64), 2) == [ZERO, total]
    assert float(total) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    ("above", "below", "ratio"),
    [
        pytest.param([1.0], [3.0], 1 / 3, id="rounded once"),
        pytest.param([LARGEST, LARGEST], [2.0], LARGEST, id="of a sum beyond float64"),
        pytest.param([LARGEST], [-0.5], -math.inf, id="beyond float64"),
        pytest.param([LEAST], [2.0], 0.0, id="below the least float, to even"),
        pytest.param([math.inf], [-2.0], -math.inf, id="of infinity"),
        pytest.param([1.0], [math.inf], 0.0, id="by infinity"),
        pytest.param([math.inf], [math.inf], math.nan, id="of infinities"),
        pytest.param([math.nan], [1.0], math.nan, id="of NaN"),
        pytest.param([1.0], [math.nan], math.nan, id="by NaN"),
    ],
)
def test_a_ratio_of_sums(above: list[float], below: list[float], ratio: float) -> None:
    actual = exact_sum(np.array(above)) / exact_sum(np.array(below))
    assert actual == pytest.approx(ratio, rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize("above", [0.0, 1.0, math.inf, math.nan])
def test_nothing_is_divided_by_zero(above: float) -> None:
    with pytest.raises(ZeroDivisionError):
        ExactSum.of_float(above) / ZERO


def test_a_count_is_a_sum_of_ones() -> None:
    assert ExactSum.of_int(3) == exact_sum(np.ones(3))


@pytest.mark.parametrize("exponent", [0, 400, -400], ids="by 2^{}".format)
def test_a_product_and_its_error_are_exact(exponent: int) -> None:
    a, b = np.random.default_rng(3).normal(size=(2, 2000))
    b = np.ldexp(b, exponent)
    product, error = exact_product(a, b)
    pairs = zip(a.tolist(), b.tolist(), product.tolist(), error.tolist(), strict=True)
    wrong = [p for p in pairs if Fraction(p[0]) * Fraction(p[1]) != Fraction(p[2]) + Fraction(p[3])]
    assert wrong == []
    assert error.all()


@pytest.mark.parametrize(
    ("a", "b"),
    [(math.inf, 2.0), (LARGEST, 2.0), (LARGEST, 1 / 3), (math.nan, 1.0)],
    ids=["of infinity", "that overflows", "of a number that cannot be halved", "of NaN"],
)
def test_a_product_beyond_reach_is_the_rounded_one(a: float, b: float) -> None:
    with np.errstate(all="ignore"):
        product, error = exact_product(np.array([a]), np.array([b]))
    assert product.tolist() == pytest.approx([a * b], rel=0, abs=0, nan_ok=True)
    assert error.tolist() == [0.0]


FINITE = st.floats(allow_nan=False, allow_infinity=False)
PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)


@PROPERTY
@given(arrays(np.float64, st.integers(0, 40), elements=FINITE), st.integers(1, 2000))
def test_any_numbers_repeated_any_times_sum_exactly(x: Floats, times: int) -> None:
    expected = times * _fraction(x)
    assert exact_sum(np.tile(x, times)).units == expected * UNITS
    assert exact_sums(np.tile(x, times), np.zeros(x.size * times, np.int64), 1) == [
        ExactSum(int(expected * UNITS))
    ]


@PROPERTY
@given(arrays(np.float64, st.integers(0, 40)), st.integers(0, 40), st.randoms())
def test_any_split_of_any_order_merges_to_the_same(x: Floats, cut: int, rng: Random) -> None:
    order = rng.sample(range(x.size), x.size)
    head, tail = np.split(x[np.array(order, np.int64)], [cut])
    assert exact_sum(tail) + exact_sum(head) == exact_sum(x)


@PROPERTY
@given(arrays(np.float64, st.integers(0, 40)), st.integers(1, 9), st.randoms())
def test_any_groups_sum_apart(x: Floats, groups: int, rng: Random) -> None:
    codes = np.array([rng.randrange(groups) for _ in x], np.int64)
    assert exact_sums(x, codes, groups) == [exact_sum(x[codes == g]) for g in range(groups)]


@PROPERTY
@given(st.integers(), st.integers().filter(bool))
def test_any_integers_divide_as_fractions(above: int, below: int) -> None:
    assert divide(above << 2000, below << 990) == _rounded(Fraction(above << 1010, below))
