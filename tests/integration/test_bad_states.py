"""States that do not belong together, or are none."""

import base64
import hashlib
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import orjson
import pytest
from google.protobuf import json_format

from lossmeter.errors import MalformedRequest
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import state_pb2
from lossmeter.wire.states import read_state, state_bytes
from tests.integration.refusals import (
    faults_of_error,
    faults_of_response,
    over_http,
    over_rpc,
    told_by_http,
    told_by_rpc,
)
from tests.integration.replies import Refused
from tests.integration.servers import Service
from tests.integration.wires import MERGES, Merge, in_process, merged_in_process, post

pytestmark = pytest.mark.usefixtures("unharmed")


class Bad(NamedTuple):
    """States to merge, how, and the refusal."""

    states: Sequence[bytes]
    reason: str
    field: str = "states"
    reduction: Any = None
    words: tuple[str, ...] = ()


def made(loss: str = "huber", /, **parts: Any) -> bytes:
    """A state of two rows."""
    rows = {"predictions": [7919.0625, 1.0], "targets": [1.0, 7919.0625]}
    options = {"state": True} | parts.pop("options", {})
    request = {"loss": loss, "inputs": rows | parts.pop("inputs", {}), **parts, "options": options}
    return in_process(None, request).state


def merged(*states: bytes) -> bytes:
    """States as one."""
    return merged_in_process(None, states, {"options": {"state": True}}).state


def elsewhere(state: bytes) -> bytes:
    """The same state, made on another machine."""
    here = read_state(state)
    return state_bytes(replace(here, spec=replace(here.spec, profile="hunter2")))


def single(x: Sequence[float]) -> Mapping[str, Any]:
    """An input of float32."""
    return {"dtype": "float32", "data": x}


