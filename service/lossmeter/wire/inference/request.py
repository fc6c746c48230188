"""What a request of the protocol asks for, in whichever form it came."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from lossmeter.errors import (
    LossmeterError,
    MalformedRequest,
    ParameterInvalid,
    TooLarge,
    UnknownField,
)
from lossmeter.plan.request import EvaluateSpec, read_evaluate
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.inference.datatypes import OUTPUTS
from lossmeter.wire.json import json_of

VERSION = "1"
# A parameter that holds those of the loss as an object, for one whose name means something else.
PARAMS = "params"
OPTIONS = ("backend", "batch_id", "device", "nonfinite", "state")
# Parameters that other servers read; here they have no effect.
RESERVED = frozenset(
    {
        *("sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "headers"),
        "binary_data_output",
    }
)
RESERVED_PREFIX = "triton_"
REGION, OFFSET, SIZE = "shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"
MOST_BYTES = 2**62
# Where the fields of an evaluation stand in a request of the protocol.
PLACES = {"params": "parameters", "options": "parameters", "reduction": "parameters.reduction"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies in shared memory.

    Attributes:
        region: Name of the region, as it was registered.
        offset: Where in the region it begins, in bytes.
        size: Its size in bytes.
        field: The tensor that lies there.
    """

    region: str
    offset: int
    size: int
    field: str


class Memory(Protocol):
    """The regions of shared memory that are registered.

    Attributes:
        limit: How many bytes a request may read.
    """

    limit: int

    def read(self, place: Place) -> memoryview:
        """The bytes at a place."""

    def write(self, place: Place, data: bytes) -> None:
        """Put bytes at a place, which has room for them."""


class Reads:
    """Reads the tensors of one request from shared memory, no more than a body could hold.

    Args:
        memory: Where they lie.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._read = 0

    def bytes_at(self, place: Place) -> memoryview:
        """The bytes of a tensor.

        Raises:
            TooLarge: There are more than a request may read.
        """
        read = self._read + place.size
        if read > self._memory.limit > 0:
            raise TooLarge(
                "the tensors in shared memory are too large",
                field=place.field,
                limit=self._memory.limit,
                actual=read,
            )
        self._read = read
        return self._memory.read(place)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that is asked for.

    Attributes:
        name: Its name.
        binary: Whether it follows the JSON as bytes.
        place: Where in shared memory it shall lie, if there.
    """

    name: str
    binary: bool
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Inference:
    """A request.

    Attributes:
        model: Name of the loss, as asked for.
        id: The id that the answer repeats.
        spec: What to evaluate.
        tensors: On what.
        wanted: The outputs that are asked for; empty for those that the answer has.
        binary: Whether those follow the JSON as bytes.
    """

    model: str
    id: str
    spec: EvaluateSpec
    tensors: Tensors
    wanted: tuple[Wanted, ...]
    binary: bool


def read_spec(model: str, parameters: Mapping[str, Any]) -> EvaluateSpec:
    """The specification of an evaluation, from the parameters of a request.

    Raises:
        LossmeterError: A parameter is of no kind that there is, or has no such meaning.
    """
    fields: dict[str, Any] = {"loss": model}
    params: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, x in parameters.items():
        if name in RESERVED or name.startswith(RESERVED_PREFIX):
            continue
        if not isinstance(x, str | bool | int | float):
            raise MalformedRequest(
                "a parameter is a string, a number or a boolean; others go as JSON in a string",
                field=f"parameters.{name}",
            )
        if name == "reduction":
            fields[name] = _object(x)
        elif name in OPTIONS:
            options[name] = _value(x, name) if name == "state" else x
        else:
            params[name] = _value(x, name)
    params |= _given_together(params)
    with told_as_asked():
        return read_evaluate({**fields, "params": params, "options": options})


def _given_together(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the loss that are given as one object."""
    found = params.pop(PARAMS, {})
    if not isinstance(found, dict):
        raise MalformedRequest("params is an object, as JSON", field=f"parameters.{PARAMS}")
    refuse_twice([*params, *found], "parameters")
    return found


def _object(x: Any) -> Any:
    """A reduction: its name, or an object."""
    return json_of(x, "parameters.reduction") if isinstance(x, str) and x[:1] == "{" else x


def _value(x: Any, name: str) -> Any:
    """A parameter's value: text is read as JSON where it is JSON, and else as it stands.

    So a client without numbers that are not whole can send one, and a list is a list.
    """
    if not isinstance(x, str):
        return x
    if x[:1] in ("[", "{"):
        return json_of(x, f"parameters.{name}")
    try:
        return orjson.loads(x)
    except orjson.JSONDecodeError:
        return x


@contextmanager
def told_as_asked() -> Iterator[None]:
    """Say of a mistake where it is in a request of the protocol."""
    try:
        yield
    except LossmeterError as error:
        first, dot, rest = (error.field or "").partition(".")
        if first in PLACES:
            error.field = f"{PLACES[first]}{dot}{rest}"
        raise


def place_of(parameters: Mapping[str, Any], field: str) -> Place | None:
    """Where in shared memory a tensor lies, if its parameters say so.

    Raises:
        MalformedRequest: They say so, and not where.
    """
    region = parameters.get(REGION)
    if region is None:
        return None
    offset, size = parameters.get(OFFSET, 0), parameters.get(SIZE, -1)
    if not isinstance(region, str) or not _is_size(offset) or not _is_size(size):
        raise MalformedRequest(
            f"{REGION} is a name, {OFFSET} and {SIZE} are numbers of bytes",
            field=f"{field}.parameters",
        )
    return Place(region, offset, size, field)


def _is_size(x: Any) -> bool:
    return type(x) is int and 0 <= x <= MOST_BYTES


def read_wanted(name: Any, parameters: Mapping[str, Any], binary: bool, at: int) -> Wanted:
    """An output that is asked for.

    Args:
        name: Its name.
        parameters: What is said of it.
        binary: Whether it follows the JSON as bytes, where that is not said of it.
        at: Which of the outputs it is.

    Raises:
        UnknownField: There is no such output.
        ParameterInvalid: It is asked for in a form that it does not have.
    """
    if not isinstance(name, str) or name not in OUTPUTS:
        raise UnknownField(f"the outputs are {', '.join(OUTPUTS)}", field=f"outputs.{at}.name")
    field = f"outputs.{name}"
    if parameters.get("classification"):
        raise ParameterInvalid("an output has no classes", field=f"{field}.parameters")
    binary = parameters.get("binary_data", binary)
    if not isinstance(binary, bool):
        raise MalformedRequest("binary_data is a boolean", field=f"{field}.parameters")
    return Wanted(name, binary, place_of(parameters, field))


def refuse_twice(names: Sequence[str], what: str) -> None:
    """Refuse a name that is there twice.

    Raises:
        MalformedRequest: It is.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise MalformedRequest("the name is there twice", field=f"{what}.{name}")
        seen.add(name)
