"""A specification made ready: everything that can be decided before the tensors are seen."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from lossmeter.core.arrays import Array
from lossmeter.core.declare import Guard, PerOutput
from lossmeter.core.program import Program
from lossmeter.core.reductions import RULES, Reduction
from lossmeter.dialects.symbols import Rule, Symbol, Variant
from lossmeter.errors import ParameterInvalid, UnknownReduction
from lossmeter.plan.names import nearest, symbol_named
from lossmeter.plan.parameters import param_of, read_params
from lossmeter.plan.request import ReductionBody

ClassWeight = list[float] | dict[str, float] | str | None
# Parameters that surround the kernel; the plan applies them.
AROUND = frozenset({"temperature", "ignore_index", "class_weight"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """One loss that the symbol may stand for, with its parameters in force.

    Attributes:
        variant: The symbol's variant.
        program: The array program.
        settings: The parameters in force, as the request spells them.
        axis: Axis of the classes, or the axis averaged, of the framework's arrays.
        per_output: Parameters given as lists, to broadcast over the last axis.
        factor: Multiplies the loss values, or nothing.
        class_factor: Factor of each class, or nothing.
        divides: Whether the dialect's mean divides by the sum of the factor.
        ignore_index: Target that is left out, or nothing.
        class_weight: Weights of the classes, or nothing.
        refused: Keyword whose value this loss does not take, or nothing.
    """

    variant: Variant
    program: Program
    settings: Mapping[str, Any]
    axis: int
    per_output: Mapping[str, Array]
    factor: Array | None
    class_factor: Array | None
    divides: bool
    ignore_index: int | None
    class_weight: ClassWeight
    refused: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A loss, its parameters and its reduction.

    Attributes:
        symbol: What the request named.
        candidates: The losses it may stand for; the targets choose.
        reduction: How the values become the answer.
    """

    symbol: Symbol
    candidates: tuple[Candidate, ...]
    reduction: Reduction


def prepare(
    loss: str,
    params: Mapping[str, Any],
    reduction: str | ReductionBody | None,
    field: str = "",
) -> Plan:
    """Make a specification ready; repeated ones come from a cache.

    Args:
        loss: Canonical name or symbol.
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
        key = json.dumps(params, allow_nan=False, sort_keys=True, default=_plain)
    except (TypeError, ValueError):
        raise ParameterInvalid(
            "parameters are finite numbers, booleans, strings, and lists and objects of them",
            field=f"{field}params",
        ) from None
    prepared = _prepare if len(key) > _CACHED_CHARACTERS else _cached
    return prepared(loss, key, asked, field)


def _plain(value: Any) -> Any:
    """A NumPy scalar or array as JSON has it."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError


_CACHED_CHARACTERS = 4096


def _prepare(loss: str, key: str, asked: str | None, field: str) -> Plan:
    params = orjson.loads(key)
    symbol = symbol_named(loss, f"{field}loss")
    candidates = tuple(
        _candidate(symbol, index, params, f"{field}params") for index in _chosen(symbol, params)
    )
    body = None
    if asked is not None:
        is_body = asked.startswith("{")
        body = ReductionBody.model_validate_json(asked) if is_body else ReductionBody(name=asked)
    return Plan(symbol, candidates, read_reduction(body, symbol, f"{field}reduction"))


_cached = lru_cache(maxsize=1024)(_prepare)


def _chosen(symbol: Symbol, params: Mapping[str, Any]) -> list[int]:
    """The variants that the switching keyword leaves."""
    indices = range(len(symbol.variants))
    chosen = [
        i
        for i in indices
        if (when := symbol.variants[i].when) is None or params.get(when[0], False) is when[1]
    ]
    # A switch that is no boolean chooses nothing; the first variant's model says so.
    return chosen or [0]


