"""An answer step by step, and beside it what every other framework says of the same data."""

from collections.abc import Iterator
from dataclasses import dataclass

from lossmeter.app.account import Account, Step, account
from lossmeter.app.answer import Answer, Value
from lossmeter.app.backend import Backend
from lossmeter.app.differences import agree, differences
from lossmeter.app.entries import ROUNDING, near, recodings
from lossmeter.app.retelling import told_how
from lossmeter.app.translation import (
    default_name,
    forms,
    lacks_outputs,
    others,
    tensors_for,
    translated,
)
from lossmeter.dialects.symbols import Symbol
from lossmeter.dialects.words import RECODED
from lossmeter.errors import LossmeterError, ShapeMismatch
from lossmeter.plan.plan import Plan
from lossmeter.plan.request import Options
from lossmeter.plan.tensors import Tensors


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

    @property
    def value(self) -> Value:
        """The value of the answer."""
        return self.answer.value


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
            plan = translated(asked, symbol, index, params)
            given = tensors_for(asked, tensors, plan, symbol.variants[index].loss)
            other, shaped = _asked_of(plan, given, options, backend)
        except LossmeterError as error:
            yield _refusal(symbol, error)
            continue
        yield _opinion(asked, other, shaped)


def _asked_of(
    plan: Plan, tensors: Tensors, options: Options, backend: Backend
) -> tuple[Account, str]:
    """The account of another dialect, and the shape of the weights if it asks for another.

    Raises:
        LossmeterError: As an evaluation.
    """
    refused: ShapeMismatch | None = None
    for given, shaped in forms(tensors):
        try:
            return account(plan, given, options, backend), shaped
        except ShapeMismatch as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _refusal(symbol: Symbol, error: LossmeterError) -> Opinion:
    called = symbol.dialect.called
    at = error.field or ""
    asked = f"{called} cannot be asked: {at.removeprefix('params.')}: "
    said = asked if at.startswith("params.") else f"{called} refuses this data: "
    return Opinion(
        symbol=symbol.name,
        framework=symbol.dialect.name,
        version=symbol.dialect.version,
        reduction=default_name(symbol),
        answer=None,
        numerator=None,
        denominator=None,
        divisor="",
        agrees=False,
        why=(said + error.detail,),
    )


def _opinion(asked: Account, other: Account, shaped: str) -> Opinion:
    symbol, answer = other.plan.symbol, other.answer
    agrees = agree(asked, other)
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
        why=() if agrees else differences(asked, other),
        note="; ".join([*_notes(asked, other), *([shaped] if shaped else [])]),
    )


def _notes(asked: Account, other: Account) -> Iterator[str]:
    """What was done so that the other could be asked, and how near it came."""
    reduction = other.answer.reduction
    if default_name(other.plan.symbol) == "none" and reduction not in (
        "none",
        asked.plan.reduction.name,
    ):
        yield f"reduces nothing by itself; here its {reduction} is taken"
    if lacks_outputs(asked, other.plan):
        yield "is given an axis of one output"
    losses = [made.candidate.variant.loss for made in (asked, other)]
    if losses[0] is not losses[1]:
        yield told_how(*losses)
    for guard, _ in recodings(asked.batch):
        yield f"is given {RECODED[guard]}"
    exact = ROUNDING["float64"]
    if agree(asked, other) and not near(asked.answer.value, other.answer.value, exact):
        yield f"differs by rounding in {other.batch.dtype}"
