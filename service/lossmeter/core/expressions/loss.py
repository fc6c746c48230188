"""An expression as a declared loss."""

import ast
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np

from lossmeter.core.arrays import NUMPY, Array, Namespace
from lossmeter.core.declare import InputSpec, Kernel, Loss, Param
from lossmeter.core.domains import CLASS_INDEX, REAL, Input, shape_words
from lossmeter.core.expressions.functions import CONDITION
from lossmeter.core.expressions.shapes import shapes_of
from lossmeter.core.expressions.text import NAME, check_size, parsed
from lossmeter.core.expressions.tree import (
    MOST_NAMES,
    RESERVED,
    Call,
    Constant,
    Name,
    Reader,
    Tree,
    kind_of,
)
from lossmeter.errors import ParameterInvalid

# The parameters by name, in their order, and whether each is true or false.
Kinds = tuple[tuple[str, bool], ...]
# What a state holds among the parameters besides.
STATED = "loss"
POWERS = ("**", "pow")
SOURCE = "an expression of the caller's own"
DECLARED = "an expression in the settings of this service"


@lru_cache(maxsize=1024)
def expression_loss(text: str, params: Kinds) -> Loss:
    """The loss that an expression is; the same one each time, however it is spaced.

    Args:
        text: The expression.
        params: Its parameters.

    Raises:
        ParameterInvalid: It is no expression, or has other parameters.
        TooLarge: It is too long or too deep.
    """
    syntax = parsed(text)
    # Operators in a row nest without brackets: refused before anything else walks down.
    _read(syntax, params)
    return _loss(ast.unparse(syntax), params)


def _read(syntax: ast.expr, params: Kinds) -> Tree:
    return Reader(frozenset(name for name, flag in params if flag)).read(syntax)


@lru_cache(maxsize=1024)
def _loss(text: str, params: Kinds) -> Loss:
    names = frozenset(name for name, _ in params)
    tree = _read(parsed(text), params)
    _check_params(tree, names)
    if kind_of(tree) == CONDITION:
        raise ParameterInvalid(
            "an expression gives numbers, and this is a condition; where(condition, 1, 0) makes "
            "numbers of it"
        )
    shapes = shapes_of(tree, names)
    _check_powers(tree)
    used_up = any(shapes.inputs.values())
    specs = tuple(
        InputSpec(
            name,
            Input(CLASS_INDEX if name in shapes.indices else REAL, core),
            "An input of the expression.",
        )
        for name, core in shapes.inputs.items()
    )
    return Loss(
        name=f"expression({text})",
        names=(),
        kind="own",
        inputs=specs,
        params=tuple(
            Param(name, bool if flag else float, ..., "A parameter of the expression.")
            for name, flag in params
        ),
        output="per_sample" if used_up else "elementwise",
        output_shape=shape_words("..."),
        reduces_as=None,
        source=SOURCE,
        examples=(),
        summary="An expression over its inputs.",
        formula=text,
        notes="",
        kernel=_kernel(tree, next(name for name in shapes.inputs if name not in shapes.indices)),
        wide=shapes.wide,
    )


def named(loss: Loss, name: str, summary: str, defaults: Mapping[str, Any]) -> Loss:
    """An expression's loss under a name, with defaults of its parameters.

    Its states go by the expression still: the name may mean another one tomorrow or elsewhere.
    """
    params = tuple(replace(param, default=defaults[param.name]) for param in loss.params)
    return replace(
        loss,
        name=name,
        stated=loss.name,
        params=params,
        summary=summary or loss.summary,
        source=DECLARED,
    )


def _check_params(tree: Tree, params: frozenset[str]) -> None:
    """Refuse parameters that are not in the expression, or that are something else.

    Raises:
        ParameterInvalid: There is one.
        TooLarge: There are too many names.
    """
    used = set(_names(tree))
    check_size("inputs and parameters", len(used), MOST_NAMES)
    for name in sorted(params):
        if not NAME.fullmatch(name) or name in RESERVED or name == STATED:
            raise ParameterInvalid(
                "a parameter of an expression has a name of its own, of letters, digits and _",
                field=f"params.{name}",
            )
        if name not in used:
            raise ParameterInvalid(
                "the expression has no such parameter; those of its names that params holds are "
                "parameters, the others are inputs",
                field=f"params.{name}",
            )


def _check_powers(tree: Tree) -> float | bool | None:
    """What a tree of numbers alone is; nothing of one that a name is in.

    Raises:
        ParameterInvalid: A power of numbers is no finite float64.
    """
    if not isinstance(tree, Call):
        return tree.value if isinstance(tree, Constant) else None
    args = [arg for arg in map(_check_powers, tree.args) if arg is not None]
    if len(args) < len(tree.args) or tree.axes:
        return None
    made = _number(tree, args)
    if tree.function.name in POWERS and all(map(isfinite, args)) and not isfinite(made):
        raise ParameterInvalid("a power of numbers is no finite float64; write a smaller one")
    return made


def _names(tree: Tree) -> list[str]:
    if isinstance(tree, Call):
        return [name for arg in tree.args for name in _names(arg)]
    return [tree.name] if isinstance(tree, Name) else []


def _kernel(tree: Tree, value: str) -> Kernel:
    """The tree as a kernel; the dtype of an input that is a value is that of the computation."""

    def kernel(xp: Namespace, /, **given: Array) -> Array:
        return _evaluated(tree, xp, given, given[value].dtype)

    return kernel


def _evaluated(tree: Tree, xp: Namespace, given: Mapping[str, Array], dtype: Any) -> Array:
    if isinstance(tree, Constant):
        return tree.value
    if isinstance(tree, Name):
        return given[tree.name]
    args = [_evaluated(arg, xp, given, dtype) for arg in tree.args]
    if all(isinstance(arg, bool | float) for arg in args):
        return _number(tree, args)
    if not tree.function.mixes:
        args = _arrays(xp, args, dtype)
    return tree.function.run(xp, *args, **_settings(tree))


def _number(call: Call, args: list[float | bool]) -> float | bool:
    """An operation on numbers alone, in float64 on every backend; 1/0 is infinite as in arrays."""
    with np.errstate(all="ignore"):
        made: float | bool = call.function.run(NUMPY, *map(np.asarray, args)).item()
    return made


def _arrays(xp: Namespace, args: list[Array], dtype: Any) -> list[Array]:
    """Numbers among arrays as arrays of their shape: not every library takes them mixed."""
    arrays = [arg for arg in args if not isinstance(arg, bool | float)]
    if len(arrays) == len(args):
        return args
    like = arrays[-1] if arrays[-1].dtype == dtype else xp.astype(arrays[-1], dtype)
    return [_array(xp, arg, like) if isinstance(arg, bool | float) else arg for arg in args]


def _array(xp: Namespace, x: float | bool, like: Array) -> Array:
    full = xp.full_like(like, float(x))
    return full != 0.0 if isinstance(x, bool) else full


def _settings(call: Call) -> dict[str, Any]:
    axes = {"axis": call.axes[0] if len(call.axes) == 1 else call.axes}
    settings = {**axes, "keepdims": call.keepdims} if call.axes else {}
    return {name: settings[name] for name in call.function.settings}
