"""A specification made ready: everything that can be decided before the tensors are seen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import orjson

from lossmeter.core.arrays import Array
from lossmeter.core.declare import (
    AXIS,
    CLASS_WEIGHT,
    IGNORE_INDEX,
    TEMPERATURE,
    Guard,
    Loss,
    PerClass,
    PerOutput,
)
from lossmeter.core.domains import Domain
from lossmeter.core.program import INNER_FACTOR, TARGET_FACTOR, WHERE, Program
from lossmeter.core.reductions import Reduction
from lossmeter.dialects.symbols import Inner, Own, Rule, Symbol, Variant
from lossmeter.errors import ParameterInvalid
from lossmeter.plan.names import symbol_of
from lossmeter.plan.parameters import default_of, param_of, read_params
from lossmeter.plan.request import Expression, ReductionBody
from lossmeter.plan.words import read_reduction

ClassWeight = list[float] | dict[str, float] | str | None
# Parameters that surround the kernel; the plan applies them.
AROUND = (TEMPERATURE, IGNORE_INDEX, CLASS_WEIGHT, AXIS)
EXTRAS = {Rule.WHERE: WHERE, Rule.TARGET_FACTOR: TARGET_FACTOR, Rule.INNER_FACTOR: INNER_FACTOR}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One loss that the symbol may stand for, with its parameters in force.

    Attributes:
        symbol: What the request named.
        variant: The symbol's variant.
        program: The array program.
        settings: The parameters in force, as the request spells them.
        rules: What the keywords that are rules say.
        domains: The domain of each input under these parameters.
        per_output: Parameters given as lists, to broadcast over the last axis.
        per_class: Parameters given as a number a class.
        factor: Multiplies the loss values, or nothing.
        around: The program's own array parameters.
        own: What the dialect's own mean divides by or sums, if anything.
        ignore_index: Target that is left out, or nothing.
        class_weight: Weights of the classes, or nothing.
        refused: Keyword whose value this loss does not take, or nothing.
        told: Its loss and parameters for a state's specification, as JSON with sorted keys.
    """

    symbol: Symbol
    variant: Variant
    program: Program
    settings: Mapping[str, Any]
    rules: Mapping[Rule, Any]
    domains: Mapping[str, Domain]
    per_output: Mapping[str, Array]
    per_class: Mapping[str, Array]
    factor: Array | None
    around: Mapping[str, Array]
    own: Own
    ignore_index: int | None
    class_weight: ClassWeight
    refused: str | None
    told: str

    @property
    def axis(self) -> int:
        """Axis of the classes, or the axis averaged, of the framework's arrays."""
        chosen = self.rules.get(Rule.CLASS_AXIS, self.rules.get(Rule.MEAN_AXIS))
        return self.variant.class_axis if chosen is None else int(chosen)

    @property
    def parameter(self) -> Mapping[str, Any]:
        """The kernel's parameters by name."""
        return dict(self.program.params)

    @property
    def in_force(self) -> Mapping[str, Any]:
        """What holds of every parameter that a request may set, lists among them."""
        lists = {**self.per_output, **self.per_class}
        return {
            **self.parameter,
            TEMPERATURE.name: self.program.temperature,
            CLASS_WEIGHT.name: self.class_weight,
            **{name: x.tolist() for name, x in lists.items()},
        }

    @property
    def columns(self) -> str | list[float] | None:
        """How several outputs are joined, where they are reduced apart."""
        if self.variant.by_column:
            return "raw_values"
        if Rule.OUTPUTS in self.rules:
            return "raw_values" if self.rules[Rule.OUTPUTS] > 1 else None
        joining: str | list[float] | None = self.rules.get(Rule.COLUMNS)
        return joining

    @property
    def whole(self) -> str | None:
        """Why the values depend on the whole batch, if they do whatever the batch is."""
        survey = self.variant.survey
        if self.variant.loss.output == "batch":
            return f"{self.variant.loss.name} is defined by the batch as a whole"
        if survey is not None and self.settings.get(survey.settled_by or "") is None:
            return f"this framework reads {survey.why} before it takes one"
        if self.class_weight == "balanced":
            return '"balanced" class weights are counted over all samples'
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A loss, its parameters and its reduction; one that is prepared anew is another.

    Attributes:
        symbol: What the request named.
        candidates: The losses it may stand for; the targets choose.
        reduction: How the values become the answer.
    """

    symbol: Symbol
    candidates: tuple[Candidate, ...]
    reduction: Reduction

    @property
    def empty(self) -> float | None:
        """What a mean of nothing is; None where it is an error."""
        nothing = self.reduction.nothing
        return self.symbol.dialect.empty if nothing is None else nothing


def prepare(
    loss: str | Expression,
    params: Mapping[str, Any],
    reduction: str | ReductionBody | None,
    field: str = "",
) -> Plan:
    """Make a specification ready; repeated ones come from a cache.

    Args:
        loss: Canonical name or symbol, or an expression.
        params: Parameters in the symbol's own names.
        reduction: Word or settings; None for the symbol's default.
        field: Where the loss stands in the request, as a prefix of error fields.

    Raises:
        LossNotFound: No loss has this name.
        ParameterInvalid: A parameter is unknown or out of its bounds.
        UnknownReduction: No such reduction.
    """
    asked = reduction.model_dump_json() if isinstance(reduction, ReductionBody) else reduction
    try:
        key = (
            NOTHING
            if not params
            else json.dumps(params, allow_nan=False, sort_keys=True, default=_plain)
        )
    except (TypeError, ValueError):
        raise ParameterInvalid(
            "parameters are finite numbers, booleans, strings, and lists and objects of them",
            field=f"{field}params",
        ) from None
    prepared = _prepare if len(key) > _CACHED_CHARACTERS else _cached
    return prepared(symbol_of(loss, params, field), key, asked, field)


def _plain(value: Any) -> Any:
    """A NumPy scalar or array as JSON has it."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError


