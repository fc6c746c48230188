"""What an expression may call, each a function of the primitives and the stable compounds."""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Literal

from lossmeter.core import stable
from lossmeter.core.arrays import Array, Namespace

Kind = Literal["number", "condition"]
# What becomes of the axes of an entry: they stay, they are worked along, reduced, one is added, or
# one value of the last is picked.
Axes = Literal["each", "along", "reduced", "added", "picked"]
Axis = int | tuple[int, ...]
NUMBER: Kind = "number"
CONDITION: Kind = "condition"


@dataclass(frozen=True, slots=True)
class Function:
    """A function or an operator.

    Attributes:
        name: Its name or sign.
        run: From the namespace and the arguments, with ``axis`` and ``keepdims`` where it has them.
        takes: What each argument is.
        gives: What the result is.
        axes: What becomes of the axes of an entry.
        mixes: Whether it takes numbers beside arrays as they are.
        settings: What it takes by name.
    """

    name: str
    run: Callable[..., Array]
    takes: tuple[Kind, ...] = (NUMBER,)
    gives: Kind = NUMBER
    axes: Axes = "each"
    mixes: bool = False
    settings: tuple[str, ...] = ()


def _primitive(name: str) -> Callable[..., Array]:
    def run(xp: Namespace, *args: Array, **settings: Any) -> Array:
        return getattr(xp, name)(*args, **settings)

    return run


def _sign(run: Callable[..., Array]) -> Callable[..., Array]:
    """An operator, which arrays of any namespace have."""

    def between(xp: Namespace, *args: Array) -> Array:
        return run(*args)

    return between


def _mean(xp: Namespace, x: Array, axis: Axis, keepdims: bool) -> Array:
    total = xp.sum(x, axis=axis, keepdims=keepdims)
    sizes = [x.shape[at] for at in (axis if isinstance(axis, tuple) else (axis,))]
    # A traced array may leave a size free: then it is counted.
    free = None in sizes
    return total / (xp.sum(xp.ones_like(x), axis=axis, keepdims=keepdims) if free else prod(sizes))


def _min(xp: Namespace, x: Array, axis: Axis, keepdims: bool) -> Array:
    return -xp.max(-x, axis=axis, keepdims=keepdims)


def _all(xp: Namespace, x: Array, axis: Axis, keepdims: bool) -> Array:
    return ~xp.any(~x, axis=axis, keepdims=keepdims)


def _clip(xp: Namespace, x: Array, low: Array, high: Array) -> Array:
    return xp.minimum(xp.maximum(x, low), high)


def _xlogy(xp: Namespace, x: Array, y: Array) -> Array:
    return stable.xlogy(xp, x, xp.log(y))


def _power(xp: Namespace, base: Array, exponent: Array) -> Array:
    if isinstance(exponent, float):
        return stable.powered(xp, base, exponent)
    return xp.pow(xp.full_like(exponent, base) if isinstance(base, float) else base, exponent)


def _alone(run: Callable[..., Array]) -> Callable[..., Array]:
    """A compound that always works on the last axis."""

    def last(xp: Namespace, x: Array, **_: Any) -> Array:
        return run(xp, x)

    return last


AXIS = ("axis",)
REDUCING = ("axis", "keepdims")
PAIR = (NUMBER, NUMBER)
TRIPLE = (NUMBER, NUMBER, NUMBER)
PRIMITIVE = ("abs", "exp", "expm1", "log", "log1p", "sin", "sqrt", "square")
FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        function.name: function
        for function in (
            *(Function(name, _primitive(name)) for name in PRIMITIVE),
            Function("sign", stable.sign),
            Function("tanh", stable.tanh),
            Function("sigmoid", stable.sigmoid),
            Function("softplus", stable.softplus),
            Function("maximum", _primitive("maximum"), PAIR),
            Function("minimum", _primitive("minimum"), PAIR),
            Function("pow", _power, PAIR, mixes=True),
            Function("xlogy", _xlogy, PAIR),
            Function("log_add_exp", stable.log_add_exp, PAIR),
            Function("clip", _clip, TRIPLE),
            Function("where", _primitive("where"), (CONDITION, NUMBER, NUMBER)),
            Function("sum", _primitive("sum"), axes="reduced", settings=REDUCING),
            Function("mean", _mean, axes="reduced", settings=REDUCING),
            Function("max", _primitive("max"), axes="reduced", settings=REDUCING),
            Function("min", _min, axes="reduced", settings=REDUCING),
            Function(
                "any", _primitive("any"), (CONDITION,), CONDITION, "reduced", settings=REDUCING
            ),
            Function("all", _all, (CONDITION,), CONDITION, "reduced", settings=REDUCING),
            Function("log_sum_exp", _alone(stable.log_sum_exp), axes="reduced", settings=AXIS),
            Function("softmax", _alone(stable.softmax), axes="along", settings=AXIS),
            Function("log_softmax", _alone(stable.log_softmax), axes="along", settings=AXIS),
            Function("expand_dims", _primitive("expand_dims"), axes="added", settings=AXIS),
            Function("pick", stable.pick, PAIR, axes="picked"),
        )
    }
)
BOTH = (CONDITION, CONDITION)
# By what Python's parser calls them.
OPERATORS: Mapping[type[ast.AST], Function] = MappingProxyType(
    {
        ast.Add: Function("+", _sign(operator.add), PAIR, mixes=True),
        ast.Sub: Function("-", _sign(operator.sub), PAIR, mixes=True),
        ast.Mult: Function("*", _sign(operator.mul), PAIR, mixes=True),
        ast.Div: Function("/", _sign(operator.truediv), PAIR, mixes=True),
        ast.Pow: Function("**", _power, PAIR, mixes=True),
        ast.Eq: Function("==", _sign(operator.eq), PAIR, CONDITION, mixes=True),
        ast.NotEq: Function("!=", _sign(operator.ne), PAIR, CONDITION, mixes=True),
        ast.Lt: Function("<", _sign(operator.lt), PAIR, CONDITION, mixes=True),
        ast.LtE: Function("<=", _sign(operator.le), PAIR, CONDITION, mixes=True),
        ast.Gt: Function(">", _sign(operator.gt), PAIR, CONDITION, mixes=True),
        ast.GtE: Function(">=", _sign(operator.ge), PAIR, CONDITION, mixes=True),
        ast.BitAnd: Function("&", _sign(operator.and_), BOTH, CONDITION),
        ast.BitOr: Function("|", _sign(operator.or_), BOTH, CONDITION),
        ast.Invert: Function("~", _sign(operator.invert), (CONDITION,), CONDITION),
        ast.USub: Function("-", _sign(operator.neg)),
        ast.UAdd: Function("+", _sign(operator.pos)),
    }
)
