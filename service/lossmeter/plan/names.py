"""From a name in a request to the symbol it means."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel
from rapidfuzz import process
from rapidfuzz.fuzz import WRatio

from lossmeter.core.declare import NAMES, REGISTRY
from lossmeter.core.expressions.loss import expression_loss
from lossmeter.core.own import OWN
from lossmeter.dialects import SYMBOLS
from lossmeter.dialects.symbols import Symbol, canonical
from lossmeter.errors import LossmeterError, LossNotFound, ParameterInvalid
from lossmeter.plan.request import Expression

SIMILAR = 70.0


def nearest(name: str, known: list[str], most: int = 3) -> list[str]:
    """The known names most like this one."""
    found = process.extract(
        name[:200], known, scorer=WRatio, limit=most, score_cutoff=SIMILAR, processor=str.lower
    )
    return [match for match, _, _ in found]


def known(name: str) -> str | None:
    """The name itself, of an alias the loss's; none where nothing has it."""
    if name in SYMBOLS or name in OWN:
        return name
    return NAMES.get(name)


def symbol_named(name: str, field: str = "loss") -> Symbol:
    """The symbol of a framework, or the canonical loss as one.

    Raises:
        LossNotFound: Nothing has this name; the message gives the nearest.
    """
    if name in SYMBOLS:
        return SYMBOLS[name]
    if name in NAMES:
        return canonical(REGISTRY[NAMES[name]])
    if name in OWN:
        return canonical(OWN[name])
    near = nearest(name, [*NAMES, *SYMBOLS, *OWN])
    hint = f"did you mean {' or '.join(near)}" if near else "ListLosses, GET /v1/losses, lists them"
    raise LossNotFound(f"no loss or symbol has this name; {hint}", field=field)


def symbol_of(loss: str | Expression, params: Mapping[str, Any], field: str = "") -> Symbol:
    """The symbol that a request asks for: by name, or as an expression with these parameters.

    Args:
        loss: The name or the expression.
        params: The request's parameters; which names of an expression they are.
        field: Where the loss stands in the request, as a prefix of error fields.

    Raises:
        LossNotFound: Nothing has this name.
        ParameterInvalid: It is no expression, or has other parameters.
        TooLarge: The expression is too long or too deep.
    """
    if isinstance(loss, str):
        return symbol_named(loss, f"{field}loss")
    kinds = tuple(sorted((name, isinstance(x, bool | np.bool_)) for name, x in params.items()))
    try:
        for name in params:
            # The parameters become the fields of a model, which has names of its own.
            if hasattr(BaseModel, name):
                raise ParameterInvalid("no parameter has this name", field=f"params.{name}")
        return canonical(expression_loss(loss.expression, kinds))
    except LossmeterError as error:
        error.field = f"{field}{error.field or 'loss.expression'}"
        raise
