"""The gate of gRPC: callers are let in before a message of theirs is received."""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias

import grpc

from lossmeter.access.control import Access
from lossmeter.access.needs import need_of_method
from lossmeter.access.principals import Principal
from lossmeter.transports.tls import named

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
# Who makes a call, between the interceptor, which sees its metadata, and the method.
PRINCIPAL: ContextVar[Principal | None] = ContextVar("principal", default=None)
# TLS has seen the certificate of whoever calls, and whose it is can be asked in the call alone.
SEEN = "seen"


class Gate:
    """What asks callers who they are.

    Args:
        access: What knows them.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def let_in(self, details: grpc.HandlerCallDetails) -> None:
        """Let a call in, before its first message.

        A caller that is known by its certificate alone is let in later: TLS knows it already.

        Raises:
            LossmeterError: It may not.
            KeysWanted: ``wait`` must be called first.
        """
        if self._access.by_certificate:
            return
        metadata = details.invocation_metadata or ()
        authorization = next((str(text) for name, text in metadata if name == "authorization"), "")
        need = need_of_method(details.method)
        PRINCIPAL.set(self._access.enter(need, authorization, SEEN))

    def let_holder_in(self, method: str, context: grpc.ServicerContext) -> None:
        """Let the holder of a certificate in, where that is what callers are known by.

        Raises:
            LossmeterError: It may not.
        """
        if self._access.by_certificate:
            holder = _holder(context)
            PRINCIPAL.set(self._access.enter(need_of_method(method), "", holder))

    def wait(self) -> None:
        """Wait until published keys are fetched."""
        self._access.fetch()

    def another(self) -> None:
        """Count a message of a stream that is a request of its own.

        Raises:
            Overloaded: There are too many.
        """
        principal = PRINCIPAL.get()
        if principal is not None:
            self._access.rates.take(principal)

    def spend(self, size: int) -> None:
        """Count the bytes of a message."""
        principal = PRINCIPAL.get()
        if principal is not None:
            self._access.rates.spend(principal, size)


def after(let_in: Callable[[grpc.ServicerContext], None], handler: Handler) -> Handler:
    """A handler that lets its caller in itself, in its own thread, before it receives a message."""
    told = (handler.request_deserializer, handler.response_serializer)
    # The stubs of grpc say that all of them are there; one is.
    one_answers_one: Any = handler.unary_unary
    one_answers: Any = handler.stream_unary
    many_answer: Any = handler.stream_stream
    if many_answer:

        def stream(messages: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            let_in(context)
            yield from many_answer(messages, context)

        return grpc.stream_stream_rpc_method_handler(stream, *told)

    def call(messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
        let_in(context)
        if one_answers:
            return one_answers(messages, context)
        return one_answers_one(next(messages, b""), context)

    return grpc.stream_unary_rpc_method_handler(call, *told)


def _holder(context: grpc.ServicerContext) -> str:
    """Whose certificate a caller showed."""
    told: Any = context.auth_context()  # the stubs of grpc have other types
    subjects = told.get("x509_common_name", ()), told.get("x509_subject_alternative_name", ())
    return named("", (one.decode() for names in subjects for one in names)) or "unnamed"
