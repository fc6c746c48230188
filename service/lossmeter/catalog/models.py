"""Losses as models: the arrays that they take, with dtypes and sizes."""

from dataclasses import dataclass

from lossmeter.catalog.descriptors import Descriptor
from lossmeter.core.declare import REGISTRY, InputSpec
from lossmeter.core.domains import Input
from lossmeter.core.own import OWN
from lossmeter.dialects import SYMBOLS
from lossmeter.dialects.symbols import Symbol
from lossmeter.plan.names import symbol_named
from lossmeter.plan.parameters import model_of


@dataclass(frozen=True, slots=True)
class Port:
    """An array that a loss takes.

    Attributes:
        name: Its name.
        dtype: The dtype that it mostly has; other numbers are taken too.
        sizes: The size of each axis, -1 for any; of axes of any number, the one that they mostly
            are.
        optional: Whether it may be absent.
    """

    name: str
    dtype: str
    sizes: tuple[int, ...]
    optional: bool


# What every loss takes besides its own inputs.
BESIDE = (
    Port("sample_weight", "float32", (-1,), optional=True),
    Port("mask", "bool", (-1,), optional=True),
)


@dataclass(frozen=True, slots=True)
class Model:
    """A loss or symbol.

    Attributes:
        loss: The canonical loss.
        summary: What it measures.
        default_reduction: The reduction, if a request names none.
        params: Its parameters as the properties of a JSON Schema.
        inputs: What it takes.
    """

    loss: str
    summary: str
    default_reduction: str
    params: Descriptor
    inputs: tuple[Port, ...]


def model_names() -> list[str]:
    """Every loss and symbol, those of one's own among them."""
    return sorted({*REGISTRY, *SYMBOLS, *OWN})


def model_named(name: str, field: str) -> Model:
    """The loss or symbol of this name; one that can be several is told as the first of them.

    Raises:
        LossNotFound: Nothing has it.
    """
    symbol = symbol_named(name, field)
    loss = symbol.variants[0].loss
    params = model_of(symbol, 0).model_json_schema()["properties"]
    return Model(loss.name, loss.summary, symbol.default_reduction, params, _inputs(symbol))


def _inputs(symbol: Symbol) -> tuple[Port, ...]:
    found: dict[str, Port] = {}
    for variant in symbol.variants:
        for spec in variant.loss.inputs:
            found.setdefault(spec.name, _port(symbol, spec))
        for name in variant.beside:
            found.setdefault(name, Port(name, "float32", (-1,), optional=True))
    return (*found.values(), *BESIDE)


def _port(symbol: Symbol, spec: InputSpec) -> Port:
    optional = any(
        spec.name in one.lacks or all(spec.name != other.name for other in one.loss.inputs)
        for one in symbol.variants
    )
    dtype = "int64" if spec.kind.domain.integers else "float32"
    return Port(spec.name, dtype, _sizes(spec.kind), optional)


def _sizes(kind: Input) -> tuple[int, ...]:
    axes = [axis for axis in (kind.lead, *kind.core) if axis]
    return tuple(int(axis) if axis.isdecimal() else -1 for axis in axes)
