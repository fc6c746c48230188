"""Errors as rich gRPC statuses; the only place a gRPC status is chosen."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, NoReturn, TypeAlias
from uuid import uuid4

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from lossmeter.app.wanted import while_wanted
from lossmeter.errors import Internal, LossmeterError, MalformedRequest, Overloaded, TooLarge
from lossmeter.transports.grpc.streams import Streams

logger = logging.getLogger(__name__)

DOMAIN = "lossmeter"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Parser: TypeAlias = Callable[[bytes], Any]
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
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1))))
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


class StatusInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs alone
    """Turns what a method raises into its status, and reads its requests.

    Args:
        max_message_bytes: Largest message that is read.
        streams: What reads streams of requests.
        parsers: What parses the requests of a method, where not its generated message does.
    """

    def __init__(
        self, max_message_bytes: int, streams: Streams, parsers: Mapping[str, Parser]
    ) -> None:
        self._limit = max_message_bytes
        self._streams = streams
        self._parsers = parsers
        self._handlers: dict[str, Handler] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The handler of a call, wrapped once."""
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
            call = _from_message(handler.unary_unary, name, parse)
            return grpc.unary_unary_rpc_method_handler(call, self._sized, write)
        if handler.stream_unary:
            call = _from_stream(handler.stream_unary, name, parse, self._streams)
            return grpc.stream_unary_rpc_method_handler(call, self._sized, write)
        if handler.stream_stream:
            call = _between_streams(handler.stream_stream, name, parse, self._streams)
            return grpc.stream_stream_rpc_method_handler(call, self._sized, write)
        return handler

    def _sized(self, data: bytes) -> bytes | TooLarge:
        """The bytes of a message, or why they are not read: gRPC's own answer has no reason."""
        if len(data) > self._limit:
            return TooLarge("the message is too large", limit=self._limit, actual=len(data))
        return data


def _parser(parse: Parser | None) -> Callable[[bytes | TooLarge], Any]:
    """What parses a message, or raises the mistake in it."""

    def read(data: bytes | TooLarge) -> Any:
        if isinstance(data, TooLarge):
            raise data
        try:
            return data if parse is None else parse(data)
        except DecodeError:
            raise MalformedRequest("the bytes are not this message") from None

    return read


def _from_message(method: Method, name: str, parse: Parser) -> Method:
    def call(data: bytes, context: grpc.ServicerContext) -> Any:
        try:
            with while_wanted(context.is_active):
                return method(parse(data), context)
        except Exception as error:
            _refuse(error, name, context)

    return call


def _from_stream(method: Method, name: str, parse: Parser, streams: Streams) -> Method:
    def call(messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
        try:
            with closing(streams.read(messages)) as taken, while_wanted(context.is_active):
                return method(map(parse, taken), context)
        except Exception as error:
            _refuse(error, name, context)

    return call


def _between_streams(method: Method, name: str, parse: Parser, streams: Streams) -> Method:
    def call(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            with closing(streams.read(messages)) as taken, while_wanted(context.is_active):
                yield from method(map(parse, taken), context)
        except Exception as error:
            _refuse(error, name, context)

    return call


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
