"""An answer step by step, and beside it what every other framework says of the same data."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lossmeter.app.account import NEAR, Account, Step, account
from lossmeter.app.answer import Answer, Value
from lossmeter.app.backend import Backend
from lossmeter.app.translation import others, tensors_for, translated
from lossmeter.dialects.symbols import Symbol
from lossmeter.dialects.words import INNER
from lossmeter.errors import LossmeterError, ShapeMismatch
from lossmeter.plan.batch import SHARED, Tensors
from lossmeter.plan.plan import Plan
from lossmeter.plan.request import Options


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one dialect says of the data.

    Attributes:
        symbol: Its symbol.
        framework: The framework; empty for the canonical loss.
        version: The version whose rule it is.
        reduction: Canonical name of the reduction.
        answer: Its answer; None if it refuses.
        numerator: The weighted sum.
        denominator: What it was divided by, if one number was.
        divisor: The same in words.
        agrees: Whether it is the number that was asked for.
        why: A sentence for each difference.
        note: What was done so that it could be asked at all.
    """

    symbol: str
    framework: str
    version: str
    reduction: str
    answer: Answer | None
    numerator: float | None
    denominator: float | None
    divisor: str
    agrees: bool
    why: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer, how it came about, and what others say.

    Attributes:
        answer: The answer of an evaluation.
        symbol: What the request named.
        framework: The framework and its version; empty for a canonical loss.
        steps: What was done, in its order.
        dialects: What every other dialect that knows the loss says of the same data.
    """

    answer: Answer
    symbol: str
    framework: str
    steps: tuple[Step, ...]
    dialects: tuple[Opinion, ...]


def explain(
    plan: Plan, params: set[str], tensors: Tensors, options: Options, backend: Backend
) -> Explanation:
    """Evaluate, say how, and ask the other dialects.

    Args:
        plan: Symbol, parameters, reduction.
        params: The keywords that the request set.
        tensors: The named arrays.
        options: How to run it.
        backend: What computes.

    Raises:
        LossmeterError: As an evaluation.
    """
    asked = account(plan, tensors, options, backend)
    dialect = plan.symbol.dialect
    return Explanation(
        answer=asked.answer,
        symbol=plan.symbol.name,
        framework=f"{dialect.name} {dialect.version}".strip(),
        steps=asked.steps,
        dialects=tuple(_opinions(asked, params, tensors, options, backend)),
    )


def _opinions(
    asked: Account, params: set[str], tensors: Tensors, options: Options, backend: Backend
) -> Iterator[Opinion]:
    for symbol, index in others(asked.candidate):
        try:
            plan = translated(asked.candidate, asked.plan, symbol, index, params)
            given = tensors_for(asked, tensors, plan)
            other = _asked_of(plan, given, options, backend)
        except LossmeterError as error:
            yield _refusal(symbol, error)
            continue
        yield _opinion(asked, other)


def _asked_of(plan: Plan, tensors: Tensors, options: Options, backend: Backend) -> Account:
    """The account of another dialect, its weights with axes of 1 after them if it asks for those.

    Raises:
        LossmeterError: As an evaluation.
    """
    try:
        return account(plan, tensors, options, backend)
    except ShapeMismatch:
        rank = tensors.arrays["predictions"].ndim
        spread = {
            name: x.reshape(x.shape + (1,) * (rank - x.ndim)) if name in SHARED and x.ndim else x
            for name, x in tensors.arrays.items()
        }
        if all(spread[name] is tensors.arrays[name] for name in spread):
            raise
        return account(plan, replace(tensors, arrays=spread), options, backend)


def _refusal(symbol: Symbol, error: LossmeterError) -> Opinion:
    return Opinion(
        symbol=symbol.name,
        framework=symbol.dialect.name,
        version=symbol.dialect.version,
        reduction=symbol.default_reduction,
        answer=None,
        numerator=None,
        denominator=None,
        divisor="",
        agrees=False,
        why=(f"{_called(symbol)} refuses this data: {error.detail}",),
    )


def _opinion(asked: Account, other: Account) -> Opinion:
    symbol, answer = other.plan.symbol, other.answer
    agrees = _near(asked.answer.value, answer.value, NEAR)
    return Opinion(
        symbol=symbol.name,
        framework=symbol.dialect.name,
        version=symbol.dialect.version,
        reduction=answer.reduction,
        answer=answer,
        numerator=other.numerator if other.divisor else None,
        denominator=answer.denominator,
        divisor=other.divisor,
        agrees=agrees,
        why=() if agrees else tuple(_why(asked, other)),
        note=_note(asked, other),
    )


def _note(asked: Account, other: Account) -> str:
    told = []
    if other.plan.symbol.default_reduction == "none" and other.answer.reduction != "none":
        told.append(f"reduces nothing by itself; here its {other.answer.reduction} is taken")
    if other.batch.program.inner and "predictions" in other.batch.inputs:
        ours, its = (made.batch.inputs["predictions"].ndim for made in (asked, other))
        told += ["is given an axis of one output"] if its > ours else []
    return "; ".join(told)


def _why(asked: Account, other: Account) -> Iterator[str]:
    """A sentence for each difference that the two numbers come of."""
    ours, theirs = _called(asked.plan.symbol), _called(other.plan.symbol)
    if not asked.answer.count and not other.answer.count:
        a, b = (_told(made.answer.value) for made in (asked, other))
        yield f"nothing is kept, and the mean of nothing is {a} in {ours} and {b} in {theirs}"
        return
    yield from _divisors(asked, other, ours, theirs)
    same_sum = _near(asked.numerator, other.numerator, NEAR)
    joined = tuple(INNER.values())
    yield from _manners(asked, other, (ours, theirs), joined if same_sum else None)
    if same_sum:
        return
    yield from _parameters(asked, other, ours, theirs)
    if asked.batch.weights is not None and asked.answer.weight != other.answer.weight:
        shape, its_shape = list(asked.batch.shape), list(other.batch.shape)
        yield (
            f"weights meet loss values of shape {shape} in {ours}, where they sum to "
            f"{asked.answer.weight:.6g}, and of shape {its_shape} in {theirs}, where they sum to "
            f"{other.answer.weight:.6g}"
        )


def _divisors(asked: Account, other: Account, ours: str, theirs: str) -> Iterator[str]:
    a, b = asked.answer.denominator, other.answer.denominator
    if a is None or b is None or not (asked.divisor and other.divisor):
        if asked.answer.reduction != other.answer.reduction:
            yield f"{ours} takes {asked.answer.reduction}, {theirs} {other.answer.reduction}"
    elif a != b:
        same = asked.divisor == other.divisor
        yield (
            f"{ours} divides by {asked.divisor} = {a:.6g}, {theirs} by "
            f"{'that' if same else other.divisor} = {b:.6g}"
        )


def _manners(
    asked: Account, other: Account, names: tuple[str, str], among: tuple[str, ...] | None
) -> Iterator[str]:
    """What one does and the other does not; among these only, if any are named."""
    ours, theirs = names
    both = ((asked, ours, other, theirs), (other, theirs, asked, ours))
    for one, name, another, its_name in both:
        for phrase in one.manners:
            if phrase not in another.manners and (among is None or phrase in among):
                yield f"{name} {phrase}, {its_name} does not"


def _parameters(asked: Account, other: Account, ours: str, theirs: str) -> Iterator[str]:
    mine, its = asked.candidate.parameter, other.candidate.parameter
    for param in asked.candidate.variant.loss.open_params:
        mine_set, its_set = mine.get(param.name), its.get(param.name)
        if mine_set != its_set:
            yield f"{param.name} is {_set(mine_set)} in {ours} and {_set(its_set)} in {theirs}"


def _set(value: object) -> str:
    return "not set" if value is None else f"{value:g}" if isinstance(value, float) else f"{value}"


def _told(value: Value | None) -> str:
    return f"{value:g}" if isinstance(value, float) else "an array"


def _called(symbol: Symbol) -> str:
    """The framework's name, or that the loss is canonical."""
    return symbol.dialect.name or "the canonical loss"


def _near(a: Value, b: Value, room: float) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=room, abs_tol=0.0) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, dict) or isinstance(b, dict):
        return a == b
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return x.shape == y.shape and bool(np.allclose(x, y, rtol=room, atol=0.0, equal_nan=True))
