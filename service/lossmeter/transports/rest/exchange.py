"""A request and its answer in plain ASGI, for what is asked most."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from starlette.types import Message, Receive, Send

from lossmeter.access.principals import Principal
from lossmeter.errors import DeadlineExceeded, MalformedRequest, TooLarge
from lossmeter.settings import Settings
from lossmeter.transports.rest.pipe import Pipe
from lossmeter.transports.rest.unfolding import Buffer, encoding_of, unfolded

DROPPED_BYTES = 64 * 2**20
LARGE_BYTES = 2**16
# Of the widest registers: arithmetic on numbers that lie across words is slower by a tenth.
ALIGNMENT = 64
JSON = "application/json"
TIMEOUT = "timeout"


# Extensions of ASGI: a server reads the rest of a body to where it stays; it says whether the
# caller is still there.
REST_OF_BODY = "lossmeter.rest_of_body"
IS_THERE = "lossmeter.is_there"


class Disconnected(Exception):
    """The caller left before its body was whole."""


class Filling(Protocol):
    """A body on its way to where it stays.

    Attributes:
        left: How many bytes of it have not come.
        last: When some came, in the seconds of the event loop.
    """

    @property
    def left(self) -> int: ...

    last: float

    async def done(self) -> None:
        """Wait until all has come.

        Raises:
            Disconnected: The caller left.
        """


Fill: TypeAlias = Callable[[memoryview], Filling | None]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read of a body.

    Attributes:
        body_bytes: Of it as it is sent, where it is held.
        stream_bytes: Of it as it is sent, where it is computed while it comes.
        unfolded_bytes: Of what it unfolds to.
        idle_seconds: How long nothing may come of it.
    """

    body_bytes: int
    stream_bytes: int
    unfolded_bytes: int
    idle_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Those that an operator set."""
        return cls(
            settings.max_body_bytes,
            settings.max_stream_bytes,
            settings.max_unfolded_bytes,
            settings.stream_idle_seconds,
        )


class Body:
    """A request's body, read once, and dropped where nobody reads it.

    Args:
        receive: What gives its parts.
        limits: How much of it is read.
        headers: Header by lower-case name.
        fill: What reads the rest of it to where it stays, if the server has that.

    Attributes:
        announced: How long its caller says that it is; 0 where it does not.
        size: How much of it came.
    """

    def __init__(
        self,
        receive: Receive,
        limits: Limits,
        headers: Mapping[str, str],
        fill: Fill | None = None,
    ) -> None:
        self._receive = receive
        self._fill = fill
        self.limits = limits
        self._headers = headers
        announced = headers.get("content-length", "")
        self.announced = int(announced) if announced.isdecimal() else 0
        self._whole = False
        self._given_up = False
        self.size = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.size += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._whole = True
        return message

    async def read(self, head: int = 0) -> Buffer:
        """The whole body, unfolded.

        Args:
            head: How many bytes of it stand before tensors, which are aligned where they can be.

        Raises:
            TooLarge: It is longer than the limit; what follows is dropped by the caller.
            MalformedRequest: It is not in the encoding that it claims.
            UnsupportedMedia: Its encoding is not known.
            DeadlineExceeded: Nothing came of it for too long.
            Disconnected: The caller left.
        """
        encoding = self.encoding()
        data = await self._folded(head)
        if not encoding:
            return data
        return await asyncio.to_thread(unfolded, data, encoding, self.limits.unfolded_bytes)

    def encoding(self) -> str:
        """Its encoding; empty if it has none.

        Raises:
            UnsupportedMedia: It is not known.
        """
        return encoding_of(self._headers.get("content-encoding", ""))

    async def _folded(self, head: int) -> Buffer:
        """The body as it is sent.

        A large one goes to where it stays as it comes: joining its parts would hold the event loop
        for as long as all of its memory takes to be had.
        """
        limit = self.limits.body_bytes
        first = await self._chunk(limit)
        if self._whole:
            return first
        if self.announced < LARGE_BYTES:
            grown = bytearray(first)
            async for chunk in self._chunks(limit):
                grown += chunk
            return grown
        space = np.empty(self.announced + ALIGNMENT, np.uint8)
        start = -(space.ctypes.data + head) % ALIGNMENT
        buffer = space[start : start + self.announced].data
        buffer[: len(first)] = first
        return buffer[: await self._filled(buffer, len(first))]

    async def _filled(self, buffer: memoryview, at: int) -> int:
        """Take what is left of the body to its place; how long it is."""
        filling = self._fill(buffer[at:]) if self._fill else None
        if filling is None:
            async for chunk in self._chunks(self.limits.body_bytes):
                buffer[at : at + len(chunk)] = chunk
                at += len(chunk)
            return at
        try:
            await self._in_time(filling)
        finally:
            self.size = len(buffer) - filling.left
        self._whole = True
        return len(buffer)

    async def _in_time(self, filling: Filling) -> None:
        idle = self.limits.idle_seconds
        while filling.left:
            try:
                async with asyncio.timeout_at(filling.last + idle):
                    await filling.done()
            except TimeoutError:
                if filling.last + idle <= asyncio.get_running_loop().time():
                    raise self._silent() from None

    async def fill(self, pipe: Pipe) -> None:
        """Hand the body over as it comes, then wait for the caller to leave."""
        try:
            async for chunk in self._chunks(self.limits.stream_bytes):
                await pipe.put(chunk)
            pipe.end()
            while (await self._receive())["type"] != "http.disconnect":
                pass
            pipe.end(Disconnected())
        except Exception as error:
            pipe.end(error)

    async def _chunks(self, limit: int) -> AsyncIterator[bytes]:
        while not self._whole:
            yield await self._chunk(limit)

    async def _chunk(self, limit: int) -> bytes:
        if self.announced > limit:
            raise TooLarge("the body is too large", limit=limit, actual=self.announced)
        message = await self._soon()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        if self.size > limit:
            raise TooLarge("the body is too large", limit=limit, actual=self.size)
        return chunk

    async def _soon(self) -> Message:
        try:
            async with asyncio.timeout(self.limits.idle_seconds):
                return await self.receive()
        except TimeoutError:
            raise self._silent() from None

    def _silent(self) -> DeadlineExceeded:
        self.give_up()
        return DeadlineExceeded(f"nothing came of the body for {self.limits.idle_seconds:g} s")

    def give_up(self) -> None:
        """Wait for no more of it, where some is to come."""
        self._given_up = self._given_up or not self._whole
        self._whole = True

    async def drop(self) -> bool:
        """Read what is left, so that the answer reaches a caller that is still sending.

        Returns:
            Whether all of it came, so that another request can follow.
        """
        dropped = 0
        with suppress(DeadlineExceeded):
            while not self._whole and dropped <= DROPPED_BYTES:
                dropped += len((await self._soon()).get("body", b""))
        return self._whole and not self._given_up

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
        is_there: Whether the caller is.
        loss: The loss that it names, once that is known.
        deadline: When its answer is of no use any more, by the monotonic clock.
        principal: Who asks, where callers are asked who they are.
    """

    path: str
    query: bytes
    headers: Mapping[str, str]
    body: Body
    is_there: Callable[[], bool] = field(default=lambda: True)
    loss: str = ""
    deadline: float = math.inf
    principal: Principal | None = None

    def is_wanted(self) -> bool:
        """Whether its answer is still of use."""
        return self.is_there() and time.monotonic() < self.deadline

    def within(self, most: float) -> float | None:
        """The seconds that it may take: what it asks for, or as many as an operator lets it.

        Args:
            most: The operator's; 0 for no limit.

        Raises:
            MalformedRequest: It asks for no such time.
        """
        asked = self.headers.get(TIMEOUT)
        if asked is None:
            return most or None
        try:
            seconds = float(asked)
        except ValueError:
            seconds = 0.0
        if not 0.0 < seconds < math.inf:
            raise MalformedRequest("give seconds, as in 2.5", field=TIMEOUT)
        return min(seconds, most or seconds)


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