BY = {"name": "mean", "by": "country"}
GROUPED = {"reduction": BY, "inputs": {"country": ["de", "fr"]}}
SQUARE = {"predictions": [[7919.0, 1.0]] * 2, "targets": [[1.0, 1.0]] * 2}
WIDE = {"predictions": [[7919.0, 1.0, 2.0]], "targets": [[1.0] * 3]}
COLUMNS = {"name": "mean", "axis": [0]}
FLOATS = {"predictions": single([7919.0, 1.0]), "targets": single([1.0, 2.0])}
ONCE = made(options={"batch_id": "hunter2"})
AGAIN = made(options={"batch_id": "hunter2"}, inputs={"predictions": [3.0, 4.0]})
REFUSED = {
    "no states": Bad([], "MALFORMED_REQUEST"),
    "states of two losses": Bad([made(), made("squared_error")], "STATE_MISMATCH", words=("loss",)),
    "states of a loss and of its symbol": Bad(
        [made(), made("torch.nn.HuberLoss")], "STATE_MISMATCH", words=("loss",)
    ),
    "states of two parameters": Bad(
        [made(), made(params={"delta": 7919.0})], "STATE_MISMATCH", words=("params",)
    ),
    "states of two dtypes": Bad([made(), made(inputs=FLOATS)], "STATE_MISMATCH", words=("dtype",)),
    "states of two policies": Bad(
        [made(), made(options={"nonfinite": "omit"})], "STATE_MISMATCH", words=("nonfinite",)
    ),
    "states with groups and without": Bad(
        [made(), made(**GROUPED)], "STATE_MISMATCH", words=("by",)
    ),
    "states with axes and without": Bad(
        [made(inputs=SQUARE), made(inputs=SQUARE, reduction=COLUMNS)],
        "STATE_MISMATCH",
        words=("axis",),
    ),
    "states of two widths": Bad(
        [made(inputs=SQUARE, reduction=COLUMNS), made(inputs=WIDE, reduction=COLUMNS)],
        "STATE_MISMATCH",
    ),
    "states of two kinds of targets": Bad(
        [
            made("torch.nn.CrossEntropyLoss", inputs={**SQUARE, "targets": [0, 1]}),
            made("torch.nn.CrossEntropyLoss", inputs=SQUARE),
        ],
        "STATE_MISMATCH",
        words=("params",),
    ),
    "states of other parts": Bad([made(), made(options={"state": ["max"]})], "STATE_MISMATCH"),
    "a third state of another loss": Bad([made(), made(), made("squared_error")], "STATE_MISMATCH"),
    "states of two machines": Bad(
        [made(), elsewhere(made())],
        "STATE_MISMATCH",
        words=("profile", '"any"'),
    ),
    "a state twice": Bad([ONCE, ONCE], "DUPLICATE_BATCH"),
    "a batch twice": Bad([ONCE, AGAIN], "DUPLICATE_BATCH"),
    "a batch in a merged state": Bad([made(), merged(made(), ONCE), ONCE], "DUPLICATE_BATCH"),
    "the reduction none": Bad([made()], "NOT_MERGEABLE", "reduction", "none"),
    "cvar": Bad([made()], "NOT_MERGEABLE", "reduction", {"name": "cvar", "alpha": 0.5}),
    "a quantile of sums": Bad([made()], "NOT_MERGEABLE", "reduction", "median", ("quantile",)),
    "an extreme of sums": Bad([made()], "NOT_MERGEABLE", "reduction", "max"),
    "groups of a whole": Bad([made()], "NOT_MERGEABLE", "reduction", BY),
    "other groups": Bad(
        [made(**GROUPED)], "NOT_MERGEABLE", "reduction", {"name": "mean", "by": "hunter2"}
    ),
    "an axis of a whole": Bad([made(inputs=SQUARE)], "NOT_MERGEABLE", "reduction", COLUMNS),
    "no such reduction": Bad([made()], "UNKNOWN_REDUCTION", "reduction", "hunter2"),
    "a bad setting": Bad(
        [made()], "PARAMETER_INVALID", "reduction.ddof", {"name": "variance", "ddof": -7919.0}
    ),
    "a mean of nothing": Bad(
        [made(reduction="sum", inputs={"mask": [0, 0]})], "EMPTY_REDUCTION", "reduction", "mean"
    ),
    "bytes of nothing": Bad([b""], "MALFORMED_REQUEST", "states.0"),
    "foreign bytes": Bad([made(), b"hunter2" * 40], "MALFORMED_REQUEST", "states.1"),
    "an answer for a state": Bad(
        [pb.EvaluateResponse(loss="hunter2").SerializeToString()], "MALFORMED_REQUEST", "states.0"
    ),
    "a state and a byte more": Bad([made() + b"\0"], "MALFORMED_REQUEST", "states.0"),
    "two states in one": Bad([made() + made()], "MALFORMED_REQUEST", "states.0"),
}


def asked(bad: Bad) -> dict[str, Any]:
    return {} if bad.reduction is None else {"reduction": bad.reduction}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED)
def test_refused_over_rest(service: Service, bad: Bad) -> None:
    texts = [base64.b64encode(state).decode() for state in bad.states]
    response = post(service, "/v1/states:merge", orjson.dumps({"states": texts, **asked(bad)}))
    assert told_by_http(response) == over_http(bad.reason, bad.field)
    assert faults_of_response(response, *bad.words) == []


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED)
def test_refused_over_grpc(service: Service, bad: Bad) -> None:
    request = json_format.ParseDict(asked(bad), pb.MergeStatesRequest(states=bad.states))
    with pytest.raises(grpc.RpcError) as raised:
        service.stub.MergeStates(request, timeout=10.0)
    assert told_by_rpc(raised.value) == over_rpc(bad.reason, bad.field)
    assert faults_of_error(raised.value, *bad.words) == []


BODIES = {
    "no states": (b"{}", "MALFORMED_REQUEST", "states"),
    "states that are a string": (b'{"states":"hunter2"}', "MALFORMED_REQUEST", "states"),
    "states that are numbers": (b'{"states":[7919]}', "MALFORMED_REQUEST", "states"),
    "states that are null": (b'{"states":[null]}', "MALFORMED_REQUEST", "states"),
    "a state that is no base64": (b'{"states":["hunter2!"]}', "MALFORMED_REQUEST", "states.0"),
    "a field that no merge has": (b'{"states":[],"hunter2":1}', "UNKNOWN_FIELD", "hunter2"),
    "an option that no merge has": (
        b'{"states":[],"options":{"device":"cpu"}}',
        "UNKNOWN_FIELD",
        "options.device",
    ),
    "a policy of no kind": (
        b'{"states":[],"options":{"profiles":"hunter2"}}',
        "MALFORMED_REQUEST",
        "options.profiles",
    ),
}


