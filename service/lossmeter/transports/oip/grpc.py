"""inference.GRPCInferenceService: decode, delegate, encode."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import grpc

from lossmeter.errors import LossmeterError
from lossmeter.inference import grpc_service_pb2 as pb
from lossmeter.inference import grpc_service_pb2_grpc as pb_grpc
from lossmeter.transports.oip import models
from lossmeter.transports.oip.inferences import Inferences
from lossmeter.wire.cutting import Cut, parsed
from lossmeter.wire.inference.messages import answer_message, read_message
from lossmeter.wire.protobuf import message_of

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
# Metadata of a caller who wants a refusal in a stream to end it.
STATUS_WANTED = ("triton_grpc_error", "true")
# Requests whose raw tensors are views of the bytes that came.
PARSERS: Mapping[str, Callable[[bytes], Any]] = {
    f"/{SERVICE}/{method}": partial(
        parsed, pb.ModelInferRequest, (pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER,)
    )
    for method in ("ModelInfer", "ModelStreamInfer")
}


class InferenceService(pb_grpc.GRPCInferenceServiceServicer):
    """The service; ``StatusInterceptor`` turns its errors into statuses."""

    def __init__(self, inferences: Inferences) -> None:
        self._inferences = inferences

    def ServerLive(
        self, request: pb.ServerLiveRequest, context: grpc.ServicerContext
    ) -> pb.ServerLiveResponse:
        """Whether the process runs."""
        return pb.ServerLiveResponse(live=True)

    def ServerReady(
        self, request: pb.ServerReadyRequest, context: grpc.ServicerContext
    ) -> pb.ServerReadyResponse:
        """Whether requests are taken."""
        return pb.ServerReadyResponse(ready=True)

    def ModelReady(
        self, request: pb.ModelReadyRequest, context: grpc.ServicerContext
    ) -> pb.ModelReadyResponse:
        """Whether there is such a loss; no error if not."""
        return pb.ModelReadyResponse(ready=models.is_ready(request.name, request.version))

    def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ServerMetadataResponse:
        """Name, version and extensions of the service."""
        return message_of(models.server(self._inferences.extensions), pb.ServerMetadataResponse())

    def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ModelMetadataResponse:
        """Inputs and outputs of a loss."""
        found = models.metadata(request.name, request.version)
        return message_of(found, pb.ModelMetadataResponse())

    def ModelConfig(
        self, request: pb.ModelConfigRequest, context: grpc.ServicerContext
    ) -> pb.ModelConfigResponse:
        """Inputs and outputs of a loss, in the words of a model's configuration."""
        found = models.config(request.name, request.version)
        return message_of({"config": found}, pb.ModelConfigResponse())

    def ModelStatistics(
        self, request: pb.ModelStatisticsRequest, context: grpc.ServicerContext
    ) -> pb.ModelStatisticsResponse:
        """How many inferences were answered and refused."""
        counted = self._inferences.metrics.of_losses()
        found = models.statistics(request.name, request.version, counted)
        return message_of(found, pb.ModelStatisticsResponse())

    def ModelInfer(  # type: ignore[override]  # read by PARSERS
        self, request: Cut[pb.ModelInferRequest], context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        """Evaluate a loss on one batch."""
        return self._infer(request)

    def ModelStreamInfer(  # type: ignore[override]  # read by PARSERS
        self, request_iterator: Iterator[Cut[pb.ModelInferRequest]], context: grpc.ServicerContext
    ) -> Iterator[pb.ModelStreamInferResponse]:
        """Evaluate batch after batch, each for itself."""
        ends = STATUS_WANTED in [tuple(one) for one in context.invocation_metadata()]
        for request in request_iterator:
            try:
                with self._inferences.metrics.counting("oip_grpc", request.message.model_name):
                    answer = self._infer(request)
                yield pb.ModelStreamInferResponse(infer_response=answer)
            except LossmeterError as error:
                if ends:
                    raise
                message = request.message
                asked = pb.ModelInferResponse(model_name=message.model_name, id=message.id)
                yield pb.ModelStreamInferResponse(error_message=error.detail, infer_response=asked)

    def _infer(self, request: Cut[pb.ModelInferRequest]) -> pb.ModelInferResponse:
        message, inferences = request.message, self._inferences
        models.check(message.model_name, message.model_version)
        inference = read_message(message, request.bytes_of, inferences.memory)
        answer = inferences.evaluate(inference)
        return answer_message(inference, answer, inferences.memory)

    def RepositoryIndex(
        self, request: pb.RepositoryIndexRequest, context: grpc.ServicerContext
    ) -> pb.RepositoryIndexResponse:
        """Every loss and symbol."""
        return message_of({"models": models.index()}, pb.RepositoryIndexResponse())

    def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: grpc.ServicerContext
    ) -> pb.RepositoryModelLoadResponse:
        """Succeed where there is such a loss."""
        name = _named(request)
        models.load(name, request.parameters)
        return pb.RepositoryModelLoadResponse(model_name=name, is_loaded=True)

    def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: grpc.ServicerContext
    ) -> pb.RepositoryModelUnloadResponse:
        """Refuse."""
        models.unload(_named(request))
        return pb.RepositoryModelUnloadResponse()

    def SystemSharedMemoryStatus(
        self, request: pb.SystemSharedMemoryStatusRequest, context: grpc.ServicerContext
    ) -> pb.SystemSharedMemoryStatusResponse:
        """The regions that are registered."""
        found = {one["name"]: one for one in self._inferences.memory.status(request.name)}
        return message_of({"regions": found}, pb.SystemSharedMemoryStatusResponse())

    def SystemSharedMemoryRegister(
        self, request: pb.SystemSharedMemoryRegisterRequest, context: grpc.ServicerContext
    ) -> pb.SystemSharedMemoryRegisterResponse:
        """Register a region."""
        self._inferences.memory.register(
            request.name, request.key, request.offset, request.byte_size
        )
        return pb.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(
        self, request: pb.SystemSharedMemoryUnregisterRequest, context: grpc.ServicerContext
    ) -> pb.SystemSharedMemoryUnregisterResponse:
        """Forget a region, or all."""
        self._inferences.memory.unregister(request.name)
        return pb.SystemSharedMemoryUnregisterResponse()


def _named(request: pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest) -> str:
    """The model; KServe has its name where Triton has the name of a repository."""
    return request.model_name or request.repository_name
