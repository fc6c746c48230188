"""The golden cases in a form that a client in any language can run, with Python's own answers."""

import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from lossmeter_client import Answer, Answers, Client
from tests.golden.cases import Case, by_hand, disagreements, of_frameworks, refusals
from tests.integration.forms import Array, Request, array, settings_of
from tests.integration.test_service import REQUESTS

NAN = "7ff8000000000000"
# What a typed client can be asked.
SETTINGS = frozenset({"loss", "losses", "params", "reduction", "options"})
OF_A_LOSS = frozenset({"loss", "params", "reduction", "inputs", "loss_weight"})
TYPES: Mapping[str, tuple[type, ...]] = {
    "loss": (str, dict),
    "losses": (dict,),
    "params": (dict,),
    "reduction": (str, dict),
    "options": (dict,),
    "inputs": (dict,),
    "loss_weight": (int, float),
    **dict.fromkeys(("backend", "device", "nonfinite", "batch_id"), (str,)),
    "state": (bool, list),
}
OPTIONS = frozenset({"backend", "device", "nonfinite", "batch_id", "state"})


ROWS = {"predictions": [1.5, 5.0, -2.0], "targets": [1.0, 2.0, 2.0]}
BY = {"name": "mean", "by": "country"}


def _typed(dtype: str, *data: object) -> dict[str, Any]:
    return {"dtype": dtype, "data": list(data)}


# What no other case has: an expression, every dtype, labels that are hard to write.
MORE: Mapping[str, Request] = {
    "an expression": {
        "loss": {"expression": "abs(predictions - targets) * scale"},
        "params": {"scale": 3},
        "inputs": ROWS,
    },
    "an expression of several": {
        "losses": {
            "own": {"loss": {"expression": "square(predictions - targets)"}, "loss_weight": 0.1}
        },
        "inputs": ROWS,
    },
    "float16": {
        "loss": "log_cosh",
        "inputs": {name: _typed("float16", *x) for name, x in ROWS.items()},
    },
    **{
        f"classes in {dtype}": {
            "loss": "sparse_categorical_cross_entropy",
            "reduction": "sum",
            "inputs": {
                "predictions": [[0.25, 0.75], [0.5, 0.5]],
                "targets": _typed(dtype, 1, 0),
            },
        }
        for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    "labels that are long": {
        "loss": "huber",
        "reduction": BY,
        "inputs": {**ROWS, "country": _typed("int64", 2**63 - 1, -(2**63), 2**53 + 1)},
    },
    "labels beyond int64": {
        "loss": "huber",
        "reduction": BY,
        "inputs": {**ROWS, "country": _typed("uint64", 2**64 - 1, 0, 2**53 + 1)},
    },
    "labels of text": {
        "loss": "huber",
        "reduction": BY,
        "inputs": {**ROWS, "country": _typed("string", "", "København 🜁", 'a "b"\n')},
    },
    "no axes": {"loss": "huber", "inputs": {"predictions": 1.5, "targets": 1.0}},
    "numbers at the ends": {
        "loss": "absolute_error",
        "reduction": "none",
        "inputs": {
            "predictions": [5e-324, 1.7976931348623157e308, -0.0, "-Infinity"],
            "targets": [0.0, -1.0, 0.0, 0.0],
        },
    },
}


def cases_of(client: Client) -> dict[str, Any]:
    """The cases with their answers, and the requests that must be refused."""
    return {"cases": list(_cases(client)), "errors": list(_errors())}


def _cases(client: Client) -> Iterator[dict[str, Any]]:
    for name, request in {**REQUESTS, **MORE}.items():
        yield {"id": name, "request": _request(request), "answer": _asked(client, request)}
    for name, case in _golden():
        if case.expected is not None:
            yield {
                "id": name,
                "request": _request(case.request),
                "expected": {
                    "shape": list(case.expected.shape),
                    "data": [_number(x) for x in case.expected.ravel().tolist()],
                },
                "rtol": case.rtol,
                "floor": case.floor,
                "answer": _asked(client, case.request),
            }


def _golden() -> Iterator[tuple[str, Case]]:
    for symbol, cases in of_frameworks().items():
        for case in cases:
            yield f"{symbol}: {case.id}", case
    for loss, case in by_hand():
        yield f"{loss}: {case.id}", case
    for case in disagreements():
        yield case.id, case


def _asked(client: Client, request: Request) -> dict[str, Any]:
    inputs = {name: array(name, x) for name, x in request["inputs"].items()}
    return _answer(client.evaluate(**settings_of(request), inputs=inputs))


def _answer(answer: Answer | Answers) -> dict[str, Any]:
    if isinstance(answer, Answers):
        results = {name: _answer(one) for name, one in answer.results.items()}
        return {"results": results} | (
            {} if answer.total is None else {"total": bits(answer.total)}
        )
    told: dict[str, Any] = {"count": answer.count, "weight": bits(answer.weight)}
    if isinstance(answer.value, Mapping):
        return {"groups": {label: bits(x) for label, x in answer.value.items()}, **told}
    value = array("value", answer.value)
    numbers = value.astype(float).ravel().tolist()
    return {"value": {"shape": list(value.shape), "bits": [bits(x) for x in numbers]}, **told}


def bits(x: float) -> str:
    """A float64 as 16 hexadecimal digits, the most significant first."""
    return NAN if math.isnan(x) else struct.pack(">d", x).hex()


def _errors() -> Iterator[dict[str, Any]]:
    for bad in refusals():
        if (request := _if_typed(bad.request)) is not None:
            yield {"id": bad.id, "request": request, "reason": bad.reason, "field": bad.field}


def _if_typed(request: Request) -> dict[str, Any] | None:
    """A bad request as a typed client would send it; None where it could not be written."""
    parts = [(settings_of(request), SETTINGS), (request.get("options", {}), OPTIONS)]
    if isinstance(losses := request.get("losses"), dict):
        parts += [(one, OF_A_LOSS) for one in losses.values()]
    if not all(isinstance(part, dict) and _fits(part, known) for part, known in parts):
        return None
    try:
        return _request(request)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _fits(part: Mapping[str, Any], known: frozenset[str]) -> bool:
    return part.keys() <= known and all(isinstance(x, TYPES[name]) for name, x in part.items())


def _request(request: Request) -> dict[str, Any]:
    inputs = {name: _tensor(array(name, x)) for name, x in request["inputs"].items()}
    return {**settings_of(request), "inputs": inputs}


def _tensor(x: Array) -> dict[str, Any]:
    if x.dtype.kind not in "biufU":
        raise ValueError("no tensor")
    dtype = "string" if x.dtype.kind == "U" else x.dtype.name
    flat = x.ravel().tolist()
    return {
        "dtype": dtype,
        "shape": list(x.shape),
        "data": [_number(one) for one in flat] if x.dtype.kind == "f" else flat,
    }


def _number(x: float) -> float | str:
    if math.isnan(x):
        return "NaN"
    return x if math.isfinite(x) else "Infinity" if x > 0 else "-Infinity"
