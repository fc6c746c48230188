"""How a server is asked: the same few system calls for all, on bytes that are ready."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from socket import IPPROTO_TCP, TCP_NODELAY, create_connection
from typing import Any, Protocol, TypeAlias

import grpc
import orjson
import pyarrow as pa
import pyarrow.flight

from benchmarks.peers.batch import Batch
from benchmarks.peers.bodies import Body, arrow_batches, bare, bare_value
from benchmarks.peers.servers.loss import ANSWER

HOST = "127.0.0.1"
TIMEOUT_S = 120.0
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # each channel is a connection, as over HTTP
]
HTTP, GRPC = 0, 1
Request: TypeAlias = Any  # bytes, messages or record batches: whatever the connection sends
Reply: TypeAlias = tuple[bytes, int]


class Refused(Exception):
    """The server answered, and not with the loss."""


class Connection(Protocol):
    """A connection that is kept."""

    def ask(self, request: Request) -> bytes:
        """The answer to one request.

        Raises:
            OSError: There is no server, or it went away.
            Refused: It does not answer this.
        """

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Wire:
    """One way to ask.

    Attributes:
        port: Which of a server's two ports.
        connect: Opens a connection.
        request: A batch, ready to be sent.
        value: The loss in an answer.
        text: Whether numbers travel as text.
    """

    port: int
    connect: Callable[[int], Connection]
    request: Callable[[Batch], Request]
    value: Callable[[bytes], float]
    text: bool = False


class Socket:
    """A socket, and where an answer on it ends."""

    def __init__(self, whole: Callable[[bytes], Reply | None], port: int) -> None:
        self._whole = whole
        self._socket = create_connection((HOST, port), TIMEOUT_S)
        self._socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, True)

    def ask(self, request: Request) -> bytes:
        pieces = [request] if isinstance(request, bytes) else request
        with suppress(ConnectionError):  # a refusal may be there to be read all the same
            for piece in pieces:
                self._socket.sendall(piece)
        answer = b""
        while not (reply := self._whole(answer)):
            received = self._socket.recv(2**16)
            if not received:
                raise ConnectionResetError("the server closed the connection")
            answer += received
        body, status = reply
        if status != 200:
            raise Refused(f"{status} {_said(body)}")
        return body

    def close(self) -> None:
        self._socket.close()


def _said(body: bytes) -> str:
    """What a refusal says: a member of its JSON, or its text."""
    with suppress(orjson.JSONDecodeError, AttributeError):
        found = orjson.loads(body)
        return str(found.get("detail") or found.get("error") or found)
    return body.decode(errors="replace")


def _float_whole(answer: bytes) -> Reply | None:
    return (answer, 200) if len(answer) == ANSWER.size else None


def _http_whole(answer: bytes) -> Reply | None:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return None
    length = LENGTH.search(head)
    if length is None:
        raise Refused("an answer without its length")
    return (body, int(head[9:12])) if len(body) == int(length[1]) else None


class Channel:
    """A method of a gRPC server; a request is its messages, one for a unary call."""

    def __init__(self, method: str, stream: bool, port: int) -> None:
        self._channel = grpc.insecure_channel(f"{HOST}:{port}", CHANNEL)
        self._stream = stream
        kind = self._channel.stream_unary if stream else self._channel.unary_unary
        self._call: Callable[..., bytes] = kind(method, None, None)

    def ask(self, request: Request) -> bytes:
        try:
            return self._call(iter(request) if self._stream else request[0], timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise ConnectionError(error.details()) from None
            raise Refused(f"{error.code().name} {error.details()}") from None

    def close(self) -> None:
        self._channel.close()


class Flight:
    """Arrow Flight's do_put; a request is its record batches."""

    def __init__(self, port: int) -> None:
        self._client = pyarrow.flight.connect(f"grpc://{HOST}:{port}")
        self._to = pyarrow.flight.FlightDescriptor.for_path("loss")

    def ask(self, request: Iterable[pa.RecordBatch]) -> bytes:
        batches = list(request)
        try:
            writer, reader = self._client.do_put(self._to, batches[0].schema)
            with writer:
                for batch in batches:
                    writer.write_batch(batch)
                writer.done_writing()
                return bytes(reader.read())
        except pyarrow.flight.FlightUnavailableError as error:
            raise ConnectionError(str(error)) from None
        except pa.ArrowException as error:
            raise Refused(str(error)) from None

    def close(self) -> None:
        self._client.close()


def head(path: str, headers: Mapping[str, str], length: int) -> bytes:
    """What goes before the body of a POST."""
    fields = {"host": HOST, **headers, "content-length": str(length)}
    lines = [f"POST {path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "\r\n"]
    return "\r\n".join(lines).encode()


def tcp() -> Wire:
    """Bare bytes on a socket."""
    return Wire(HTTP, partial(Socket, _float_whole), bare, bare_value)


def http(
    path: str,
    body: Callable[[Batch], Body],
    value: Callable[[bytes], float],
    text: bool = False,
) -> Wire:
    """A POST over a connection that is kept, headers and body in one piece."""

    def request(batch: Batch) -> bytes:
        headers, content = body(batch)
        return head(path, headers, len(content)) + content

    return Wire(HTTP, partial(Socket, _http_whole), request, value, text)


def call(
    method: str,
    messages: Callable[[Batch], list[bytes]],
    value: Callable[[bytes], float],
    stream: bool = False,
) -> Wire:
    """A gRPC call, serialised before."""
    return Wire(GRPC, partial(Channel, method, stream), messages, value)


def flight() -> Wire:
    """Arrow Flight, record batches of 64K rows."""
    return Wire(GRPC, Flight, arrow_batches, bare_value)
