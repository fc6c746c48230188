"""The way in: plain ASGI before FastAPI, short for what is asked most.

POST /v1/evaluate, /v1/explain and /v1/states:merge are answered here; FastAPI documents them and
serves everything else. Measured: a FastAPI route costs a small request more than its evaluation.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lossmeter.app.engine import Engine
from lossmeter.errors import MalformedRequest, TooLarge, UnsupportedMedia
from lossmeter.transports.rest.problems import problem
from lossmeter.wire.json import answer_body, explanation_body, read_merge, read_request

# Bodies above this are decoded and computed in a thread, so that others are not kept waiting; what
# is below is decoded at once, and computed at once if it is brief.
INLINE_BYTES = 64 * 1024
DROPPED_BYTES = 64 * 2**20
POST = "POST"
# What computes the answer to a body, and whether that is brief.
Handler = Callable[[bytes], tuple[Callable[[], bytes], bool]]


class Front:
    """The application that the server runs.

    Args:
        engine: What evaluates.
        rest: The application behind, FastAPI.
        max_body_bytes: Largest body that is read.
    """

    def __init__(self, engine: Engine, rest: ASGIApp, max_body_bytes: int) -> None:
        self._rest = rest
        self._limit = max_body_bytes
        self._handlers: dict[str, Handler] = {
            "/v1/evaluate": partial(_evaluation, engine),
            "/v1/explain": partial(_explanation, engine),
            "/v1/states:merge": partial(_merge, engine),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        body = _Body(receive)
        handler = self._handlers.get(scope["path"]) if scope["method"] == POST else None
        if handler is None:
            await self._rest(scope, body.receive, body.draining(send))
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        try:
            status, fields, answer = 200, {"content-type": "application/json"}, b""
            _check_media(headers)
            data = await body.read(self._limit, headers.get(b"content-length", ""))
            answer = await _answered(handler, data)
        except _Disconnected:
            return
        except Exception as error:
            status, fields, answer = problem(error, headers.get(b"accept", ""))
            await body.drop()
        await _respond(send, status, fields, answer)


def answer_evaluation(engine: Engine, data: bytes) -> bytes:
    """The body that answers POST /v1/evaluate."""
    return _whole(partial(_evaluation, engine), data)


def answer_merge(engine: Engine, data: bytes) -> bytes:
    """The body that answers POST /v1/states:merge."""
    return _whole(partial(_merge, engine), data)


def answer_explanation(engine: Engine, data: bytes) -> bytes:
    """The body that answers POST /v1/explain."""
    return _whole(partial(_explanation, engine), data)


def _evaluation(engine: Engine, data: bytes) -> tuple[Callable[[], bytes], bool]:
    spec, tensors = read_request(data)
    return lambda: answer_body(engine.evaluate(spec, tensors)), engine.is_brief(spec)


def _merge(engine: Engine, data: bytes) -> tuple[Callable[[], bytes], bool]:
    states, spec = read_merge(data)
    return lambda: answer_body(engine.merge(states, spec)), True


def _explanation(engine: Engine, data: bytes) -> tuple[Callable[[], bytes], bool]:
    spec, tensors = read_request(data)
    return lambda: explanation_body(engine.explain(spec, tensors)), engine.is_brief(spec)


def _whole(handler: Handler, data: bytes) -> bytes:
    return handler(data)[0]()


async def _answered(handler: Handler, data: bytes) -> bytes:
    if len(data) > INLINE_BYTES:
        return await asyncio.to_thread(_whole, handler, data)
    compute, brief = handler(data)
    return compute() if brief else await asyncio.to_thread(compute)


class _Disconnected(Exception):
    """The caller left before its body was whole."""


class _Body:
    """A request's body, read once, and dropped where nobody reads it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._whole = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._whole = True
        return message

    async def read(self, limit: int, announced: str) -> bytes:
        """The whole body.

        Raises:
            TooLarge: It is longer than the limit; what follows is dropped by the caller.
        """
        size = int(announced) if announced.isdecimal() else 0
        chunks: list[bytes] = []
        if size <= limit:
            size = 0
            while not self._whole:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise _Disconnected
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    break
                chunks.append(chunk)
        if size > limit:
            raise TooLarge("the body is too large", limit=limit, actual=size)
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


def _check_media(headers: dict[bytes, str]) -> None:
    media = headers.get(b"content-type", "application/json").split(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMedia("send application/json")
    if headers.get(b"content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedMedia("send the body without a content-encoding")
    if (length := headers.get(b"content-length")) is not None and not length.isdecimal():
        raise MalformedRequest("content-length must be a number")


async def _respond(send: Send, status: int, fields: dict[str, str], body: bytes) -> None:
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