NOTHING = "{}"
_CACHED_CHARACTERS = 4096


def _prepare(symbol: Symbol, key: str, asked: str | None, field: str) -> Plan:
    params = orjson.loads(key)
    candidates = tuple(
        _candidate(symbol, index, params, f"{field}params") for index in _chosen(symbol, params)
    )
    body = None
    if asked is not None:
        is_body = asked.startswith("{")
        body = ReductionBody.model_validate_json(asked) if is_body else ReductionBody(name=asked)
    default = default_reduction(symbol, candidates[0])
    asked_or_default = body or ReductionBody(name=default)
    losses = [candidate.variant.loss for candidate in candidates]
    reduction = read_reduction(asked_or_default, symbol, losses, f"{field}reduction")
    return Plan(symbol, candidates, reduction)


def default_reduction(symbol: Symbol, candidate: Candidate) -> str:
    """The symbol's default, which a keyword may choose."""
    rules = candidate.rules
    if rules.get(Rule.NORMALIZE, True) is False:
        return "sum"
    if Rule.REDUCTION in rules:
        return rules[Rule.REDUCTION] or "none"
    return symbol.default_reduction


_cached = lru_cache(maxsize=1024)(_prepare)


def _chosen(symbol: Symbol, params: Mapping[str, Any]) -> list[int]:
    """The variants that the switching keywords leave."""
    matching = [
        i
        for i, variant in enumerate(symbol.variants)
        if all(
            same(params.get(name, default_of(variant, name)), value)
            for name, value in variant.when.items()
        )
    ]
    named = [i for i in matching if symbol.variants[i].when]
    # A switch that is of another type chooses nothing; the first variant's model says so.
    return named or matching or [0]


