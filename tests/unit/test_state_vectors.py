"""The states that clients in every language are held to, by the service's own code."""

import base64
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from lossmeter.app.engine import Engine
from lossmeter.core.exact import ExactSum, exact_sum
from lossmeter.core.reductions import RULES, Reduction, finish
from lossmeter.core.state import Key, State, order
from lossmeter.errors import EmptyReduction, LossmeterError, NotMergeable
from lossmeter.plan.request import MergeSpec
from lossmeter.wire.states import read_state, state_bytes, state_hash

ROOT = Path(__file__).parents[2]
VECTORS: dict[str, list[dict[str, Any]]] = orjson.loads(
    (ROOT / "tests/golden/states/vectors.json").read_bytes()
)
MERGES = {vector["name"]: vector for vector in VECTORS["merges"]}
REFUSED = {vector["name"]: vector for vector in VECTORS["refused"]}
# What a client finishes by itself.
FINISHED = {
    name for vector in MERGES.values() for cell in vector["cells"] for name in cell["finished"]
}


def bits(x: float) -> str:
    return "7ff8000000000000" if math.isnan(x) else struct.pack(">d", x).hex()


def numbers(texts: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.frombuffer(bytes.fromhex("".join(texts)), ">f8").astype(np.float64)


def total_of(told: dict[str, Any]) -> ExactSum:
    """The sum in a vector, by its definition: mantissa · 2^exponent."""
    mantissa = int.from_bytes(base64.b64decode(told["mantissa"]), "little", signed=True)
    units = mantissa << told["exponent"] + 1074 if mantissa else 0
    return ExactSum(units, told["nan"], told["positive_infinity"], told["negative_infinity"])


def states(vector: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(state) for state in vector["states"]]


def spec(vector: dict[str, Any], **asked: Any) -> MergeSpec:
    options = {"profiles": "any"} if vector["any_profile"] else {}
    return MergeSpec.model_validate({**asked, "options": {**options, "state": True}})


def test_sums_and_quotients() -> None:
    for vector in VECTORS["sums"]:
        total = exact_sum(numbers(vector["terms"]))
        assert total == total_of(vector["sum"])
        assert bits(float(total)) == vector["value"]
    for vector in VECTORS["ratios"]:
        above, below = total_of(vector["above"]), total_of(vector["below"])
        if vector["value"] is None:
            with pytest.raises(ZeroDivisionError):
                above / below
        else:
            assert bits(above / below) == vector["value"]


@pytest.mark.parametrize("name", MERGES)
def test_a_merge(name: str) -> None:
    vector = MERGES[name]
    answer = Engine().merge(list(map(read_state, states(vector))), spec(vector, reduction="sum"))
    assert isinstance(answer.state, State)
    assert base64.b64encode(state_bytes(answer.state)).decode() == vector["merged"]
    assert state_hash(answer.state) == vector["state_hash"]


def finished(state: State, key: Key) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in RULES.keys() & FINISHED:
        try:
            outcome = finish(state.cells[key], Reduction(name))
        except (EmptyReduction, NotMergeable):
            continue
        made[name] = bits(outcome.value)
        if outcome.at is not None:
            made |= {f"index_of_{name}": outcome.at.row, f"batch_of_{name}": outcome.at.batch_id}
    return made


@pytest.mark.parametrize("name", MERGES)
def test_what_each_reduction_makes_of_a_group(name: str) -> None:
    state = read_state(base64.b64decode(MERGES[name]["merged"]))
    made = [
        {"key": key, "finished": finished(state, key)} for key in sorted(state.cells, key=order)
    ]
    assert made == MERGES[name]["cells"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_merge_that_is_refused(name: str) -> None:
    vector = REFUSED[name]
    with pytest.raises(LossmeterError) as raised:
        Engine().merge(list(map(read_state, states(vector))), spec(vector))
    assert raised.value.reason == vector["reason"]
