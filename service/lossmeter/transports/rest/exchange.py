"""A request and its answer in plain ASGI, for what is asked most."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from starlette.types import Message, Receive, Send

from lossmeter.errors import TooLarge

DROPPED_BYTES = 64 * 2**20
JSON = "application/json"


class Disconnected(Exception):
    """The caller left before its body was whole."""


class Body:
    """A request's body, read once, and dropped where nobody reads it.

    Args:
        receive: What gives its parts.
        limit: How many bytes of it are read.
        announced: Its length as the caller gives it; empty where it does not.
    """

    def __init__(self, receive: Receive, limit: int, announced: str) -> None:
        self._receive = receive
        self._limit = limit
        self._announced = int(announced) if announced.isdecimal() else 0
        self._whole = False
        self.size = 0  # of what came

    async def receive(self) -> Message:
        message = await self._receive()
        self.size += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._whole = True
        return message

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            TooLarge: It is longer than the limit; what follows is dropped by the caller.
            Disconnected: The caller left.
        """
        size, chunks = self._announced, []
        if size <= self._limit:
            size = 0
            while not self._whole:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > self._limit:
                    break
                chunks.append(chunk)
        if size > self._limit:
            raise TooLarge("the body is too large", limit=self._limit, actual=size)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def drop(self) -> None:
        """Read what is left, so that the answer reaches a caller that is still sending."""
        dropped = 0
        while not self._whole and dropped <= DROPPED_BYTES:
            dropped += len((await self.receive()).get("body", b""))

    def draining(self, send: Send) -> Send:
        """A way to answer that drops an unread body first."""

        async def send_after(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self.drop()
            await send(message)

        return send_after


@dataclass(slots=True, eq=False)
class Request:
    """What is asked.

    Attributes:
        path: Its path, decoded.
        query: What follows the question mark, as it was sent.
        headers: Header by lower-case name.
        body: Its body, not read yet.
        loss: The loss that it names, once that is known.
    """

    path: str
    query: bytes
    headers: Mapping[str, str]
    body: Body
    loss: str = ""


@dataclass(slots=True)
class Reply:
    """What is answered.

    Attributes:
        body: Its body.
        status: The HTTP status.
        fields: Headers by lower-case name, but for the length of the body.
    """

    body: bytes
    status: int = 200
    fields: Mapping[str, str] = field(default_factory=lambda: {"content-type": JSON})


Endpoint: TypeAlias = Callable[[Request], Awaitable[Reply]]
