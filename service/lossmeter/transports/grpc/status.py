"""Errors as rich gRPC statuses; the only place a gRPC status is chosen."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any, TypeAlias
from uuid import uuid4

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from lossmeter.errors import Code, Internal, LossmeterError, MalformedRequest, Overloaded, TooLarge
from lossmeter.transports.metrics import ANSWERED, CANCELLED, OTHER, Metrics

logger = logging.getLogger(__name__)

DOMAIN = "lossmeter"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"


def status_of(error: LossmeterError) -> status_pb2.Status:
    """The status of an error, with its reason and its field as details."""
    info = error_details_pb2.ErrorInfo(
        reason=error.reason,
        domain=DOMAIN,
        metadata={
            **({"field": error.field} if error.field else {}),
            **{name: str(number) for name, number in error.facts.items()},
        },
    )
    details = [_packed(info)]
    if isinstance(error, Overloaded):
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1))))
    if error.field is not None:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.detail, reason=error.reason
        )
        details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.code.name), message=error.detail, details=details
    )


def _readable(request: Any) -> Any:
    """The message, unless it could not be read."""
    if isinstance(request, LossmeterError):
        raise request
    return request


def _packed(message: Any) -> Packed:
    packed = Packed()
    packed.Pack(message)
    return packed


class Call:
    """What the metrics tell of a call.

    Args:
        method: Its method's full name.
    """

    __slots__ = ("code", "loss", "method", "received", "started")

    def __init__(self, method: str) -> None:
        self.method = method
        self.started = perf_counter()
        self.received = 0
        self.loss = ""
        self.code: str = CANCELLED

    @property
    def wire(self) -> str:
        return "oip_grpc" if self.method.startswith("/inference.") else "grpc"


def _loss_of(message: Any) -> str:
    """The loss that a message asks for; empty where it asks for none."""
    asked = getattr(message, "spec", message)
    for field in ("loss", "model_name"):
        if (name := getattr(asked, field, None)) is not None:
            return name or OTHER
    return ""


class StatusInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs alone
    """Turns what a method raises into its status.

    Args:
        max_message_bytes: Largest message that is read.
        metrics: What counts the calls.
    """

    def __init__(self, max_message_bytes: int, metrics: Metrics) -> None:
        self._limit = max_message_bytes
        self._metrics = metrics

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wrap the handler of a call."""
        handler = continuation(details)
        if handler is None:
            return None
        call = Call(details.method)
        read = self._reader(handler.request_deserializer, call)
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._guarded(handler.unary_unary, call, _readable),
                read,
                handler.response_serializer,
            )
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(
                self._guarded(handler.stream_unary, call, partial(map, _readable)),
                read,
                handler.response_serializer,
            )
        return handler

    def _reader(self, parse: Callable[[bytes], Any] | None, call: Call) -> Callable[[bytes], Any]:
        """Parse a message, or give the mistake in it: gRPC's own answer would be INTERNAL."""

        def read(data: bytes) -> Any:
            call.received += len(data)
            if len(data) > self._limit:
                return TooLarge("the message is too large", limit=self._limit, actual=len(data))
            try:
                message = data if parse is None else parse(data)
            except DecodeError:
                return MalformedRequest("the bytes are not this message")
            call.loss = call.loss or _loss_of(message)
            return message

        return read

    def _guarded(
        self, method: Callable[..., Any], call: Call, check: Callable[[Any], Any]
    ) -> Callable[..., Any]:
        def guarded(request: Any | Iterator[Any], context: grpc.ServicerContext) -> Any:
            self._metrics.begun(call)
            try:
                answer = method(check(request), context)
                call.code = ANSWERED
                return answer
            except LossmeterError as error:
                call.code = error.code
                context.abort_with_status(rpc_status.to_status(status_of(error)))
            except Exception:
                if not context.is_active():
                    raise  # the caller left; gRPC ends the call itself
                call.code = Code.INTERNAL
                number = uuid4().hex
                # The message of a stranger's exception may hold data: log it, do not send it.
                logger.exception("internal error %s in %s", number, call.method)
                opaque = status_of(Internal(f"internal error {number}"))
                context.abort_with_status(rpc_status.to_status(opaque))
            finally:
                seconds = perf_counter() - call.started
                self._metrics.observed(call.wire, call.loss, call.code, seconds, call.received)
                self._metrics.ended(call)

        return guarded
