"""Why two frameworks give different numbers of the same data, a sentence for each difference."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from lossmeter.app.account import Account
from lossmeter.app.answer import Value
from lossmeter.app.entries import ROUNDING, near
from lossmeter.app.retelling import limits
from lossmeter.core.arrays import Array
from lossmeter.core.declare import CLASS_WEIGHT
from lossmeter.dialects.keras import align_like_keras
from lossmeter.dialects.words import APART, INNER, OUTER
from lossmeter.plan.plan import Candidate

EXACT = ROUNDING["float64"]
# What changes how many values there are, and not their sum.
COUNTED = ("drops_zeros",)
# To whose terms an average taken before is no common factor.
BENT = frozenset({*OUTER, "harmonic_mean", "cvar"})
MOST_LISTED = 4


class Pair(NamedTuple):
    """Two accounts of the same data, and what their frameworks are called."""

    asked: Account
    other: Account
    ours: str
    theirs: str


def names(asked: Account, other: Account) -> tuple[str, str]:
    """What two symbols are called: their frameworks, or themselves where those are one."""
    called = [account.plan.symbol.dialect.name for account in (asked, other)]
    if called[0] == called[1]:
        return asked.plan.symbol.name, other.plan.symbol.name
    return asked.plan.symbol.dialect.called, other.plan.symbol.dialect.called


def agree(asked: Account, other: Account) -> bool:
    """Whether the numbers are the same but for rounding in the dtype that both compute in."""
    return near(asked.answer.value, other.answer.value, _rounding(asked, other))


def differences(asked: Account, other: Account) -> tuple[str, ...]:
    """A sentence for each difference that the two numbers come of; at least one."""
    pair = Pair(asked, other, *names(asked, other))
    if told := _nothing(pair) or _masked(pair):
        return (told,)
    if _shape(asked.answer.value) != _shape(other.answer.value):
        return (_shapes(pair), *_manners(pair), *_parameters(pair))
    divided = list(_divided(pair))
    if _same_sum(asked, other):
        divided += _manners(pair, COUNTED)
    else:
        divided += [
            *_manners(pair),
            *_parameters(pair),
            *_weights(pair),
            *_precision(pair),
        ]
    return tuple(dict.fromkeys(divided)) or (_otherwise(pair),)


def _rounding(asked: Account, other: Account) -> float:
    dtype = asked.batch.dtype
    return ROUNDING[dtype.name] if dtype == other.batch.dtype else EXACT


def _nothing(pair: Pair) -> str:
    """That there is nothing to average."""
    a, b = pair.asked.answer, pair.other.answer
    values = f"is {_told(a.value)} in {pair.ours} and {_told(b.value)} in {pair.theirs}"
    if not a.count and not b.count:
        return f"nothing is kept, and the mean of nothing {values}"
    if a.denominator == 0 and b.denominator == 0:
        return f"the divisor is 0, and a mean over that {values}"
    return ""


def _masked(pair: Pair) -> str:
    """That the values are the same, but where masked."""
    a, b = pair.asked.answer, pair.other.answer
    if a.kept is None or b.kept is None or a.masked == b.masked or a.kept.shape != b.kept.shape:
        return ""
    kept = a.kept & b.kept
    x, y = np.asarray(a.value)[kept], np.asarray(b.value)[kept]
    if not near(x, y, _rounding(pair.asked, pair.other)):
        return ""
    gives = ["no value" if masked is None else f"{masked:g}" for masked in (a.masked, b.masked)]
    return f"where masked {pair.ours} gives {gives[0]}, {pair.theirs} {gives[1]}"


def _divided(pair: Pair) -> Iterator[str]:
    """What is divided by what."""
    a, b = pair.asked, pair.other
    if isinstance(a.answer.value, Mapping) and isinstance(b.answer.value, Mapping):
        yield from _grouped(pair)
    elif a.divisor and b.divisor:
        if not _equal(_below(a), _below(b)):
            yield f"{pair.ours} divides by {_divisor(a, b)}, {pair.theirs} by {_divisor(b, a)}"
    elif a.answer.reduction != b.answer.reduction and not _alike(a, b):
        yield f"{pair.ours} takes {_taken(a, b)}, {pair.theirs} {_taken(b, a)}"


def _grouped(pair: Pair) -> Iterator[str]:
    """The first group for which the divisors differ."""
    ours, theirs = pair.asked.answer.groups or {}, pair.other.answer.groups or {}
    for label in (label for label in ours if label in theirs):
        a, b = ours[label].denominator, theirs[label].denominator
        if (
            a is not None
            and b is not None
            and not _equal(a * _scale(pair.asked), b * _scale(pair.other))
        ):
            yield (
                f"in group {label} {pair.ours} divides by {a:.6g} for {pair.asked.answer.reduction}"
                f", {pair.theirs} by {b:.6g} for {pair.other.answer.reduction}"
            )
            return


def _alike(a: Account, b: Account) -> bool:
    """Whether two means of different names, or a mean and a sum, divide by the same."""
    if not all(made.plan.reduction.rule.mean or made.answer.reduction == "sum" for made in (a, b)):
        return False
    if a.answer.denominator is not None and b.answer.denominator is not None:
        return _equal(_below(a), _below(b))
    return a.batch.weights is None and not (a.candidate.own or b.candidate.own)


def _below(account: Account) -> float:
    """The divisor as if nothing had been averaged before."""
    return (account.answer.denominator or 0.0) * _scale(account)


def _scale(account: Account) -> int:
    summed = account.batch.program.inner == "sum" or account.answer.reduction == "macro_mean"
    kept = account.candidate.variant.by_class or "repeats" in account.manners
    return 1 if summed or kept else account.joins


def _equal(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=EXACT)


def _divisor(account: Account, beside: Account) -> str:
    """What is divided by, and what each term is if that is not alike in both."""
    said = f"{account.divisor} = {account.answer.denominator:.6g}"
    if account.joins in (beside.joins, 1):
        return said
    if account.batch.groups.joined:
        return f"{said} in each of {account.joins} outputs"
    return f"{said}, each a {account.batch.program.inner} of {account.joins}"


def _taken(account: Account, beside: Account) -> str:
    name = account.answer.reduction
    return f"{name} over {_divisor(account, beside)}" if account.divisor else name


def _same_sum(asked: Account, other: Account) -> bool:
    """Whether what is divided is the same, whatever was averaged before."""
    a, b = asked.numerator, other.numerator
    if a is None or b is None:
        return False
    if asked.divisor or other.divisor:
        a, b = a * _scale(asked), b * _scale(other)
    return near(a, b, _rounding(asked, other))


def _manners(pair: Pair, among: tuple[str, ...] = ()) -> Iterator[str]:
    """What one does and the other does not, or does otherwise; of these kinds, if any are named."""
    ours, theirs = _done(pair.asked, pair.other), _done(pair.other, pair.asked)
    for kind in dict.fromkeys([*ours, *theirs]):
        a, b = ours.get(kind), theirs.get(kind)
        if a == b or (among and kind not in among):
            continue
        if a and b:
            yield f"{pair.ours} {a}, {pair.theirs} {b}"
        else:
            one, another = (pair.ours, pair.theirs) if a else (pair.theirs, pair.ours)
            yield f"{one} {a or b}, {another} does not"


def _done(account: Account, beside: Account) -> Mapping[str, str]:
    """The manners of one; that it joins values, too, where it matters and no divisor tells."""
    mine, its = ((made.joins, made.batch.program.inner) for made in (account, beside))
    straight = account.answer.reduction not in BENT and not account.plan.reduction.root
    divided = account.divisor and beside.divisor
    sums = divided or account.answer.reduction == beside.answer.reduction == "sum"
    told = straight and (divided or (sums and account.joins == beside.joins))
    if mine[0] == 1 or mine == its or told or account.candidate.variant.by_class:
        return account.manners
    first = f"{INNER[mine[1]]}, {mine[0]} values each" if mine[1] else APART
    return {"joins": first, **account.manners}


def _parameters(pair: Pair) -> Iterator[str]:
    asked, other = pair.asked, pair.other
    mine, its = asked.candidate.in_force, other.candidate.in_force
    tried = asked.batch.program.params
    for param in asked.candidate.variant.loss.open_params:
        name = param.name
        a, b = mine.get(name), its.get(name)
        plain = name in dict(tried) and name in dict(other.batch.program.params)
        if a == b or (plain and not asked.entries.differs_with(name, b)):
            continue
        told_apart = other.candidate.variant.loss is not asked.candidate.variant.loss
        if told_apart and a == param.default:
            continue  # a setting of the encoding, which the other loss has no need of
        if CLASS_WEIGHT.name == name and "class_factor" in {**asked.manners, **other.manners}:
            continue
        lacking = [not a and _lacks(asked.candidate, name), not b and _lacks(other.candidate, name)]
        if any(lacking):
            value, one, another = (b, pair.theirs, pair.ours) if lacking[0] else (a, *pair[2:])
            yield f"{name} is {_spelt(value)} in {one}, and {another} has none"
        else:
            yield f"{name} is {_spelt(a)} in {pair.ours} and {_spelt(b)} in {pair.theirs}"


def _lacks(candidate: Candidate, name: str) -> bool:
    variant = candidate.variant
    return name not in (*variant.keywords, *variant.keywords.values(), *variant.fixed)


def _spelt(value: object) -> str:
    if isinstance(value, list):
        more = ["…"] if len(value) > MOST_LISTED else []
        return f"[{', '.join([*map(_spelt, value[:MOST_LISTED]), *more])}]"
    return "not set" if value is None else f"{value:g}" if isinstance(value, float) else f"{value}"


def _weights(pair: Pair) -> Iterator[str]:
    """That weights, or the mask, meet the loss values otherwise."""
    a, b = pair.asked.batch, pair.other.batch
    sides = [
        f"the {'last' if made.plan.symbol.dialect.align is align_like_keras else 'first'} axis"
        for made in pair[:2]
    ]
    if a.shape == b.shape and sides[0] == sides[1]:
        return
    for what, ours, theirs in (("weights", a.weights, b.weights), ("the mask", a.mask, b.mask)):
        if ours is None or theirs is None or _lie_alike(ours, theirs):
            continue
        verb = "meet" if what == "weights" else "meets"
        yield (
            f"{what} {verb} loss values of shape {list(a.shape)} from {sides[0]} in {pair.ours}, "
            f"and of shape {list(b.shape)} from {sides[1]} in {pair.theirs}"
        )


def _lie_alike(x: Array, y: Array) -> bool:
    """Whether they are the same, but for last axes along which one of them is constant."""
    short, long = sorted((x, y), key=lambda one: one.ndim)
    if long.shape[: short.ndim] != short.shape:
        return False
    spread = short.reshape(short.shape + (1,) * (long.ndim - short.ndim))
    return np.array_equal(np.broadcast_to(spread, long.shape), long)


def _precision(pair: Pair) -> Iterator[str]:
    """That one computes in float32 what is another number in float64."""
    a, b = pair.asked.batch.dtype, pair.other.batch.dtype
    wide = pair.asked if a == np.float64 else pair.other
    if a != b and not np.array_equal(
        wide.entries.values(), wide.entries.values(narrow=True), equal_nan=True
    ):
        yield f"{pair.ours} computes in {a}, {pair.theirs} in {b}"


def _otherwise(pair: Pair) -> str:
    """What is seen of a difference that has no name."""
    ours, theirs = (made.candidate.variant.loss for made in pair[:2])
    if ours is not theirs:
        return limits(ours, theirs)
    return f"the loss values themselves differ between {pair.ours} and {pair.theirs}"


def _shapes(pair: Pair) -> str:
    ours, theirs = (_shape(made.answer.value) for made in pair[:2])
    return f"{pair.ours} gives {ours}, {pair.theirs} {theirs}"


def _shape(value: Value) -> str:
    if isinstance(value, Mapping):
        return f"{len(value)} groups"
    return f"values of shape {list(np.shape(value))}" if np.ndim(value) else "one number"


def _told(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else "an array"