@pytest.mark.parametrize(("content", "reason", "field"), BODIES.values(), ids=BODIES)
def test_a_bad_body(service: Service, content: bytes, reason: str, field: str) -> None:
    response = post(service, "/v1/states:merge", content)
    assert told_by_http(response) == over_http(reason, field)
    assert faults_of_response(response) == []


@pytest.mark.parametrize("merge", MERGES.values(), ids=MERGES)
def test_states_of_two_machines_merge_if_that_is_asked(service: Service, merge: Merge) -> None:
    reply = merge(service, [ONCE, elsewhere(made())], {"options": {"profiles": "any"}})
    assert reply.fields["count"] == 4


SHARES = 8


@pytest.mark.parametrize("share", range(SHARES), ids=f"part {{}} of {SHARES}".format)
def test_every_change_of_a_byte_is_noticed(share: int) -> None:
    state = made(options={"batch_id": "a"})
    with little_memory():
        unnoticed = [
            (at, change)
            for at in range(share, len(state), SHARES)
            for change in range(1, 256)
            if not is_refused(state[:at] + bytes([state[at] ^ change]) + state[at + 1 :])
        ]
    assert unnoticed == []


def test_every_truncation_is_noticed() -> None:
    state = made(**GROUPED)
    assert [at for at in range(len(state)) if not is_refused(state[:at])] == []


@pytest.mark.parametrize("merge", MERGES.values(), ids=MERGES)
def test_damage_is_noticed(service: Service, merge: Merge) -> None:
    state, rng = made(options={"state": ["max", "median"]}), np.random.default_rng(1)
    flips = [(at, 1 << int(rng.integers(8))) for at in range(0, len(state), 3)]
    damaged = [state[:at] + bytes([state[at] ^ bit]) + state[at + 1 :] for at, bit in flips]
    damaged += [state[:at] for at in range(0, len(state), 5)]
    reasons = {reason_of(merge, service, found) for found in damaged}
    assert reasons == {"MALFORMED_REQUEST"}


@pytest.mark.parametrize("shape", [[2**63], [2**40], [2**32, 2**32]], ids=str)
def test_a_shape_is_not_believed(shape: list[int]) -> None:
    state = state_pb2.State.FromString(made())
    state.shape.extend(shape)
    with little_memory():
        assert is_refused(signed(state))


