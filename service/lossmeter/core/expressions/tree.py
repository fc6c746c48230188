"""The syntax tree of an expression read into a tree of what is allowed, and of nothing else."""

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lossmeter.core.expressions.functions import (
    CONDITION,
    FUNCTIONS,
    NUMBER,
    OPERATORS,
    REDUCING,
    Function,
    Kind,
)
from lossmeter.core.expressions.text import MOST_DEPTH, check_size
from lossmeter.errors import ParameterInvalid

MOST_NODES = 512
# Inputs and parameters, which messages list.
MOST_NAMES = 24
# Of an entry, those of the samples not among them.
MOST_AXES = 4
CONSTANTS: Mapping[str, float] = MappingProxyType(
    {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}
)
# They act on the loss values by themselves.
BESIDE = ("sample_weight", "mask")
# Names that are neither an input nor a parameter.
RESERVED = frozenset({*FUNCTIONS, *CONSTANTS, *REDUCING, *BESIDE})


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, or a condition that is always so."""

    value: float | bool


@dataclass(frozen=True, slots=True)
class Name:
    """An input or a parameter."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator with its arguments."""

    function: Function
    args: "tuple[Tree, ...]"
    axes: tuple[int, ...] = ()
    keepdims: bool = False


Tree = Constant | Name | Call


