"""The ways of asking: the same request in process, over REST and over gRPC."""

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import grpc
import httpx
import numpy as np
import orjson
from google.protobuf import json_format

import lossmeter
from lossmeter.errors import LossmeterError
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.wire.states import read_state
from tests.integration.forms import Request, array, body, message, settings_of, stream
from tests.integration.replies import (
    Refused,
    Reply,
    of_error,
    of_grpc,
    of_process,
    of_rest,
    of_rpc_error,
)
from tests.integration.servers import Service

Ask: TypeAlias = Callable[[Service, Request], Reply]
Merge: TypeAlias = Callable[[Service, Sequence[bytes], Request], Reply]
JSON = {"content-type": "application/json"}
SECONDS = 60.0


def in_process(_: Service | None, request: Request) -> Reply:
    """The package imported, without a server."""
    with refusing():
        return of_process(lossmeter.evaluate(inputs=given(request), **settings_of(request)))


def given(request: Request) -> dict[str, Any]:
    """The inputs of a request as the package's own functions take them."""
    return {name: _as_given(name, x) for name, x in request["inputs"].items()}


def _as_given(name: str, x: Any) -> Any:
    """Plain numbers as they are, but not in the spelling of JSON."""
    plain = not isinstance(x, dict | np.ndarray) and np.asarray(x).dtype.kind != "U"
    return x if plain else array(name, x)


def over_rest(service: Service, request: Request) -> Reply:
    """POST /v1/evaluate."""
    return of_rest(post(service, "/v1/evaluate", body(request)))


def post(service: Service, path: str, content: bytes) -> httpx.Response:
    """POST JSON."""
    return service.http.post(path, content=content, headers=JSON)


def over_grpc(service: Service, request: Request) -> Reply:
    """Evaluate."""
    with refusing():
        return of_grpc(service.stub.Evaluate(message(request), timeout=SECONDS))


def over_stream(rows: int) -> Ask:
    """EvaluateStream, so many rows a chunk."""

    def ask(service: Service, request: Request) -> Reply:
        with refusing():
            messages = stream(request, rows)
            return of_grpc(service.stub.EvaluateStream(messages, timeout=SECONDS))

    return ask


def merged_in_process(_: Service | None, states: Sequence[bytes], request: Request) -> Reply:
    """The package's own merge."""
    with refusing():
        return of_process(lossmeter.merge([read_state(state) for state in states], **request))


def merged_over_rest(service: Service, states: Sequence[bytes], request: Request) -> Reply:
    """POST /v1/states:merge."""
    texts = [base64.b64encode(state).decode() for state in states]
    content = orjson.dumps({**request, "states": texts})
    return of_rest(post(service, "/v1/states:merge", content))


def merged_over_grpc(service: Service, states: Sequence[bytes], request: Request) -> Reply:
    """MergeStates."""
    asked = json_format.ParseDict(dict(request), pb.MergeStatesRequest())
    asked.states.extend(states)
    with refusing():
        return of_grpc(service.stub.MergeStates(asked, timeout=SECONDS))


def answered(ask: Ask, service: Service, request: Request) -> Reply | Refused:
    """The answer, or the refusal in its place."""
    try:
        return ask(service, request)
    except Refused as refused:
        return refused


@contextmanager
def refusing() -> Iterator[None]:
    """Refusals of the package and of gRPC in one form."""
    try:
        yield
    except LossmeterError as error:
        raise of_error(error) from None
    except grpc.RpcError as error:
        raise of_rpc_error(error) from None


# Every way of a whole batch at once.
UNARY = {"in process": in_process, "over REST": over_rest, "over gRPC": over_grpc}
MERGES = {
    "in process": merged_in_process,
    "over REST": merged_over_rest,
    "over gRPC": merged_over_grpc,
}
