"""Losses that the settings of a service declare, as expressions by name."""

import re
from collections.abc import Mapping
from typing import Any

from lossmeter.core.declare import NAMES, Loss
from lossmeter.core.expressions.loss import named
from lossmeter.core.own import OWN
from lossmeter.dialects import SYMBOLS
from lossmeter.errors import LossmeterError, MalformedRequest, ParameterInvalid
from lossmeter.plan.names import symbol_of
from lossmeter.plan.request import NamedExpression, read

SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def take_expressions(expressions: Mapping[str, Any]) -> None:
    """Take these for all losses that the settings declare.

    Args:
        expressions: Of each name what ``NamedExpression`` says.

    Raises:
        LossmeterError: A name is taken, or an expression is wrong.
    """
    OWN.replace("settings", {name: _loss(name, told) for name, told in expressions.items()})


def _loss(name: str, told: Any) -> Loss:
    if not SNAKE_CASE.fullmatch(name) or name in NAMES or name in SYMBOLS:
        raise ParameterInvalid(
            "a loss of one's own has a name in snake_case that the catalogue does not have",
            field=f"expressions.{name}",
        )
    if not isinstance(told, Mapping):
        raise MalformedRequest('it is written {"expression": ...}', field=f"expressions.{name}")
    try:
        own = read(NamedExpression, told)
        loss = symbol_of(own, own.params).variants[0].loss
    except LossmeterError as error:
        place = (error.field or "").removeprefix("loss.")
        error.field = ".".join(filter(None, ("expressions", name, place)))
        raise
    return named(loss, name, own.summary, own.params)
