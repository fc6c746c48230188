"""From a state to an answer."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lossmeter.app.answer import Answer, Group, Value
from lossmeter.core.arrays import Array
from lossmeter.core.exact import exact_sum
from lossmeter.core.parts import Linear
from lossmeter.core.reductions import Outcome, Parts, Reduction, finish, finish_macro
from lossmeter.core.state import Key, State, order
from lossmeter.errors import EmptyReduction
from lossmeter.plan.plan import Candidate, Plan


def answer_from(
    state: State,
    plan: Plan,
    candidate: Candidate,
    output: Array | None = None,
) -> Answer:
    """Finish a state.

    Args:
        state: The parts of each group.
        plan: Symbol and reduction.
        candidate: The loss that was computed.
        output: The loss values, under the reduction ``none``.

    Raises:
        EmptyReduction: A mean of nothing, where it is an error.
    """
    reduction = own_reduction(plan.reduction, candidate)
    outcomes: dict[Key, Outcome] = {}
    if output is None:
        outcomes = {
            key: _finished(state.cells[key], reduction, plan.empty)
            for key in sorted(state.cells, key=order)
        }
    macro = reduction.name == "macro_mean"
    linear = state.linear
    value, single = _value(outcomes, state, reduction, output)
    denominator = single.denominator if single else None
    if state.spec.joins_outputs:
        value = _joined(np.asarray(value), candidate.columns)
        shared = {outcome.denominator for outcome in outcomes.values()}
        denominator = shared.pop() if len(shared) == 1 else None
    return Answer(
        value=value,
        loss=candidate.variant.loss.name,
        reduction=reduction.name,
        count=linear.count,
        weight=float(linear.weight),
        backend=state.spec.backend,
        device=state.spec.device,
        dtype=state.spec.dtype,
        denominator=denominator,
        index=single.at.row if single and single.at else None,
        relative_error=max((o.relative_error for o in outcomes.values()), default=0.0) or None,
        groups=_groups(state, outcomes) if reduction.by and not macro else None,
        masked=plan.symbol.dialect.masked,
    )


def own_reduction(reduction: Reduction, candidate: Candidate) -> Reduction:
    """The reduction, with what the dialect's own mean of this loss divides by or sums."""
    if not reduction.own_divisor:
        return reduction
    own = candidate.own
    return replace(
        reduction,
        own_divisor=own not in ("", "lengths"),
        own_numerator=own == "lengths",
        floor=candidate.parameter["epsilon"] if own == "ratio" else 0.0,
    )


def _finished(parts: Parts, reduction: Reduction, empty: float | None) -> Outcome:
    try:
        with np.errstate(all="ignore"):
            return finish(parts, reduction)
    except EmptyReduction:
        if empty is None or not reduction.rule.mean:
            raise
        return Outcome(empty, 0.0)


def _value(
    outcomes: Mapping[Key, Outcome],
    state: State,
    reduction: Reduction,
    output: Array | None,
) -> tuple[Value, Outcome | None]:
    if output is not None:
        return output, None
    if reduction.name == "macro_mean":
        macro = finish_macro(list(outcomes.values()))
        return macro.value, macro
    if reduction.by is not None:
        return {str(key): outcome.value for key, outcome in outcomes.items()}, None
    if state.shape or not outcomes.keys() <= {None}:
        values = np.asarray([outcome.value for outcome in outcomes.values()], dtype=np.float64)
        return values.reshape(state.shape), None
    (only,) = outcomes.values()
    return only.value, only


def _joined(values: Array, columns: str | list[float] | None) -> Value:
    """Several outputs as the dialect joins them: each exact, their mean rounded once."""
    if columns == "raw_values":
        return values
    weights = columns if isinstance(columns, list) else [1.0] * values.size
    try:
        return exact_sum(np.asarray(weights) * values) / exact_sum(np.asarray(weights))
    except ZeroDivisionError:
        raise EmptyReduction(
            "the weights of the outputs sum to 0", field="params.multioutput"
        ) from None


def _groups(state: State, outcomes: Mapping[Key, Outcome]) -> dict[str, Group]:
    groups = {}
    for key, outcome in outcomes.items():
        linear = state.cells[key]["linear"]
        assert isinstance(linear, Linear)
        weight = float(linear.weight)
        groups[str(key)] = Group(outcome.value, linear.count, weight, outcome.denominator)
    return groups