def same(a: object, b: object) -> bool:
    """Equal, where true is no number."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _candidate(symbol: Symbol, index: int, params: Mapping[str, Any], field: str) -> Candidate:
    variant = symbol.variants[index]
    settings = read_params(symbol, index, params, field)
    rules = {
        rule: settings[keyword]
        for keyword, rule in variant.keywords.items()
        if isinstance(rule, Rule)
    }
    kernel = _kernel(variant, settings)
    own = [param.name for param in AROUND if param in variant.loss.params]
    around = {name: kernel.pop(name) for name in own}
    lists = {name: value for name, value in kernel.items() if isinstance(value, list)}
    marked = {
        mark: {
            name: np.asarray(kernel.pop(name), dtype=np.float64)
            for name in lists
            if param_of(variant, name).marked(mark)
        }
        for mark in (PerOutput, PerClass)
    }
    weight = f"{field}.weight"
    class_factor = _array(rules.get(Rule.CLASS_FACTOR), weight)
    factor = _array(rules.get(Rule.WEIGHT, rules.get(Rule.FACTOR)), weight)
    given = {"factor": factor, "class_factor": class_factor, "lists": rules.get(Rule.WHERE)}
    ignored = rules.get(Rule.IGNORE_INDEX)
    return Candidate(
        symbol=symbol,
        variant=variant,
        program=Program(
            loss=variant.loss,
            params=tuple(sorted(kernel.items())),
            guards=(*_asked_guards(variant, settings), *variant.guards),
            temperature=around.get(TEMPERATURE.name, 1.0),
            inner=_inner(variant, rules),
            fill=variant.fill,
            nothing=variant.nothing,
        ),
        settings=settings,
        rules=rules,
        domains={
            spec.name: variant.domains.get(spec.name, spec.kind.domain).under(kernel)
            for spec in variant.loss.inputs
        },
        per_output=marked[PerOutput],
        per_class=marked[PerClass]
        | ({} if class_factor is None else {"class_factor": class_factor}),
        factor=factor,
        around={
            name: _array(rules[rule], f"{field}.{_keyword(variant, rule)}", kinds="biuf")
            for rule, name in EXTRAS.items()
            if rules.get(rule) is not None
        },
        own=variant.own if given.get(variant.own, True) is not None else "",
        ignore_index=around.get(IGNORE_INDEX.name) if ignored is None else ignored,
        class_weight=around.get(CLASS_WEIGHT.name),
        refused=next(
            (
                keyword
                for keyword, rule in variant.keywords.items()
                if rule is Rule.ONLY_NEGATIVE and settings[keyword] >= 0
            ),
            None,
        ),
        told=_told(variant.loss, settings),
    )


def _told(loss: Loss, settings: Mapping[str, Any]) -> str:
    graph = {"graph": loss.graph} if loss.graph else {}
    told = {"loss": loss.stated or loss.name, **graph, **settings}
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()


def _kernel(variant: Variant, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The loss's parameters in force, those that the plan applies among them."""
    kernel = {
        p.name: p.default
        for p in variant.loss.params
        if not (p.marked(Guard) and p.name not in variant.fixed)
    }
    kernel |= {
        name: settings[keyword]
        for keyword, name in variant.keywords.items()
        if isinstance(name, str)
    }
    kernel |= variant.fixed
    return kernel | (dict(variant.settle(settings)) if variant.settle else {})


def _asked_guards(variant: Variant, settings: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The guards that a keyword switches on."""
    names = {Rule.SOFTMAX: "softmax"}
    return tuple(
        (names[rule], None)
        for keyword, rule in variant.keywords.items()
        if isinstance(rule, Rule) and rule in names and settings[keyword]
    )


def _inner(variant: Variant, rules: Mapping[Rule, Any]) -> Inner:
    asked: Inner | Literal["none"] = rules.get(Rule.INNER, variant.inner)
    return "" if asked == "none" else asked


def _keyword(variant: Variant, rule: Rule) -> str:
    return next(keyword for keyword, other in variant.keywords.items() if other is rule)


def _array(numbers: Any, field: str, kinds: str = "iuf") -> Array | None:
    if numbers is None:
        return None
    try:
        array = np.asarray(numbers)
        if array.dtype.kind not in kinds:
            raise TypeError
        return array if array.dtype == np.bool_ else array.astype(np.float64)
    except (ValueError, TypeError):
        raise ParameterInvalid(
            "must be numbers in nested lists of equal length", field=field
        ) from None
