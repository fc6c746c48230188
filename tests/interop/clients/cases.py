"""Batches to send, and the service's own answers to them, without the service's code."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import NDArray

HTTP, GRPC = os.environ.get("LOSSMETER_HTTP", ""), os.environ.get("LOSSMETER_GRPC", "")
FRAMEWORKS = Path(__file__).parents[2] / "golden" / "frameworks"
Array = NDArray[Any]
Case = dict[str, Any]

# Of either dtype the mean is 1.3125, and all its terms are exact.
PREDICTIONS, TARGETS = [1.5, 5.0], [1.0, 2.0]
HUBER = 1.3125


def huber(dtype: Any = "float64") -> dict[str, Array]:
    """The inputs of a batch."""
    return {"predictions": np.array(PREDICTIONS, dtype), "targets": np.array(TARGETS, dtype)}


def golden_cases() -> list[Case]:
    """The first golden case of each symbol."""
    first: dict[str, Case] = {}
    for case in _cases():
        first.setdefault(case["loss"], case)
    return list(first.values())


def _cases() -> Iterator[Case]:
    for file in sorted(FRAMEWORKS.glob("*.json")):
        yield from json.loads(file.read_bytes())["cases"]


def inputs_of(case: Case) -> dict[str, Array]:
    """Its inputs as arrays."""
    return {
        name: np.array(one["data"], object).astype(one["dtype"]).reshape(np.shape(one["data"]))
        for name, one in case["inputs"].items()
    }


def is_json(x: Array) -> bool:
    """Whether a client can send an array in JSON.

    None sends numbers of 16 bits so; tritonclient writes what is not finite as no JSON, KServe as
    null.
    """
    return x.dtype.kind not in "fV" or (x.dtype.itemsize > 2 and bool(np.isfinite(x).all()))


def parameters_of(case: Case) -> dict[str, str]:
    """Its parameters and reduction as the protocol takes them."""
    asked = {"params": json.dumps(case.get("params", {}))}
    reduction = case.get("reduction")
    if reduction is None:
        return asked
    return {
        **asked,
        "reduction": reduction if isinstance(reduction, str) else json.dumps(reduction),
    }


def own_answer(case: Case) -> list[str]:
    """The bits of what the service answers in its own JSON."""
    asked = {name: case[name] for name in ("loss", "params", "reduction", "inputs") if name in case}
    body = json.dumps(asked).encode()
    request = Request(f"http://{HTTP}/v1/evaluate", body, {"content-type": "application/json"})
    with urlopen(request) as response:
        value = json.load(response)["value"]
    return bits(list(value.values()) if isinstance(value, dict) else value)


def bits(value: Any) -> list[str]:
    """Numbers as text that tells each of their bits; what is masked is NaN."""
    flat = np.ravel(np.array(value, object))
    return [float("nan" if x is None else x).hex() for x in flat]
