"""A server that refuses as a test tells it, and answers then."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from lossmeter_client import Client
from lossmeter_client.v1 import loss_service_pb2 as pb
from lossmeter_client.v1 import tensor_pb2
from tests.integration.servers import HOST

DATA = {"predictions": np.ones(2), "targets": np.zeros(2)}
GOOD = pb.EvaluateResponse(
    value=tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_FLOAT64, data=bytes(8)),
    loss="huber",
    reduction="mean",
    count=2,
    backend="numpy",
    device="cpu",
    dtype="float64",
)


def status(reason: str, code: str = "RESOURCE_EXHAUSTED", seconds: float | None = None) -> Any:
    info = error_details_pb2.ErrorInfo(reason=reason, domain="lossmeter")
    details: list[Any] = [info]
    if seconds is not None:
        delay = Duration(nanos=int(seconds * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = [Packed() for _ in details]
    for one, detail in zip(packed, details, strict=True):
        one.Pack(detail)
    made = status_pb2.Status(code=code_pb2.Code.Value(code), message="told", details=packed)
    return rpc_status.to_status(made)


class Scripted:
    """Refuses as it is told, then answers: of a service, what these tests call."""

    def __init__(self, *refusals: Any) -> None:
        self.refusals = list(refusals)
        self.calls: list[dict[str, str]] = []

    def Evaluate(
        self, request: pb.EvaluateRequest, context: grpc.ServicerContext
    ) -> pb.EvaluateResponse:
        given: Any = context.invocation_metadata()
        self.calls.append({name: str(text) for name, text in given})
        if self.refusals:
            context.abort_with_status(self.refusals.pop(0))
        return GOOD

    def EvaluateStream(
        self, request_iterator: Iterator[pb.EvaluateStreamRequest], context: grpc.ServicerContext
    ) -> pb.EvaluateResponse:
        for _ in request_iterator:
            pass
        return self.Evaluate(pb.EvaluateRequest(), context)


@contextmanager
def serving(*refusals: Any, credentials: Any = None) -> Iterator[tuple[str, Scripted]]:
    """A server on a free port, and its target; with credentials it speaks TLS alone."""
    servicer = Scripted(*refusals)
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(2), options=options)
    methods = {
        "Evaluate": grpc.unary_unary_rpc_method_handler(
            servicer.Evaluate,
            pb.EvaluateRequest.FromString,
            pb.EvaluateResponse.SerializeToString,
        ),
        "EvaluateStream": grpc.stream_unary_rpc_method_handler(
            servicer.EvaluateStream,
            pb.EvaluateStreamRequest.FromString,
            pb.EvaluateResponse.SerializeToString,
        ),
    }
    handler = grpc.method_handlers_generic_handler("lossmeter.v1.LossService", methods)
    server.add_generic_rpc_handlers((handler,))
    target = f"{HOST}:0"
    port = (
        server.add_insecure_port(target)
        if credentials is None
        else server.add_secure_port(target, credentials)
    )
    server.start()
    try:
        yield f"{HOST}:{port}", servicer
    finally:
        server.stop(None).wait()


@contextmanager
def scripted(*refusals: Any, **options: Any) -> Iterator[tuple[Client, Scripted]]:
    """A client of such a server."""
    with serving(*refusals) as (target, servicer), Client(target, **options) as client:
        yield client, servicer
