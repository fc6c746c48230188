"""The protocol over REST: inferences in plain ASGI, everything else in FastAPI."""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Mapping
from functools import partial

from lossmeter.errors import MalformedRequest, NotFound, UnsupportedMedia
from lossmeter.transports.oip.inferences import Inferences
from lossmeter.transports.oip.models import check
from lossmeter.transports.rest.exchange import JSON, Endpoint, Reply, Request
from lossmeter.transports.rest.threads import INLINE_BINARY_BYTES, INLINE_BYTES, aside
from lossmeter.transports.rest.unfolding import Buffer
from lossmeter.wire.inference.bodies import answer_body, read_body
from lossmeter.wire.inference.request import REGION, Inference

MODELS, VERSIONS, INFER = "/v2/models/", "/versions/", "/infer"
BINARY = "application/octet-stream"
LENGTH = "inference-header-content-length"
MOST_DIGITS = 10
# Answers below this are not worth packing.
LEAST_PACKED = 1024
PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": partial(gzip.compress, compresslevel=1, mtime=0),
    "deflate": partial(zlib.compress, level=1),
}


def is_inference(verb: str, path: str) -> bool:
    """Whether a request asks for an inference."""
    return verb == "POST" and path.startswith(MODELS) and path.endswith(INFER)


def endpoint(inferences: Inferences) -> Endpoint:
    """What answers inferences."""
    return partial(_infer, inferences)


async def _infer(inferences: Inferences, request: Request) -> Reply:
    name = _model(request.path)
    request.loss = name
    length = _header_length(request.headers)
    body = await request.body.read(length or 0)
    if length is not None and length > len(body):
        raise MalformedRequest(f"the body ends before the {length} bytes of its header")
    read = partial(read_body, name, body, length, inferences.memory)
    accepts = request.headers.get("accept-encoding", "")
    if _is_large(body, length):
        return await aside(lambda: _reply(inferences, read(), accepts))
    inference = read()
    if inferences.engine.is_brief(inference.spec):
        return _reply(inferences, inference, accepts)
    return await asyncio.to_thread(_reply, inferences, inference, accepts)


def _is_large(body: Buffer, length: int | None) -> bool:
    """Whether a body takes long to read and compute."""
    text = len(body) if length is None else length
    if text > INLINE_BYTES or len(body) > INLINE_BINARY_BYTES:
        return True
    # Shared memory makes much of a small body.
    return REGION.encode() in bytes(body[:text])


def _model(path: str) -> str:
    """The loss that a path names.

    Raises:
        NotFound: There is no such loss, version or path.
    """
    name, found, version = path[len(MODELS) : -len(INFER)].partition(VERSIONS)
    if "/" in name or "/" in version or (found and not version):
        raise NotFound("no such path; /openapi.json lists them")
    check(name, version)
    return name


def _header_length(headers: Mapping[str, str]) -> int | None:
    """The number of bytes of JSON before the tensors; None where all of the body is JSON.

    Raises:
        MalformedRequest: It is no such number.
        UnsupportedMedia: The body is neither.
    """
    text = headers.get(LENGTH)
    media = headers.get("content-type", JSON).split(";")[0].strip().lower()
    if text is None:
        # tritonclient over asyncio calls its JSON bytes.
        if media not in (JSON, BINARY):
            raise UnsupportedMedia(f"send {JSON}, or {BINARY} with {LENGTH}")
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > MOST_DIGITS:
        raise MalformedRequest(f"{LENGTH} must be a number of bytes")
    if int(text) == 0:
        raise MalformedRequest(f"with a {LENGTH} of 0 the names of the tensors are missing")
    return int(text)


def _reply(inferences: Inferences, inference: Inference, accepts: str) -> Reply:
    answer = inferences.evaluate(inference)
    body, length = answer_body(inference, answer, inferences.memory)
    fields = {"content-type": JSON}
    if length is not None:
        fields = {"content-type": BINARY, LENGTH: str(length)}
    encoding = _encoding(accepts) if len(body) >= LEAST_PACKED else None
    if encoding is not None:
        return Reply(PACKERS[encoding](body), fields={**fields, "content-encoding": encoding})
    return Reply(body, fields=fields)


def _encoding(accepts: str) -> str | None:
    """The encoding that a caller takes, if it takes one of ours."""
    for item in accepts.lower().split(","):
        name, _, weight = item.replace(" ", "").partition(";q=")
        if name in PACKERS and (not weight or weight.strip("0.")):
            return name
    return None
