"""The cases that clients in every language are held to, as a file: run as any of them runs it.

LOSSMETER_CONFORMANCE names the file and LOSSMETER_GRPC the service, as ``make test-clients`` sets
them; test_golden runs the same cases and more against a service of its own.
"""

import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossmeter_client import Answer, Answers, Client, LossmeterError
from tests.golden.cases import numbers

GIVEN = [os.environ.get(name, "") for name in ("LOSSMETER_CONFORMANCE", "LOSSMETER_GRPC")]
FAILING = Path(__file__).parents[3] / "tests/golden/known-failing/python.txt"
Told = Mapping[str, Any]

pytestmark = pytest.mark.skipif(
    not all(GIVEN), reason="needs LOSSMETER_CONFORMANCE and LOSSMETER_GRPC"
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A client of the service that the environment names."""
    with Client(GIVEN[1]) as made:
        yield made


@pytest.fixture(scope="module")
def cases() -> Mapping[str, list[Told]]:
    """The file that the environment names."""
    found: dict[str, list[Told]] = json.loads(Path(GIVEN[0]).read_text())
    return found


def known_failing() -> set[str]:
    lines = FAILING.read_text().splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def tensor(told: Told) -> np.ndarray[Any, Any]:
    data, dtype = told["data"], told["dtype"]
    given = numbers(data) if dtype.startswith("float") else data
    return np.asarray(given, str if dtype == "string" else dtype).reshape(told["shape"])


def ask(client: Client, request: Told) -> Answer | Answers:
    inputs = {name: tensor(told) for name, told in request["inputs"].items()}
    found: Answer | Answers = client.evaluate(**{**request, "inputs": inputs})
    return found


def bits(x: float) -> str:
    return "7ff8000000000000" if math.isnan(x) else struct.pack(">d", x).hex()


def told(answer: Answer | Answers) -> dict[str, Any]:
    """An answer as the file has it."""
    if isinstance(answer, Answers):
        results = {name: told(one) for name, one in answer.results.items()}
        total = {} if answer.total is None else {"total": bits(answer.total)}
        return {"results": results, **total}
    sums = {"count": answer.count, "weight": bits(answer.weight)}
    if isinstance(answer.value, Mapping):
        return {"groups": {label: bits(x) for label, x in answer.value.items()}, **sums}
    value = np.asarray(answer.value)
    flat = value.astype(np.float64).ravel().tolist()
    return {"value": {"shape": list(value.shape), "bits": list(map(bits, flat))}, **sums}


def is_near(answer: Answer | Answers, case: Told) -> bool:
    """Whether the value is the framework's own, to the tolerance of the case."""
    if case.get("expected") is None:
        return True
    assert isinstance(answer, Answer)
    expected = numbers(case["expected"]["data"]).reshape(case["expected"]["shape"])
    value = np.asarray(answer.value)
    room = case["rtol"] * np.maximum(np.abs(expected), case["floor"])
    with np.errstate(invalid="ignore"):
        near = np.isfinite(expected) & (np.abs(value - expected) <= room)
    same = (value == expected) | (np.isnan(value) & np.isnan(expected))
    return value.shape == expected.shape and bool((near | same).all())


def is_met(client: Client, case: Told) -> bool:
    try:
        answer = ask(client, case["request"])
    except LossmeterError:
        return False
    return is_near(answer, case) and told(answer) == case["answer"]


def is_refused(client: Client, case: Told) -> bool:
    try:
        ask(client, case["request"])
    except LossmeterError as error:
        return (error.reason, error.field) == (case["reason"], case["field"])
    return False


def test_every_case(client: Client, cases: Mapping[str, list[Told]]) -> None:
    failed = {case["id"] for case in cases["cases"] if not is_met(client, case)}
    failed |= {case["id"] for case in cases["errors"] if not is_refused(client, case)}
    assert failed == known_failing()
