"""Errors as rich gRPC statuses; the only place a gRPC status is chosen."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from operator import attrgetter
from time import monotonic, perf_counter
from typing import Any, NoReturn, TypeAlias
from uuid import uuid4

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from lossmeter.access.principals import KeysWanted
from lossmeter.app.wanted import while_wanted
from lossmeter.errors import Code, Internal, LossmeterError, MalformedRequest, Overloaded, TooLarge
from lossmeter.inference import grpc_service_pb2 as inference_pb
from lossmeter.transports.grpc.gate import Gate, after
from lossmeter.transports.grpc.streams import Streams
from lossmeter.transports.metrics import ANSWERED, CANCELLED, OTHER, Metrics
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.wire.cutting import Cut

logger = logging.getLogger(__name__)

DOMAIN = "lossmeter"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Parser: TypeAlias = Callable[[bytes], Any]
Reader: TypeAlias = Callable[[bytes | TooLarge], Any]
Method: TypeAlias = Callable[[Any, grpc.ServicerContext], Any]


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
        wait = Duration(seconds=error.seconds)
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=wait)))
    if error.field is not None:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.detail, reason=error.reason
        )
        details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.code.name), message=error.detail, details=details
    )


def _packed(message: Any) -> Packed:
    packed = Packed()
    packed.Pack(message)
    return packed


# What names the loss of a request.
NAMED_BY: Mapping[type[Message], Callable[[Any], str]] = {
    pb.EvaluateRequest: attrgetter("loss"),
    pb.EvaluateStreamRequest: attrgetter("spec.loss"),
    inference_pb.ModelInferRequest: attrgetter("model_name"),
}


class Call:
    """What the metrics tell of a call.

    Args:
        method: Its method's full name.
        gate: What counts the bytes of its caller.
    """

    __slots__ = ("_gate", "code", "loss", "received", "started", "wire")

    def __init__(self, method: str, gate: Gate | None) -> None:
        self._gate = gate
        self.wire = "oip_grpc" if method.startswith("/inference.") else "grpc"
        self.started = perf_counter()
        self.received = 0
        self.loss = ""
        self.code: str = CANCELLED

    def sized(self, data: bytes | TooLarge) -> bytes | TooLarge:
        """A message as it came, its size noted."""
        size = len(data) if isinstance(data, bytes) else data.facts["actual"]
        self.received += size
        if self._gate is not None:
            self._gate.spend(size)
        return data

    def another(self, data: bytes | TooLarge) -> bytes | TooLarge:
        """A message that is a request of its own."""
        if self._gate is not None:
            self._gate.another()
        return self.sized(data)

    def read(self, parse: Reader, data: bytes | TooLarge) -> Any:
        """Parse a message, and note its size and its loss."""
        message = parse(self.sized(data))
        self.loss = self.loss or _loss_of(message)
        return message


def _loss_of(message: Any) -> str:
    """The loss that a message asks for; empty where it asks for none."""
    asked = message.message if isinstance(message, Cut) else message
    name_of = NAMED_BY.get(type(asked))
    return "" if name_of is None else name_of(asked) or OTHER


class StatusInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs alone
    """Turns what a method raises into its status, and reads its requests.

    Args:
        max_message_bytes: Largest message that is read.
        streams: What reads streams of requests.
        parsers: What parses the requests of a method, where not its generated message does.
        metrics: What counts the calls.
        most_seconds: How long a call may take; 0 for no limit.
        gate: What lets callers in; None where everybody is.
    """

    def __init__(
        self,
        max_message_bytes: int,
        streams: Streams,
        parsers: Mapping[str, Parser],
        metrics: Metrics,
        *,
        most_seconds: float = 0.0,
        gate: Gate | None = None,
    ) -> None:
        self._limit = max_message_bytes
        self._most_seconds = most_seconds
        self._metrics = metrics
        self._streams = streams
        self._parsers = parsers
        self._gate = gate
        self._handlers: dict[str, Handler] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The handler of a call; of one that is not let in, what says so."""
        handler, gate = self._handler(continuation, details), self._gate
        if handler is None or gate is None:
            return handler
        try:
            gate.let_in(details)
        except KeysWanted:
            return after(partial(self._let_in, gate, details), handler)
        except LossmeterError as error:
            return after(partial(self._refused, error, details.method), handler)
        return handler

    def _let_in(
        self, gate: Gate, details: grpc.HandlerCallDetails, context: grpc.ServicerContext
    ) -> None:
        """Let a call in once published keys are fetched."""
        gate.wait()
        try:
            gate.let_in(details)
        except LossmeterError as error:
            self._refused(error, details.method, context)

    def _refused(self, error: LossmeterError, name: str, context: grpc.ServicerContext) -> None:
        with self._watched(name, context):
            raise error

    def _handler(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The handler of a method, wrapped once."""
        name = details.method
        if name not in self._handlers:
            handler = continuation(details)
            if handler is None:
                return None  # any number of names may be made up
            self._handlers[name] = self._guarded(name, handler)
        return self._handlers[name]

    def _guarded(self, name: str, handler: "grpc.RpcMethodHandler[Any, Any]") -> Handler:
        # Parsed in the thread of the call: all calls share the one in which gRPC deserialises.
        parse = _parser(self._parsers.get(name, handler.request_deserializer))
        write = handler.response_serializer
        if handler.unary_unary:
            call = self._from_message(handler.unary_unary, name, parse)
            return grpc.unary_unary_rpc_method_handler(call, self._sized, write)
        if handler.stream_unary:
            call = self._from_stream(handler.stream_unary, name, parse)
            return grpc.stream_unary_rpc_method_handler(call, self._sized, write)
        if handler.stream_stream:
            call = self._between_streams(handler.stream_stream, name, parse)
            return grpc.stream_stream_rpc_method_handler(call, self._sized, write)
        return handler

    def _sized(self, data: bytes) -> bytes | TooLarge:
        """The bytes of a message, or why they are not read: gRPC's own answer has no reason."""
        if len(data) > self._limit:
            return TooLarge("the message is too large", limit=self._limit, actual=len(data))
        return data

    def _from_message(self, method: Method, name: str, parse: Reader) -> Method:
        def call(data: bytes | TooLarge, context: grpc.ServicerContext) -> Any:
            with self._watched(name, context) as told:
                return method(told.read(parse, data), context)

        return call

    def _from_stream(self, method: Method, name: str, parse: Reader) -> Method:
        def call(messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
            with self._watched(name, context) as told:
                with closing(self._streams.read(messages)) as taken:
                    return method(map(partial(told.read, parse), taken), context)

        return call

    def _between_streams(self, method: Method, name: str, parse: Reader) -> Method:
        def call(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
            with self._watched(name, context) as told:
                with closing(self._streams.read(messages)) as taken:
                    # Each message is a request, which the method counts under its loss.
                    yield from method(map(parse, map(told.another, taken)), context)

        return call

    @contextmanager
    def _watched(self, name: str, context: grpc.ServicerContext) -> Iterator[Call]:
        """A call counted, ended with the status of what is raised in it, stopped if not wanted."""
        call = Call(name, self._gate)
        self._metrics.begun(call)
        try:
            if self._gate is not None:
                self._gate.let_holder_in(name, context)
            with while_wanted(self._wanted(context)):
                yield call
            # The messages of a caller that left may end as if they were all.
            call.code = ANSWERED if context.is_active() else CANCELLED
        except Exception as error:
            if context.is_active():
                call.code = error.code if isinstance(error, LossmeterError) else Code.INTERNAL
            _refuse(error, name, context)
        finally:
            seconds = perf_counter() - call.started
            self._metrics.observed(call.wire, call.loss, call.code, seconds, call.received)
            self._metrics.ended(call)

    def _wanted(self, context: grpc.ServicerContext) -> Callable[[], bool]:
        """What says whether the answer to a call is still of use."""
        if not self._most_seconds:
            return context.is_active
        deadline = monotonic() + self._most_seconds
        return lambda: context.is_active() and monotonic() < deadline


def _parser(parse: Parser | None) -> Reader:
    """What parses a message, or raises the mistake in it."""

    def read(data: bytes | TooLarge) -> Any:
        if isinstance(data, TooLarge):
            raise data
        try:
            return data if parse is None else parse(data)
        except DecodeError:
            raise MalformedRequest("the bytes are not this message") from None

    return read


def _refuse(error: Exception, name: str, context: grpc.ServicerContext) -> NoReturn:
    """End a call with the status of what was raised."""
    if isinstance(error, LossmeterError):
        context.abort_with_status(rpc_status.to_status(status_of(error)))
    if not context.is_active():
        raise error  # the caller left; gRPC ends the call itself
    number = uuid4().hex
    # The message of a stranger's exception may hold data: log it, do not send it.
    logger.error("internal error %s in %s", number, name, exc_info=error)
    context.abort_with_status(rpc_status.to_status(status_of(Internal(f"internal error {number}"))))