@contextmanager
def little_memory() -> Iterator[None]:
    """No more than 256 MiB beside what the process has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**28, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def is_refused(data: bytes) -> bool:
    try:
        read_state(data)
    except MalformedRequest:
        return True
    return False


def reason_of(merge: Merge, service: Service, state: bytes) -> str:
    try:
        merge(service, [state], {})
    except MalformedRequest as error:
        return error.reason
    except Refused as refused:
        return str(refused.reason)
    return "none"


def signed(state: state_pb2.State) -> bytes:
    """A state with the hash and the checksum of what it now says."""
    digest = hashlib.sha256()
    for _, text in sorted((f.number, x) for f, x in _fields(state.specification)):
        digest.update(len(text.encode()).to_bytes(4, "little") + text.encode())
    state.specification_hash = digest.digest()
    state.checksum = b""
    state.checksum = hashlib.sha256(state.SerializeToString(deterministic=True)).digest()
    return state.SerializeToString(deterministic=True)


def _fields(spec: state_pb2.Specification) -> list[tuple[Any, str]]:
    return [(field, getattr(spec, field.name)) for field in spec.DESCRIPTOR.fields]


def forged(**assigned: Any) -> Callable[[state_pb2.State], None]:
    """A forgery that assigns to fields, named by paths with __ for a dot."""

    def act(state: state_pb2.State) -> None:
        for path, value in assigned.items():
            *steps, last = path.split("__")
            holder: Any = state
            for step in steps:
                found = getattr(holder, step)
                holder = found[0] if step in ("cells", "batches") else found
            if isinstance(value, list):
                del getattr(holder, last)[:]
                getattr(holder, last).extend(value)
            else:
                setattr(holder, last, value)

    return act


LINEAR = "cells__linear__"
FORGERIES: Mapping[str, Callable[[state_pb2.State], None]] = {
    "another format": forged(format=2),
    "a loss that is not there": forged(specification__loss="hunter2"),
    "params that are no JSON": forged(specification__params="hunter2"),
    "params that are a list": forged(specification__params="[7919]"),
    "params without their loss": forged(specification__params='{"delta":1.0}'),
    "a parameter that is not there": forged(
        specification__params='{"delta":1.0,"loss":"huber","x":1}'
    ),
    "a parameter out of bounds": forged(specification__params='{"delta":-7919.0,"loss":"huber"}'),
    "params of another loss": forged(specification__params='{"delta":1.0,"loss":"poisson_nll"}'),
    "params nested 100,000 deep": forged(specification__params="[" * 100_000),
    "an axis that is no JSON": forged(specification__axis="hunter2"),
    "an axis that is no list": forged(specification__axis="7919"),
    "groups without labels": forged(specification__by="country"),
    "a dtype of no kind": forged(specification__dtype="hunter2"),
    "a policy of no kind": forged(specification__nonfinite="hunter2"),
    "no batches": forged(batches=[]),
    "no groups": forged(cells=[]),
    "more rows than its batches have": forged(batches__rows=7919),
    "fewer rows than it counts": forged(**{f"{LINEAR}rows": 0}),
    "more kept than there are": forged(**{f"{LINEAR}count": 7919}),
    "more weights than kept": forged(**{f"{LINEAR}nonzero": 7919}),
    "more weights than entries": forged(**{f"{LINEAR}nonzero_entries": 7919}),
    "a shape without its groups": forged(shape=[2]),
    "a shape of no groups": forged(shape=[0]),
    "a sum beyond float64": forged(**{f"{LINEAR}total__exponent": 2**31 - 1}),
    "a sum below float64": forged(**{f"{LINEAR}total__exponent": -(2**31)}),
    "a sum in two forms": forged(**{f"{LINEAR}total__mantissa": b"\2"}),
    "a sum of a megabyte": forged(**{f"{LINEAR}total__mantissa": b"\1" * 2**20}),
    "an extreme of another batch": forged(cells__greatest__batch_id="hunter2"),
    "an extreme beyond its batch": forged(cells__greatest__row=7919),
    "bins without weights": forged(cells__histogram__weights=[]),
    "bins in disorder": forged(cells__histogram__numbers=[2, 1]),
    "bins twice": forged(cells__histogram__numbers=[1, 1]),
}


@pytest.mark.parametrize("merge", MERGES.values(), ids=MERGES)
@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_state(
    service: Service, forge: Callable[[state_pb2.State], None], merge: Merge
) -> None:
    state = state_pb2.State.FromString(made(options={"state": ["max", "median"]}))
    forge(state)
    assert reason_of(merge, service, signed(state)) == "MALFORMED_REQUEST"


FULL = 2**64 - 1


@pytest.mark.parametrize("merge", MERGES.values(), ids=MERGES)
@pytest.mark.parametrize(
    "counts",
    [
        pytest.param(
            {"batches__rows": FULL}
            | {f"cells__linear__{name}": FULL for name in ("rows", "entries", "count")},
            id="rows",
        ),
        pytest.param({f"{LINEAR}total__nan": FULL}, id="numbers that are NaN"),
    ],
)
def test_counts_beyond_all(service: Service, counts: Mapping[str, int], merge: Merge) -> None:
    states = []
    for _ in range(2):
        state = state_pb2.State.FromString(made())
        forged(**counts)(state)
        states.append(signed(state))
    settings = {"options": {"state": True}}
    with pytest.raises((MalformedRequest, Refused)) as raised:
        merge(service, states, settings)
    assert getattr(raised.value, "reason", None) == "MALFORMED_REQUEST"