class Reader:
    """Reads a syntax tree into a tree of what is allowed.

    Args:
        conditions: The parameters that are true or false.
    """

    def __init__(self, conditions: frozenset[str]) -> None:
        self._conditions = conditions
        self._nodes = 0

    def read(self, node: ast.expr, depth: int = 1) -> Tree:
        """The tree.

        Raises:
            TooLarge: It has too many nodes, or is too deep.
            ParameterInvalid: It has something that is not allowed.
        """
        self._nodes += 1
        check_size("names, numbers and operations", self._nodes, MOST_NODES)
        check_size("operations within each other", depth, MOST_DEPTH)
        read = READERS.get(type(node))
        if read is None:
            raise ParameterInvalid(
                "an expression has names, numbers, operators and calls alone, no "
                f"{type(node).__name__}"
            )
        return read(self, node, depth)

    def constant(self, node: ast.Constant, _: int) -> Tree:
        """A number; whole ones are floats too, so that none grows without end."""
        if isinstance(node.value, bool):
            return Constant(node.value)
        if not isinstance(node.value, int | float):
            raise ParameterInvalid("the constants of an expression are numbers, True and False")
        try:
            number = float(node.value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise ParameterInvalid("a number is beyond float64; inf is infinity")
        return Constant(number)

    def name(self, node: ast.Name, _: int) -> Tree:
        """A constant by name, a parameter or an input."""
        if node.id in CONSTANTS:
            return Constant(CONSTANTS[node.id])
        if node.id in FUNCTIONS or node.id in REDUCING:
            raise ParameterInvalid(f"{node.id} has a meaning of its own; take another name")
        if node.id in BESIDE:
            raise ParameterInvalid(
                f"{node.id} is no part of an expression: it acts on the loss values by itself"
            )
        return Name(node.id, CONDITION if node.id in self._conditions else NUMBER)

    def binary(self, node: ast.BinOp, depth: int) -> Tree:
        """An operator between two."""
        return self._operation(node.op, (node.left, node.right), depth)

    def unary(self, node: ast.UnaryOp, depth: int) -> Tree:
        """A sign before one."""
        return self._operation(node.op, (node.operand,), depth)

    def comparison(self, node: ast.Compare, depth: int) -> Tree:
        """One comparison: Python would read a < b < c as two joined by and."""
        if len(node.ops) > 1:
            raise ParameterInvalid("write comparisons in a row as (a < b) & (b < c)")
        return self._operation(node.ops[0], (node.left, node.comparators[0]), depth)

    def call(self, node: ast.Call, depth: int) -> Tree:
        """A function of the table with its arguments."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            raise ParameterInvalid(
                f"{name or 'what is called'} is no function; there are {', '.join(FUNCTIONS)}"
            )
        function = FUNCTIONS[name]
        if len(node.args) != len(function.takes):
            many = f"{len(function.takes)} argument{'s' if len(function.takes) > 1 else ''}"
            pair = f"; {PAIRED[name]} takes two" if name in PAIRED else ""
            raise ParameterInvalid(f"{name} takes {many}, not {len(node.args)}{pair}")
        made = self._call(function, tuple(node.args), depth)
        axes, keepdims = _settings(function, node.keywords)
        return Call(function, made.args, axes, keepdims)

    def _operation(self, sign: ast.AST, operands: tuple[ast.expr, ...], depth: int) -> Tree:
        if type(sign) not in OPERATORS:
            known = dict.fromkeys(function.name for function in OPERATORS.values())
            raise ParameterInvalid(f"the operators of an expression are {' '.join(known)}")
        return self._call(OPERATORS[type(sign)], operands, depth)

    def _call(self, function: Function, operands: tuple[ast.expr, ...], depth: int) -> Call:
        args = tuple(self.read(operand, depth + 1) for operand in operands)
        for arg, kind in zip(args, function.takes, strict=True):
            if kind_of(arg) != kind:
                raise ParameterInvalid(f"{function.name} takes {HINTS[kind]}")
        return Call(function, args)


READERS: Mapping[type[ast.expr], Callable[..., Tree]] = {
    ast.Constant: Reader.constant,
    ast.Name: Reader.name,
    ast.BinOp: Reader.binary,
    ast.UnaryOp: Reader.unary,
    ast.Compare: Reader.comparison,
    ast.Call: Reader.call,
}
# What takes two numbers, of the names that Python has for both.
PAIRED = {"min": "minimum", "max": "maximum"}
HINTS: Mapping[Kind, str] = {
    NUMBER: "numbers, and this is a condition; where(condition, 1, 0) makes numbers of it",
    CONDITION: "conditions, such as predictions > 0, and this is a number",
}


def kind_of(tree: Tree) -> Kind:
    """Whether it gives numbers or conditions."""
    if isinstance(tree, Call):
        return tree.function.gives
    if isinstance(tree, Name):
        return tree.kind
    return CONDITION if isinstance(tree.value, bool) else NUMBER


def _settings(function: Function, given: list[ast.keyword]) -> tuple[tuple[int, ...], bool]:
    """The axes and ``keepdims`` of a call."""
    settings = {setting.arg: setting.value for setting in given}
    if len(settings) != len(given) or not settings.keys() <= {*function.settings}:
        takes = " and ".join(function.settings) or "nothing"
        raise ParameterInvalid(f"{function.name} takes {takes} by name")
    keepdims = settings.get("keepdims", ast.Constant(False))
    if not (isinstance(keepdims, ast.Constant) and isinstance(keepdims.value, bool)):
        raise ParameterInvalid("keepdims is True or False")
    axes = _axes(function, settings.get("axis")) if function.settings else ()
    return axes, keepdims.value


def _axes(function: Function, given: ast.expr | None) -> tuple[int, ...]:
    """The axes of a call, counted from the last as the samples come first."""
    several, last = function.settings == REDUCING, function.axes != "added"
    if given is None and last and not several:
        return (-1,)
    nodes = given.elts if isinstance(given, ast.Tuple) and several else [given]
    axes = tuple(_axis(node) for node in nodes)
    if (
        not axes
        or 0 in axes
        or len({*axes}) != len(axes)
        or (last and not several and axes != (-1,))
    ):
        known = f"one from -1 to -{MOST_AXES}{', or a tuple of such' if several else ''}"
        raise ParameterInvalid(
            f"axis of {function.name} is {'-1' if last and not several else known}; the samples "
            "are reduced by the reduction of the request"
        )
    return axes


def _axis(node: ast.expr | None) -> int:
    """An axis below 0; 0 if it is none."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if type(number) is int and 1 <= number <= MOST_AXES:
            return -number
    return 0