def _candidate(symbol: Symbol, index: int, params: Mapping[str, Any], field: str) -> Candidate:
    variant = symbol.variants[index]
    settings = read_params(symbol, index, params, field)
    by_rule = {
        rule: settings[keyword]
        for keyword, rule in variant.keywords.items()
        if isinstance(rule, Rule)
    }
    kernel = {p.name: p.default for p in variant.loss.params if not p.marked(Guard)}
    kernel |= variant.defaults
    kernel |= {
        name: settings[keyword]
        for keyword, name in variant.keywords.items()
        if isinstance(name, str)
    }
    kernel |= variant.fixed
    around = {name: kernel.pop(name, None) for name in AROUND}
    per_output = {
        name: np.asarray(kernel.pop(name), dtype=np.float64)
        for name in list(kernel)
        if isinstance(kernel[name], list) and param_of(variant, name).marked(PerOutput)
    }
    class_factor = _array(by_rule.get(Rule.CLASS_FACTOR), f"{field}.weight")
    weight = by_rule.get(Rule.WEIGHT)
    factor = _array(weight if weight is not None else by_rule.get(Rule.FACTOR), f"{field}.weight")
    axis = by_rule.get(Rule.CLASS_AXIS, by_rule.get(Rule.MEAN_AXIS, variant.class_axis))
    return Candidate(
        variant=variant,
        program=Program(
            loss=variant.loss,
            params=tuple(sorted(kernel.items())),
            guards=variant.guards,
            temperature=around["temperature"] or 1.0,
            inner_mean=variant.inner_mean,
        ),
        settings=settings,
        axis=axis,
        per_output=per_output,
        factor=factor,
        class_factor=class_factor,
        divides=weight is not None or (class_factor is not None and bool(variant.index_targets)),
        ignore_index=around["ignore_index"],
        class_weight=around["class_weight"],
        refused=next(
            (
                keyword
                for keyword, rule in variant.keywords.items()
                if rule is Rule.ONLY_NEGATIVE and settings[keyword] >= 0
            ),
            None,
        ),
    )


def _array(numbers: Any, field: str) -> Array | None:
    if numbers is None:
        return None
    try:
        array = np.asarray(numbers)
        if array.dtype.kind not in "iuf":
            raise TypeError
        return array.astype(np.float64)
    except (ValueError, TypeError):
        raise ParameterInvalid(
            "must be numbers in nested lists of equal length", field=field
        ) from None


def read_reduction(body: ReductionBody | None, symbol: Symbol, field: str) -> Reduction:
    """Read a reduction word in the symbol's dialect first, then as canonical.

    Raises:
        UnknownReduction: The word is neither.
        ParameterInvalid: A setting that the reduction does not take, or one it needs and lacks.
    """
    words = symbol.reduction_words()
    asked = body or ReductionBody(name=symbol.default_reduction)
    template = words.get(asked.name) or (Reduction(asked.name) if asked.name in RULES else None)
    if template is None:
        raise _unknown(asked.name, words, field)
    root = any(variant.loss.reduces_as == "root" for variant in symbol.variants)
    reduction = replace(template, root=root)
    return _with_settings(reduction, asked, field)


def _unknown(name: str, words: Mapping[str, Reduction], field: str) -> UnknownReduction:
    known = list(dict.fromkeys([*words, *RULES]))
    near = nearest(name, known)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return UnknownReduction(
        f"no reduction has this name; {hint}known: {', '.join(known)}", field=field
    )


def _with_settings(reduction: Reduction, body: ReductionBody, field: str) -> Reduction:
    given = {k: v for k, v in body.model_dump(exclude_none=True).items() if k != "name"}
    _check_settings(reduction, given, field)
    axis = given.pop("axis", None)
    if axis is not None:
        given["axis"] = tuple(axis) if isinstance(axis, list) else (axis,)
    if "divisor" in given:
        given["own_divisor"] = False
    return replace(reduction, **given)


def _check_settings(reduction: Reduction, given: Mapping[str, Any], field: str) -> None:
    options = reduction.rule.options
    grouping = {"none": (), "macro_mean": ("by",)}.get(reduction.name, ("axis", "by"))
    for name in given:
        if name not in (*options, *grouping):
            takes = ", ".join(dict.fromkeys((*options, *grouping))) or "no settings"
            raise ParameterInvalid(
                f"{reduction.name} takes no {name}; it takes {takes}", field=f"{field}.{name}"
            )
    for name, required in options.items():
        if required and name not in given:
            raise ParameterInvalid(f"{reduction.name} needs {name}", field=f"{field}.{name}")
    if "axis" in given and "by" in given:
        raise ParameterInvalid("give axis or by, not both", field=f"{field}.axis")
    if given.get("axis") == []:
        raise ParameterInvalid("name at least one axis", field=f"{field}.axis")
