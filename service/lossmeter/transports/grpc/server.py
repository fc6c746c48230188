"""The gRPC server: our service, health and reflection on one port."""

import ctypes
import os
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from lossmeter.access.control import Access
from lossmeter.app.engine import Engine
from lossmeter.inference import grpc_service_pb2_grpc as inference_grpc
from lossmeter.settings import Settings
from lossmeter.transports.grpc.gate import Gate
from lossmeter.transports.grpc.servicer import PARSERS, LossService
from lossmeter.transports.grpc.status import StatusInterceptor
from lossmeter.transports.grpc.streams import Streams
from lossmeter.transports.metrics import Metrics
from lossmeter.transports.oip.grpc import PARSERS as INFERENCE_PARSERS
from lossmeter.transports.oip.grpc import SERVICE as INFERENCE
from lossmeter.transports.oip.grpc import InferenceService
from lossmeter.transports.oip.inferences import Inferences
from lossmeter.transports.tls import Certificates
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import loss_service_pb2_grpc as pb_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["LossService"].full_name
# Whose health is told; the empty name is that of the server.
SERVICES = ("", SERVICE, INFERENCE)


# In which connections that wait already are taken.
LAST_SECONDS = 0.5
# Of Linux; Python has no name for it.
SO_ATTACH_FILTER = 26
# A program of the kernel's packet filter, of one instruction: return 0 bytes.
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)


class _Health(health.HealthServicer):
    """Health of each service, all of them at once too, which grpcio has not."""

    def List(
        self, request: health_pb2.HealthListRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthListResponse:
        asked = {name: health_pb2.HealthCheckRequest(service=name) for name in SERVICES}
        statuses = {name: self.Check(one, context) for name, one in asked.items()}
        return health_pb2.HealthListResponse(statuses=statuses)


class GrpcServer:
    """A synchronous server, which was faster than the asyncio one at every size.

    Args:
        engine: What evaluates.
        settings: Address, port and limits.
        inferences: What answers the Open Inference Protocol.
        metrics: What counts the calls.
        access: What lets callers in; None where everybody is.
        certificates: The certificate of the service; None where it speaks in the clear.
    """

    def __init__(  # noqa: PLR0917 what it is made of
        self,
        engine: Engine,
        settings: Settings,
        inferences: Inferences,
        metrics: Metrics,
        access: Access | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        self._health = _Health(
            experimental_non_blocking=True,
            experimental_thread_pool=ThreadPoolExecutor(max_workers=4),
        )
        streams = Streams(settings.max_streams, settings.stream_idle_seconds)
        # A stream holds a thread while it waits; however many there are, other calls have theirs.
        threads = settings.grpc_threads + settings.max_streams
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=threads, thread_name_prefix="grpc"),
            interceptors=[
                StatusInterceptor(
                    settings.max_message_bytes,
                    streams,
                    {**PARSERS, **INFERENCE_PARSERS},
                    metrics,
                    most_seconds=settings.request_seconds,
                    gate=None if access is None else Gate(access),
                )
            ],
            options=[
                ("grpc.so_reuseport", 1),
                # The interceptor says what the limit is; gRPC's own refusal has no reason.
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                # Callers may ping every 10 s between calls without being sent away.
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        pb_grpc.add_LossServiceServicer_to_server(LossService(engine), self._server)
        inference_grpc.add_GRPCInferenceServiceServicer_to_server(
            InferenceService(inferences), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (SERVICE, INFERENCE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        address = f"{settings.host}:{settings.grpc_port}"
        if certificates is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, certificates.credentials())

    def start(self) -> None:
        """Take calls."""
        self._server.start()
        for name in SERVICES:
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def refuse(self) -> None:
        """Tell health checks that no more calls should come."""
        self._health.enter_graceful_shutdown()

    def stop(self, grace: float) -> None:
        """Take no more calls, finish those in flight within ``grace`` seconds."""
        self.refuse()
        _take_no_more(self.port)
        self._server.stop(grace).wait()


def _take_no_more(port: int) -> None:
    """Have the kernel let no more connections in, while those that wait are taken.

    gRPC resets what waits when it closes its socket, and its callers see UNAVAILABLE. A filter that
    drops a caller's first packet has it sent again in a second, to another worker.
    """
    drop_all = ctypes.create_string_buffer(DROP_ALL)
    program = struct.pack("HP", 1, ctypes.addressof(drop_all))
    for number in os.listdir("/dev/fd"):
        with suppress(OSError), socket.socket(fileno=os.dup(int(number))) as one:
            listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            if listens and one.getsockname()[1] == port:
                one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    time.sleep(LAST_SECONDS)
