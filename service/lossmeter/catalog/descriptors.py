"""What is known of a loss, as data for every wire and for the documentation."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from lossmeter.core.declare import InputSpec, Loss
from lossmeter.core.spelling import numbers
from lossmeter.dialects import SYMBOLS
from lossmeter.dialects.symbols import Symbol, canonical
from lossmeter.plan.names import symbol_named
from lossmeter.plan.parameters import model_of

Descriptor = Mapping[str, Any]


def find_descriptor(name: str) -> Descriptor:
    """The loss of this name, alias or symbol.

    Raises:
        LossNotFound: Nothing has it.
    """
    return descriptor(symbol_named(name, "name").variants[0].loss)


@lru_cache(maxsize=1024)
def descriptor(loss: Loss) -> Descriptor:
    """A loss as data."""
    symbol = canonical(loss)
    return {
        "name": loss.name,
        "names": list(loss.names),
        "kind": loss.kind,
        "summary": loss.summary,
        "formula": loss.formula,
        "notes": loss.notes,
        "inputs": [_input(spec) for spec in loss.inputs],
        "output": loss.output,
        "default_reduction": symbol.default_reduction,
        "params": _schema(symbol, 0),
        "source": loss.source,
        "symbols": [
            _symbol(other, next(i for i, v in enumerate(other.variants) if v.loss is loss))
            for other in SYMBOLS.values()
            if any(variant.loss is loss for variant in other.variants)
        ],
        "examples": [_example(loss, number) for number in range(len(loss.examples))],
    }


def _input(spec: InputSpec) -> Descriptor:
    return {
        "name": spec.name,
        "shape": spec.kind.shape,
        "domain": spec.kind.domain.name,
        "values": spec.kind.domain.words,
        "description": spec.description,
    }


def _schema(symbol: Symbol, index: int) -> Descriptor:
    schema = model_of(symbol, index).model_json_schema()
    return {name: value for name, value in schema.items() if name != "title"}


def _symbol(symbol: Symbol, index: int) -> Descriptor:
    return {
        "symbol": symbol.name,
        "framework": symbol.dialect.name,
        "version": symbol.dialect.version,
        "default_reduction": symbol.default_reduction,
        "reductions": list(symbol.reduction_words()),
        "params": _schema(symbol, index),
    }


def _example(loss: Loss, number: int) -> Descriptor:
    example = loss.examples[number]
    return {
        "request": {
            "loss": loss.name,
            "params": dict(example.params),
            "reduction": "none",
            "inputs": {name: numbers(x) for name, x in example.inputs.items()},
        },
        "value": numbers(example.expected),
    }
