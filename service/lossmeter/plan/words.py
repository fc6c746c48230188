"""The word for a reduction, and the settings beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lossmeter.core.declare import Loss
from lossmeter.core.reductions import RULES, Reduction
from lossmeter.dialects.symbols import Symbol
from lossmeter.errors import ParameterInvalid, UnknownReduction
from lossmeter.plan.names import nearest
from lossmeter.plan.request import ReductionBody


def read_reduction(
    asked: ReductionBody, symbol: Symbol, losses: Sequence[Loss], field: str
) -> Reduction:
    """Read a reduction word in the symbol's dialect first, then as canonical.

    Args:
        asked: The word and its settings.
        symbol: The symbol asked for.
        losses: The losses that it may stand for here.
        field: Where the word was given.

    Raises:
        UnknownReduction: The word is neither.
        ParameterInvalid: A setting that the reduction does not take, or one it needs and lacks.
    """
    words = symbol.reduction_words()
    template = words.get(asked.name) or (Reduction(asked.name) if asked.name in RULES else None)
    if template is None:
        raise _unknown(asked.name, words, field)
    ratio = any(loss.reduces_as == "ratio" for loss in losses)
    reduction = replace(
        template,
        root=any(loss.reduces_as == "root" for loss in losses),
        own_divisor=template.own_divisor or (ratio and template.rule.mean),
    )
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
