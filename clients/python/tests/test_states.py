"""States merged and finished in the client: the bytes and bits that every language is held to."""

import base64
import json
import math
import os
import random
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossmeter_client import ExactSum, InvalidRequest, LossmeterError, State, merge_states
from lossmeter_client.finishing import FINISHES
from lossmeter_client.parts import Cell, Linear
from lossmeter_client.states import Key
from lossmeter_client.v1 import state_pb2 as pb

ROOT = Path(__file__).parents[3]
PATH = Path(os.environ.get("LOSSMETER_STATES", ROOT / "tests/golden/states/vectors.json"))
VECTORS: dict[str, list[dict[str, Any]]] = json.loads(PATH.read_text())
MERGES = {vector["name"]: vector for vector in VECTORS["merges"]}
SUM_FIELDS = [field.name for field in pb.ExactSum.DESCRIPTOR.fields]
REFUSED = {vector["name"]: vector for vector in VECTORS["refused"]}


def bits(x: float) -> str:
    return "7ff8000000000000" if math.isnan(x) else struct.pack(">d", x).hex()


def number(text: str) -> float:
    found: float = struct.unpack(">d", bytes.fromhex(text))[0]
    return found


def of_told(told: dict[str, Any]) -> ExactSum:
    mantissa = base64.b64decode(told["mantissa"])
    return ExactSum.read(pb.ExactSum(**{**told, "mantissa": mantissa}))


def told(total: ExactSum) -> dict[str, Any]:
    message = total.message()
    mantissa = base64.b64encode(message.mantissa).decode()
    return {name: getattr(message, name) for name in SUM_FIELDS} | {"mantissa": mantissa}


def given(vector: dict[str, Any]) -> tuple[list[bytes], bool]:
    return [base64.b64decode(state) for state in vector["states"]], vector["any_profile"]


def merged(name: str) -> State:
    return State.read(base64.b64decode(MERGES[name]["merged"]))


@pytest.mark.parametrize("at", range(len(VECTORS["sums"])))
def test_a_sum_in_any_order(at: int) -> None:
    vector = VECTORS["sums"][at]
    terms = [number(term) for term in vector["terms"]]
    for _ in range(2):
        total = ExactSum.of(terms)
        assert told(total) == vector["sum"]
        assert bits(float(total)) == vector["value"]
        assert of_told(vector["sum"]) == total
        random.Random(at).shuffle(terms)
    assert sum(map(ExactSum.of, np.array_split(terms, 3)), ExactSum()) == total


def test_every_quotient() -> None:
    for vector in VECTORS["ratios"]:
        above, below = of_told(vector["above"]), of_told(vector["below"])
        if vector["value"] is None:
            with pytest.raises(ZeroDivisionError):
                above / below
        else:
            assert bits(above / below) == vector["value"], vector


@pytest.mark.parametrize("name", MERGES)
def test_a_merge_has_the_bytes_of_the_service(name: str) -> None:
    states, any_profile = given(MERGES[name])
    found = merge_states(states, any_profile=any_profile)
    assert base64.b64encode(found).decode() == MERGES[name]["merged"]
    assert State.read(found).hash() == MERGES[name]["state_hash"]


@pytest.mark.parametrize("name", MERGES)
def test_the_order_of_states_does_not_matter(name: str) -> None:
    states, any_profile = given(MERGES[name])
    if not any_profile:  # the first one's profile is kept
        other = merge_states([*states[2:], merge_states(states[1::-1])])
        assert base64.b64encode(other).decode() == MERGES[name]["merged"]


def finished(state: State, key: str | int | None) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in FINISHES:
        try:
            found = state.finish(name, key)
        except LossmeterError as error:
            assert error.reason in ("EMPTY_REDUCTION", "NOT_MERGEABLE")
            continue
        made[name] = bits(found.value)
        if found.row is not None:
            made |= {f"index_of_{name}": found.row, f"batch_of_{name}": found.batch_id}
    return made


@pytest.mark.parametrize("name", MERGES)
def test_every_group_finishes_to_the_bits_of_the_service(name: str) -> None:
    state, cells = merged(name), MERGES[name]["cells"]
    assert {cell["key"] for cell in cells} == state.cells.keys()
    assert [finished(state, cell["key"]) for cell in cells] == [c["finished"] for c in cells]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_state_or_belongs_elsewhere_is_refused(name: str) -> None:
    states, any_profile = given(REFUSED[name])
    with pytest.raises(LossmeterError) as raised:
        merge_states(states, any_profile=any_profile)
    expected = REFUSED[name]["reason"], REFUSED[name]["field"]
    assert (raised.value.reason, raised.value.field) == expected
    assert raised.value.code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION")


def test_groups_apart_with_other_parts_are_refused() -> None:
    state = merged("groups, some in one batch alone")
    cell = state.cells["es"]
    one = replace(state, batches={"a": 9}, cells={"es": cell})
    other = replace(state, batches={"b": 9}, cells={"it": Cell(cell.linear)})
    with pytest.raises(LossmeterError) as raised:
        one.merge(other)
    assert raised.value.reason == "STATE_MISMATCH"


def test_neither_state_is_changed_by_a_merge() -> None:
    states, _ = given(MERGES["three batches of other sizes"])
    one, other = map(State.read, states[:2])
    one.merge(other)
    assert [bytes(one), bytes(other)] == states[:2]


def test_a_ddof_of_zero_is_the_variance_of_the_population() -> None:
    state = merged("float32")
    mean, rms = state.finish("mean").value, state.finish("rms").value
    found = state.finish("variance", ddof=0.0).value
    assert found == pytest.approx(rms**2 - mean**2, rel=1e-12)


@pytest.mark.parametrize("name", ["logsumexp", "median", "mode"])
def test_what_only_a_service_finishes_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        merged("one state").finish(name)
    assert (raised.value.reason, raised.value.field) == ("UNKNOWN_REDUCTION", "reduction")


@pytest.mark.parametrize("name", ["rms", "harmonic_mean", "variance", "std", "min", "max"])
def test_what_a_state_was_made_without_is_refused(name: str) -> None:
    state = merged("one state")
    bare = replace(state, cells={None: Cell(state.cells[None].linear)})
    with pytest.raises(LossmeterError) as raised:
        bare.finish(name)
    assert raised.value.reason == "NOT_MERGEABLE"


def test_counts_beyond_their_type_are_refused() -> None:
    cells: dict[Key, Cell] = {None: Cell(Linear(entries=2**63, rows=2**63))}
    made = [replace(merged("one state"), batches={name: 2**63}, cells=cells) for name in "ab"]
    with pytest.raises(InvalidRequest) as raised:
        merge_states(map(bytes, made))
    assert raised.value.reason == "MALFORMED_REQUEST"
