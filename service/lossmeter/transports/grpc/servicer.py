"""lossmeter.v1.LossService: decode, delegate, encode."""

from collections.abc import Iterator

import grpc

from lossmeter.app.engine import Engine
from lossmeter.catalog.descriptors import find_descriptor
from lossmeter.catalog.search import Query, find_descriptors
from lossmeter.errors import MalformedRequest
from lossmeter.plan.request import read
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import loss_service_pb2_grpc as pb_grpc
from lossmeter.wire.protobuf import (
    answer_message,
    explanation_message,
    message_of,
    read_export,
    read_merge,
    read_spec,
    read_tensors,
)


class LossService(pb_grpc.LossServiceServicer):
    """The service; ``StatusInterceptor`` turns its errors into statuses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def Evaluate(
        self, request: pb.EvaluateRequest, context: grpc.ServicerContext
    ) -> pb.EvaluateResponse:
        """Evaluate one loss, or several, on one batch."""
        answer = self._engine.evaluate(read_spec(request), read_tensors(request.inputs))
        return answer_message(answer)

    def EvaluateStream(
        self, request_iterator: Iterator[pb.EvaluateStreamRequest], context: grpc.ServicerContext
    ) -> pb.EvaluateResponse:
        """Evaluate rows as they arrive; one chunk is held at a time."""
        first = next(request_iterator, None)
        if first is None or first.WhichOneof("message") != "spec":
            raise MalformedRequest("the first message of a stream is its spec", field="spec")
        if first.spec.inputs:
            raise MalformedRequest("the spec of a stream has no inputs", field="spec.inputs")
        session = self._engine.open(read_spec(first.spec), streaming=True)
        for message in request_iterator:
            if message.WhichOneof("message") != "chunk":
                raise MalformedRequest("after the spec come chunks", field="chunk")
            session.add(read_tensors(message.chunk.inputs))
        return answer_message(session.finish())

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
