"""POST /v1/evaluate, /v1/explain and /v1/states:merge."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from lossmeter.app.engine import Engine
from lossmeter.errors import MalformedRequest, UnsupportedMedia
from lossmeter.plan.request import EvaluateSpec
from lossmeter.transports.metrics import OTHER
from lossmeter.transports.rest.exchange import Endpoint, Reply, Request
from lossmeter.wire.json import answer_body, explanation_body, read_merge, read_request

# Bodies above this are decoded and computed in a thread, so that others are not kept waiting; what
# is below is decoded at once, and computed at once if it is brief.
INLINE_BYTES = 64 * 1024
# As many of them at a time as there are cores: more would only take turns.
LARGE = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="large")


class Work(NamedTuple):
    """What a body asks for.

    Attributes:
        answer: Computes the body of the answer.
        brief: Whether that takes little time.
        loss: The loss that is asked for, for the metrics.
    """

    answer: Callable[[], bytes]
    brief: bool
    loss: str = ""


Handler = Callable[[bytes], Work]


def endpoints(engine: Engine) -> dict[tuple[str, str], Endpoint]:
    """What answers which verb and path."""
    handlers: dict[str, Handler] = {
        "/v1/evaluate": partial(_evaluation, engine),
        "/v1/explain": partial(_explanation, engine),
        "/v1/states:merge": partial(_merge, engine),
    }
    return {("POST", path): partial(_answered, handler) for path, handler in handlers.items()}


def answer_evaluation(engine: Engine, data: bytes) -> bytes:
    """The body that answers POST /v1/evaluate."""
    return _whole(partial(_evaluation, engine), data)


def answer_merge(engine: Engine, data: bytes) -> bytes:
    """The body that answers POST /v1/states:merge."""
    return _whole(partial(_merge, engine), data)


def answer_explanation(engine: Engine, data: bytes) -> bytes:
    """The body that answers POST /v1/explain."""
    return _whole(partial(_explanation, engine), data)


def _evaluation(engine: Engine, data: bytes) -> Work:
    spec, tensors = read_request(data)
    return Work(
        lambda: answer_body(engine.evaluate(spec, tensors)), engine.is_brief(spec), _named(spec)
    )


def _merge(engine: Engine, data: bytes) -> Work:
    states, spec = read_merge(data)
    return Work(lambda: answer_body(engine.merge(states, spec)), True)


def _explanation(engine: Engine, data: bytes) -> Work:
    spec, tensors = read_request(data)
    return Work(
        lambda: explanation_body(engine.explain(spec, tensors)), engine.is_brief(spec), _named(spec)
    )


def _named(spec: EvaluateSpec) -> str:
    return spec.loss if isinstance(spec.loss, str) else OTHER


def _whole(handler: Handler, data: bytes) -> bytes:
    return handler(data).answer()


async def _answered(handler: Handler, request: Request) -> Reply:
    _check_media(request)
    data = await request.body.read()
    if len(data) > INLINE_BYTES:
        loop = asyncio.get_running_loop()
        return Reply(await loop.run_in_executor(LARGE, _large, handler, data, request))
    work = handler(data)
    request.loss = work.loss
    return Reply(work.answer() if work.brief else await asyncio.to_thread(work.answer))


def _large(handler: Handler, data: bytes, request: Request) -> bytes:
    work = handler(data)
    request.loss = work.loss
    return work.answer()


def _check_media(request: Request) -> None:
    headers = request.headers
    media = headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if media != "application/json":
        raise UnsupportedMedia("send application/json")
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedMedia("send the body without a content-encoding")
    if (length := headers.get("content-length")) is not None and not length.isdecimal():
        raise MalformedRequest("content-length must be a number")
