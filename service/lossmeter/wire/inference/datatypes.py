"""The protocol's datatypes, and the outputs that an answer has."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossmeter.app.answer import Answer, Group
from lossmeter.core.arrays import Array
from lossmeter.errors import DtypeUnsupported
from lossmeter.wire.states import state_bytes

# Datatype of the protocol to dtype of the wires.
DTYPES: Mapping[str, str] = {
    "BOOL": "bool",
    **{f"{kind}{n}": f"{kind.lower()}{n}" for kind in ("UINT", "INT") for n in (8, 16, 32, 64)},
    **{f"FP{n}": f"float{n}" for n in (16, 32, 64)},
    "BF16": "bfloat16",
    "BYTES": "string",
}
DATATYPES: Mapping[str, str] = {dtype: datatype for datatype, dtype in DTYPES.items()}
# They have no elements in JSON or in a message, only as bytes.
RAW_ONLY = ("FP16", "BF16")


def dtype_of(datatype: Any, field: str) -> str:
    """The dtype of a datatype.

    Raises:
        DtypeUnsupported: There is no such datatype.
    """
    dtype = DTYPES.get(datatype) if isinstance(datatype, str) else None
    if dtype is None:
        raise DtypeUnsupported(
            f"datatype must be one of {', '.join(DTYPES)}", field=f"{field}.datatype"
        )
    return dtype


@dataclass(frozen=True, slots=True)
class Kind:
    """An output.

    Attributes:
        datatype: Its datatype.
        of: What an answer gives for it; None if it has no such thing.
    """

    datatype: str
    of: Callable[[Answer], Array | None]


def _loss(answer: Answer) -> Array:
    value = answer.value
    if isinstance(value, Mapping):
        return np.array(list(value.values()), np.float64)
    # float32 values as the float64 they are: an output has one datatype.
    return np.atleast_1d(np.asarray(value, np.float64, order="C"))


def _number(name: str, dtype: type) -> Callable[[Answer], Array | None]:
    """A number, or that of each group."""

    def of(answer: Answer) -> Array | None:
        sources: list[Answer | Group] = list((answer.groups or {}).values())
        found = [getattr(source, name) for source in sources or [answer]]
        return None if None in found else np.array(found, dtype)

    return of


def _groups(answer: Answer) -> Array | None:
    return np.array(list(answer.value)) if isinstance(answer.value, Mapping) else None


def _index(answer: Answer) -> Array | None:
    return None if answer.index is None else np.array([answer.index])


def _state(answer: Answer) -> Array | None:
    """As text, the same in every form: strings of JSON cannot hold bytes."""
    if answer.state is None:
        return None
    return np.array([base64.b64encode(state_bytes(answer.state)).decode()])


# Where an answer lacks one, it is empty: whoever asks for all of them gets all.
OUTPUTS: Mapping[str, Kind] = {
    "loss": Kind("FP64", _loss),
    "count": Kind("INT64", _number("count", np.int64)),
    "weight": Kind("FP64", _number("weight", np.float64)),
    "denominator": Kind("FP64", _number("denominator", np.float64)),
    "kept": Kind("BOOL", lambda answer: answer.kept),
    "group": Kind("BYTES", _groups),
    "index": Kind("INT64", _index),
    "state": Kind("BYTES", _state),
}
# What an answer is not understood without.
BESIDE = ("kept", "group", "index", "state")
EMPTY: Mapping[str, Array] = {
    kind.datatype: np.zeros(0, DTYPES[kind.datatype] if kind.datatype != "BYTES" else "U1")
    for kind in OUTPUTS.values()
}


def names_of(answer: Answer) -> list[str]:
    """The outputs of an answer where none are asked for."""
    return ["loss", *(name for name in BESIDE if OUTPUTS[name].of(answer) is not None)]


def output_of(answer: Answer, name: str) -> Array:
    """An output, empty where the answer has no such thing."""
    kind = OUTPUTS[name]
    found = kind.of(answer)
    return EMPTY[kind.datatype] if found is None else found
