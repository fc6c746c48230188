"""lossmeter.v1.LossService: decode, delegate, encode."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import grpc

from lossmeter.app.engine import Engine, Session, Sessions
from lossmeter.catalog.descriptors import find_descriptor
from lossmeter.catalog.search import Query, find_descriptors
from lossmeter.errors import LossmeterError, MalformedRequest
from lossmeter.plan.request import read
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import loss_service_pb2_grpc as pb_grpc
from lossmeter.v1 import tensor_pb2
from lossmeter.wire.cutting import Cut, parsed
from lossmeter.wire.protobuf import (
    answer_message,
    explanation_message,
    message_of,
    read_export,
    read_merge,
    read_spec,
    read_tensors,
)

# From a map of tensors to the bytes of each.
TENSOR_DATA = (2, tensor_pb2.Tensor.DATA_FIELD_NUMBER)
REQUEST_DATA = (pb.EvaluateRequest.INPUTS_FIELD_NUMBER, *TENSOR_DATA)
CHUNK_DATA = (
    pb.EvaluateStreamRequest.CHUNK_FIELD_NUMBER,
    pb.EvaluateStreamRequest.Chunk.INPUTS_FIELD_NUMBER,
    *TENSOR_DATA,
)
# Requests whose tensors are views of the bytes that came.
PARSERS: Mapping[str, Callable[[bytes], Any]] = {
    "/lossmeter.v1.LossService/Evaluate": partial(parsed, pb.EvaluateRequest, REQUEST_DATA),
    "/lossmeter.v1.LossService/EvaluateStream": partial(
        parsed, pb.EvaluateStreamRequest, CHUNK_DATA
    ),
}


class LossService(pb_grpc.LossServiceServicer):
    """The service; ``StatusInterceptor`` turns its errors into statuses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def Evaluate(  # type: ignore[override]  # read by PARSERS
        self, request: Cut[pb.EvaluateRequest], context: grpc.ServicerContext
    ) -> pb.EvaluateResponse:
        """Evaluate one loss, or several, on one batch."""
        tensors = read_tensors(request.message.inputs, request.bytes_of)
        return answer_message(self._engine.evaluate(read_spec(request.message), tensors))

    def EvaluateStream(  # type: ignore[override]  # read by PARSERS
        self,
        request_iterator: Iterator[Cut[pb.EvaluateStreamRequest]],
        context: grpc.ServicerContext,
    ) -> pb.EvaluateResponse:
        """Evaluate rows as they arrive."""
        session, chunks = self._opened(next(request_iterator, None)), 0
        try:
            for request in request_iterator:
                _add(session, request)
                chunks += 1
        except LossmeterError as error:
            error.detail = f"chunk {chunks}: {error.detail}"
            error.facts["chunk"] = chunks
            raise
        return answer_message(session.finish())

    def _opened(self, first: Cut[pb.EvaluateStreamRequest] | None) -> Session | Sessions:
        if first is None or first.message.WhichOneof("message") != "spec":
            raise MalformedRequest("the first message of a stream is its spec", field="spec")
        if first.message.spec.inputs:
            raise MalformedRequest("the spec of a stream has no inputs", field="spec.inputs")
        return self._engine.open(read_spec(first.message.spec), streaming=True)

    def MergeStates(
        self, request: pb.MergeStatesRequest, context: grpc.ServicerContext
    ) -> pb.EvaluateResponse:
        """Finish states made apart."""
        return answer_message(self._engine.merge(*read_merge(request)))

    def Explain(
        self, request: pb.EvaluateRequest, context: grpc.ServicerContext
    ) -> pb.ExplainResponse:
        """Evaluate, step by step, with what other frameworks say."""
        explanation = self._engine.explain(read_spec(request), read_tensors(request.inputs))
        return explanation_message(explanation)

    def ListLosses(
        self, request: pb.ListLossesRequest, context: grpc.ServicerContext
    ) -> pb.ListLossesResponse:
        """Every loss, or those that are asked for."""
        query = read(Query, {"framework": request.framework, "search": request.search})
        return message_of({"losses": find_descriptors(query)}, pb.ListLossesResponse())

    def GetLoss(
        self, request: pb.GetLossRequest, context: grpc.ServicerContext
    ) -> pb.GetLossResponse:
        """One loss, by canonical name, alias or symbol."""
        return message_of({"loss": find_descriptor(request.name)}, pb.GetLossResponse())

    def ExportLoss(
        self, request: pb.ExportLossRequest, context: grpc.ServicerContext
    ) -> pb.ExportLossResponse:
        """One loss as an ONNX graph."""
        from lossmeter.app.export.model import exported  # noqa: PLC0415 slow, needed by few

        return pb.ExportLossResponse(model=exported(request.name, read_export(request)))


def _add(session: Session | Sessions, request: Cut[pb.EvaluateStreamRequest]) -> None:
    """Evaluate the next rows of a stream."""
    if request.message.WhichOneof("message") != "chunk":
        raise MalformedRequest("after the spec come chunks", field="chunk")
    session.add(read_tensors(request.message.chunk.inputs, request.bytes_of))
