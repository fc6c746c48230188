"""What the service answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias, TypeVar

from lossmeter_client.arrays import Array

Value: TypeAlias = float | Array | Mapping[str, float]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Group:
    """One group's value and the sums behind it.

    Attributes:
        value: Its number.
        count: Number of its kept entries.
        weight: Sum of their weights.
        denominator: What was divided by, if anything was.
    """

    value: float
    count: int
    weight: float
    denominator: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """The answer for one loss.

    Attributes:
        value: A number, an array where axes are kept, or a mapping of groups.
        loss: Canonical name.
        reduction: Canonical name.
        count: Number of kept entries.
        weight: Sum of their weights.
        backend: What computed the loss values.
        device: Where.
        dtype: Dtype of the loss values.
        denominator: What was divided by, if one number was.
        index: Position of the first sample with the extreme, for min and max.
        batch_id: The batch that ``index`` counts in, where several were merged.
        relative_error: Bound of the error of a quantile from a histogram; None if it is exact.
        omitted: Number of entries left out by ``nonfinite: omit``.
        groups: The sums behind each group's value.
        kept: Which entries the mask kept, under ``none``, where the wire tells.
        state: The mergeable state, if asked for.
        state_hash: SHA-256 of the state's specification and sums, in hexadecimal.
        warnings: What looks wrong but was computed.
    """

    value: Value
    loss: str
    reduction: str
    count: int
    weight: float
    backend: str
    device: str
    dtype: str
    denominator: float | None = None
    index: int | None = None
    batch_id: str | None = None
    relative_error: float | None = None
    omitted: int | None = None
    groups: Mapping[str, Group] | None = None
    kept: Array | None = None
    state: bytes | None = field(default=None, repr=False)
    state_hash: str | None = None
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        given = {one.name: getattr(self, one.name) for one in fields(self) if one.repr}
        told = (f"{name}={x!r}" for name, x in given.items() if x is not None and x != ())
        return f"Answer({', '.join(told)})"

    def __float__(self) -> float:
        """The value, where it is one number."""
        if isinstance(self.value, Mapping):
            raise TypeError("the answer is a mapping of groups")
        return float(self.value)

    @property
    def is_exact(self) -> bool:
        """Whether no histogram stands between the data and the value."""
        return self.relative_error is None


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers for several losses over shared inputs.

    Attributes:
        results: Answer of each loss.
        total: Sum of the values times their ``loss_weight``; None if a value is no single number.
        skipped: Losses whose targets were absent.
    """

    results: Mapping[str, Answer]
    total: float | None = None
    skipped: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Answer:
        return self.results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    @property
    def is_exact(self) -> bool:
        """Whether no histogram stands between the data and any value."""
        return all(answer.is_exact for answer in self.results.values())


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an evaluation.

    Attributes:
        step: Its name.
        says: What was done, in a sentence.
        numbers: The numbers of it.
    """

    step: str
    says: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DialectAnswer:
    """What one framework says of the same data.

    Attributes:
        symbol: Its symbol, or the canonical name.
        framework: The framework; empty for the canonical loss.
        version: The version whose rule it is.
        reduction: Canonical name of the reduction.
        value: Its value; None if it refuses.
        numerator: The weighted sum that was divided, if one was.
        denominator: What it was divided by, if one number was.
        divisor: The same in words.
        agrees: Whether it is the number that was asked for.
        why: A sentence for each difference.
        note: What was done so that it could be asked at all.
    """

    symbol: str = ""
    framework: str = ""
    version: str = ""
    reduction: str = ""
    value: Value | None = None
    numerator: float | None = None
    denominator: float | None = None
    divisor: str = ""
    agrees: bool = False
    why: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer, how it came about, and what other frameworks say.

    Attributes:
        answer: As ``evaluate`` gives it.
        symbol: What the request named.
        framework: The framework and its version; empty for a canonical loss.
        steps: What was done, in its order.
        dialects: What every other dialect that knows the loss says.
    """

    answer: Answer
    symbol: str
    framework: str
    steps: tuple[Step, ...]
    dialects: tuple[DialectAnswer, ...]


@dataclass(frozen=True, slots=True)
class LossInput:
    """An input of a loss.

    Attributes:
        name: Its name.
        shape: Its axes: ``...`` is any number of them, the same in all inputs; a letter is a size.
        domain: Name of its domain.
        values: Its admissible values, in words.
        description: What it is.
    """

    name: str
    shape: str = ""
    domain: str = ""
    values: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A framework's name for a loss.

    Attributes:
        symbol: The name, as a request gives it.
        framework: The framework.
        version: The version whose rules it follows.
        default_reduction: Its reduction if a request names none.
        params: Its parameters, as JSON Schema.
        reductions: The framework's own words for reductions; canonical ones are taken besides.
    """

    symbol: str
    framework: str = ""
    version: str = ""
    default_reduction: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    reductions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LossDescriptor:
    """What is known of a loss.

    Attributes:
        name: Canonical name.
        names: Other names it answers to.
        kind: Its family.
        summary: What it measures, in a line.
        formula: Its formula, in LaTeX.
        notes: What there is to say besides.
        inputs: What it takes.
        output: ``elementwise``; ``per_sample`` where an axis is used up; ``batch`` where the batch
            defines the values.
        default_reduction: Its reduction if a request names none.
        params: Its parameters, as JSON Schema.
        source: The paper, or the framework whose rule it is.
        symbols: The frameworks' names for it.
        examples: Requests and their loss values.
    """

    name: str
    names: tuple[str, ...] = ()
    kind: str = ""
    summary: str = ""
    formula: str = ""
    notes: str = ""
    inputs: tuple[LossInput, ...] = ()
    output: str = ""
    default_reduction: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    symbols: tuple[Symbol, ...] = ()
    examples: tuple[Mapping[str, Any], ...] = ()


def answer_of(told: Mapping[str, Any]) -> Answer | Answers:
    """The answer in the fields that every wire has."""
    if "results" in told:
        # A protobuf map has no order of its own.
        results = {name: _one_answer(one) for name, one in sorted(told["results"].items())}
        return Answers(results, told.get("total"), tuple(told.get("skipped", ())))
    return _one_answer(told)


def _one_answer(told: Mapping[str, Any]) -> Answer:
    made = dict(told)
    if isinstance(value := told.get("value"), Mapping):
        made["value"] = dict(sorted(value.items()))
    if "groups" in told:
        groups = sorted(told["groups"].items())
        made["groups"] = {label: _known(Group, group) for label, group in groups}
    return _known(Answer, made)


def explanation_of(told: Mapping[str, Any]) -> Explanation:
    """The explanation in the fields that every wire has."""
    return Explanation(
        _one_answer(told),
        told.get("symbol", ""),
        told.get("framework", ""),
        tuple(_known(Step, step) for step in told.get("steps", ())),
        tuple(_known(DialectAnswer, one) for one in told.get("dialects", ())),
    )


def descriptor_of(told: Mapping[str, Any]) -> LossDescriptor:
    """The loss in the fields that every wire has."""
    parts = {
        "inputs": tuple(_known(LossInput, one) for one in told["inputs"]),
        "symbols": tuple(_known(Symbol, one) for one in told["symbols"]),
    }
    return _known(LossDescriptor, {**told, **parts})


def _known(kind: type[T], told: Mapping[str, Any]) -> T:
    """A dataclass from the fields it has; a later service may tell more."""
    names = {one.name for one in fields(kind)}  # type: ignore[arg-type]  # every kind is one
    return kind(
        **{n: tuple(x) if isinstance(x, list) else x for n, x in told.items() if n in names}
    )
