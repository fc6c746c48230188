"""POST /v1/evaluate, /v1/explain and /v1/states:merge."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeAlias

from lossmeter.app.answer import Answer, Answers
from lossmeter.app.engine import Engine
from lossmeter.app.streaming import evaluate_blocks, held
from lossmeter.errors import MalformedRequest, UnsupportedMedia
from lossmeter.plan.tensors import Tensors
from lossmeter.transports.rest.bodies import (
    Asked,
    Compute,
    TensorBodies,
    answer_whole,
    named,
    read_asked,
)
from lossmeter.transports.rest.exchange import JSON, Endpoint, Reply, Request
from lossmeter.transports.rest.threads import INLINE_BYTES, aside
from lossmeter.transports.rest.unfolding import Buffer
from lossmeter.wire.answers import answer_body, explanation_body
from lossmeter.wire.forms import OF_MEDIA, form_of
from lossmeter.wire.json import read_merge, read_request
from lossmeter.wire.values import values_body


class Work(NamedTuple):
    """What a body asks for.

    Attributes:
        answer: Computes the answer.
        brief: Whether that takes little time.
        loss: The loss that is asked for, for the metrics.
    """

    answer: Callable[[], Reply]
    brief: bool
    loss: str = ""


Handler: TypeAlias = Callable[[Buffer, str], Work]
# Media types that say nothing of the body, as curl sends; its first bytes then do.
UNTOLD = ("application/x-www-form-urlencoded", "application/octet-stream")
MAGIC_BYTES = 16


def endpoints(engine: Engine) -> dict[tuple[str, str], Endpoint]:
    """What answers which verb and path."""
    bodies = TensorBodies()
    evaluation = partial(_with_tensors, bodies, partial(_evaluated, engine))
    explanation = partial(_with_tensors, bodies, partial(_explained, engine))
    return {
        ("POST", "/v1/evaluate"): partial(evaluation, partial(_evaluation, engine)),
        ("POST", "/v1/explain"): partial(explanation, partial(_explanation, engine)),
        ("POST", "/v1/states:merge"): partial(_with_json, partial(_merge, engine)),
    }


def answer_evaluation(engine: Engine, data: bytes) -> bytes:
    """The body that answers POST /v1/evaluate."""
    return _whole(partial(_evaluation, engine), data).body


def answer_merge(engine: Engine, data: bytes) -> bytes:
    """The body that answers POST /v1/states:merge."""
    return _whole(partial(_merge, engine), data).body


def answer_explanation(engine: Engine, data: bytes) -> bytes:
    """The body that answers POST /v1/explain."""
    return _whole(partial(_explanation, engine), data).body


def _evaluation(engine: Engine, data: Buffer, accept: str) -> Work:
    spec, tensors = read_request(data)
    return Work(
        lambda: _reply(engine.evaluate(spec, tensors), accept), engine.is_brief(spec), named(spec)
    )


def _merge(engine: Engine, data: Buffer, _: str) -> Work:
    states, spec = read_merge(data)
    return Work(lambda: Reply(answer_body(engine.merge(states, spec))), True)


def _explanation(engine: Engine, data: Buffer, _: str) -> Work:
    spec, tensors = read_request(data)
    return Work(
        lambda: Reply(explanation_body(engine.explain(spec, tensors))),
        engine.is_brief(spec),
        named(spec),
    )


def _evaluated(engine: Engine, accept: str, asked: Asked, blocks: Iterator[Tensors]) -> Reply:
    return _reply(evaluate_blocks(engine, asked.spec, blocks, asked.limit), accept)


def _explained(engine: Engine, _: str, asked: Asked, blocks: Iterator[Tensors]) -> Reply:
    return Reply(explanation_body(engine.explain(asked.spec, held(blocks, asked.limit))))


def _reply(answer: Answer | Answers, accept: str) -> Reply:
    """The answer as JSON, or its loss values where the caller takes a form of them first."""
    wanted, *_ = accept.split(",", maxsplit=1)
    first, *settings = (part.strip().lower() for part in wanted.split(";"))
    body = None if "q=0" in settings else values_body(answer, first)
    if body is not None:
        return Reply(body, fields={"content-type": first})
    return Reply(answer_body(answer))


def _whole(handler: Handler, data: Buffer, accept: str = "") -> Reply:
    return handler(data, accept).answer()


async def _with_tensors(
    bodies: TensorBodies, compute: Callable[..., Reply], handler: Handler, request: Request
) -> Reply:
    """The answer to a body of JSON, or of tensors."""
    media = _media(request)
    computing: Compute = partial(compute, request.headers.get("accept", ""))
    if media in OF_MEDIA:
        return await bodies.answer(request, OF_MEDIA[media], computing)
    told = "content-type" in request.headers
    if told and media not in UNTOLD:
        return await _with_json(handler, request)
    data = await request.body.read()
    form = form_of(bytes(data[:MAGIC_BYTES]))
    if form is not None:
        return await answer_whole(read_asked(request, form), data, computing)
    if told:
        raise _unknown()
    return await _computed(handler, request, data)


async def _with_json(handler: Handler, request: Request) -> Reply:
    if _media(request) != JSON:
        raise _unknown()
    return await _computed(handler, request, await request.body.read())


async def _computed(handler: Handler, request: Request, data: Buffer) -> Reply:
    accept = request.headers.get("accept", "")
    if len(data) > INLINE_BYTES:
        return await aside(partial(_large, handler, request, data, accept))
    work = handler(data, accept)
    request.loss = work.loss
    return work.answer() if work.brief else await asyncio.to_thread(work.answer)


def _large(handler: Handler, request: Request, data: Buffer, accept: str) -> Reply:
    work = handler(data, accept)
    request.loss = work.loss
    return work.answer()


def _media(request: Request) -> str:
    headers = request.headers
    if (length := headers.get("content-length")) is not None and not length.isdecimal():
        raise MalformedRequest("content-length must be a number")
    return headers.get("content-type", JSON).split(";")[0].strip().lower()


def _unknown() -> UnsupportedMedia:
    return UnsupportedMedia("send application/json, or tensors as docs/guides/bodies.md says")
