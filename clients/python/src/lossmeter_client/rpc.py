"""Clients over gRPC: what they share, and the two of them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from threading import Condition
from typing import Any, ClassVar, Generic, TypeVar

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from lossmeter_client import messages
from lossmeter_client.answers import Answer, Answers
from lossmeter_client.arrays import Arrays
from lossmeter_client.async_methods import AsyncMethods, each
from lossmeter_client.calls import Call, Certificate, FilePath, Settings, Wire
from lossmeter_client.chunks import MIB
from lossmeter_client.errors import LossmeterError, error_of
from lossmeter_client.methods import Methods
from lossmeter_client.requests import Evaluation
from lossmeter_client.v1.loss_service_pb2_grpc import LossServiceStub

T = TypeVar("T")
# A single message above this is slower than a stream.
UNARY_BYTES = 4 * MIB
DEFAULT_SECONDS = 60.0
# Messages that wait for gRPC to send them.
MOST_WAITING = 2
# What grpc.aio says where it has forgotten what the service said.
LOST = "Internal error from Core"
DETAILS = "grpc-status-details-bin"
CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    # The service says what is too large, with a reason.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A service that comes back is found within a second, one that is cut off within 40.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


def credentials(
    tls: bool | FilePath, certificate: Certificate | None
) -> grpc.ChannelCredentials | None:
    """What secures a channel; None for one in plain text."""
    if tls is False and certificate is None:
        return None
    roots = None if isinstance(tls, bool) else Path(tls).read_bytes()
    chain, key = (Path(path).read_bytes() for path in certificate) if certificate else (None, None)
    return grpc.ssl_channel_credentials(roots, key, chain)


def error_from(error: Any) -> LossmeterError:
    """The error that a failed call stands for."""
    return _error(error.code(), error.details(), error.trailing_metadata())


def _error(code: grpc.StatusCode, detail: str | None, trailing: Any) -> LossmeterError:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for name, content in trailing or ():
        if name == DETAILS:
            for packed in status_pb2.Status.FromString(content).details:
                packed.Unpack(info)
                packed.Unpack(retry)
    told = {"reason": info.reason, **info.metadata}
    seconds = retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None
    return error_of(code.name, detail or "", told, seconds)


class Outbox(Generic[T]):
    """Messages on their way from the caller's thread to gRPC's.

    So a caller's iterable runs in the caller's own thread: what it raises comes through, and no
    more than a few messages are made ahead of those sent.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: deque[T] = deque()
        self._closed = False

    def put(self, message: T) -> bool:
        """Wait for room and leave a message; False where nobody takes it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._waiting) < MOST_WAITING)
            if not self._closed:
                self._waiting.append(message)
                self._changed.notify_all()
            return not self._closed

    def close(self) -> None:
        """No more messages are left; those that wait may still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._waiting))
            if not self._waiting:
                raise StopIteration
            self._changed.notify_all()
            return self._waiting.popleft()


class Connection(Settings):
    """What both clients are of: a channel, and what is said to it."""

    # grpc, or grpc.aio.
    _grpc: ClassVar[Any]
    _wire: ClassVar[Wire] = messages

    def __init__(
        self,
        target: str = "localhost:8081",
        *,
        tls: bool | FilePath = False,
        certificate: Certificate | None = None,
        token: str | None = None,
        timeout: float | None = DEFAULT_SECONDS,
        unary_bytes: int = UNARY_BYTES,
    ) -> None:
        """Connect when the first call is made.

        Args:
            target: Host and port, or any other target that gRPC takes.
            tls: Whether the service has a certificate: True for one of the usual authorities, or
                the path of a PEM file with the authority's.
            certificate: Paths of two PEM files, the client's own certificate and its key, where the
                service asks for one (mTLS). It implies ``tls``.
            token: Bearer token; send it over TLS alone.
            timeout: Seconds that a call may take where it does not say. Streams then have no end.
            unary_bytes: The largest batch that is sent as one message.
        """
        super().__init__(timeout, unary_bytes)
        secured = credentials(tls, certificate)
        self._channel = (
            self._grpc.insecure_channel(target, CHANNEL_OPTIONS)
            if secured is None
            else self._grpc.secure_channel(target, secured, CHANNEL_OPTIONS)
        )
        self._stub = LossServiceStub(self._channel)
        self._metadata = () if token is None else (("authorization", f"Bearer {token}"),)

    def _method(self, name: str, timeout: float | None) -> Callable[..., Any]:
        return partial(getattr(self._stub, name), timeout=timeout, metadata=self._metadata)


class Client(Connection, Methods):
    """A client over gRPC that waits for its answers; threads may share one."""

    _grpc: ClassVar[Any] = grpc

    def close(self) -> None:
        self._channel.close()

    def _made(self, call: Call[T], timeout: float | None) -> T:
        try:
            found = self._method(call.name, timeout)(call.request)
        except grpc.RpcError as error:
            raise error_from(error) from None
        return call.read(found)

    def _sent(
        self, evaluation: Evaluation, batches: Iterator[Arrays], timeout: float | None
    ) -> Answer | Answers:
        outbox: Outbox[Any] = Outbox()
        stub: Any = self._stub
        call = stub.EvaluateStream.future(outbox, timeout=timeout, metadata=self._metadata)
        call.add_done_callback(lambda _: outbox.close())
        try:
            # Once the service has refused, nobody takes messages, and the result says why.
            all(map(outbox.put, messages.stream(evaluation, batches)))
            outbox.close()
            return messages.read_answer(call.result())
        except grpc.RpcError as error:
            raise error_from(error) from None
        except grpc.FutureCancelledError:
            raise error_of("CANCELLED", "the client was closed") from None
        finally:
            call.cancel()  # of a call that is done nothing is left to cancel
            outbox.close()


class AsyncClient(Connection, AsyncMethods):
    """The same client on asyncio: cancelling a task cancels its call."""

    _grpc: ClassVar[Any] = grpc.aio

    async def close(self) -> None:
        await self._channel.close()

    async def _made(self, call: Call[T], timeout: float | None) -> T:
        try:
            found = await self._method(call.name, timeout)(call.request)
        except grpc.RpcError as error:
            raise error_from(error) from None
        return call.read(found)

    async def _sent(
        self, evaluation: Evaluation, batches: AsyncIterator[Arrays], timeout: float | None
    ) -> Answer | Answers:
        call = self._method("EvaluateStream", timeout)()
        endings: list[LossmeterError] = []
        call.add_done_callback(lambda _: endings.append(_ending(call)))
        try:
            taken = await _wrote(call, messages.first(evaluation))
            async for batch in batches if taken else each([]):
                for message in messages.chunks(batch):
                    taken = taken and await _wrote(call, message)
                if not taken:
                    break
            if taken:
                await call.done_writing()
            return messages.read_answer(await call)
        except grpc.RpcError as error:
            endings.append(error_from(error))
            raise next((one for one in endings if one.detail != LOST), endings[-1]) from None
        finally:
            call.cancel()  # of a call that is done nothing is left to cancel


async def _wrote(call: Any, message: Any) -> bool:
    """Send a message; False where the service has ended the call already, which says why."""
    try:
        await call.write(message)
    except (asyncio.InvalidStateError, grpc.RpcError):
        return False
    return True


def _ending(call: Any) -> LossmeterError:
    """What a call has ended with so far.

    Where a write fails as the service ends the call, grpc.aio forgets what the service said
    (grpc/grpc#36066); each ending is therefore noted as it comes.
    """
    return _error(*map(_at_once, (call.code(), call.details(), call.trailing_metadata())))


def _at_once(told: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that need not wait."""
    try:
        told.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the call is done")
