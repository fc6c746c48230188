"""Errors as RFC 9457 problem documents; the only place an HTTP status is chosen."""

import logging
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import orjson

from lossmeter.errors import (
    Code,
    Forbidden,
    Internal,
    LossmeterError,
    Overloaded,
    Unauthenticated,
)

logger = logging.getLogger(__name__)

STATUS_OF_CODE: Mapping[Code, int] = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.UNIMPLEMENTED: 415,
    Code.RESOURCE_EXHAUSTED: 413,
    Code.DEADLINE_EXCEEDED: 504,
    Code.INTERNAL: 500,
}
# Where the reason says more than the code.
STATUS_OF_REASON: Mapping[str, int] = {
    "STATE_MISMATCH": 409,
    "DUPLICATE_BATCH": 409,
    "NONFINITE": 422,
    "METHOD_NOT_ALLOWED": 405,
    "OVERLOADED": 429,
}
# RFC 6750.
BEARER = 'Bearer realm="lossmeter"'
JSON, PROBLEM = "application/json", "application/problem+json"


def status_of(error: LossmeterError) -> int:
    """The HTTP status of an error."""
    return STATUS_OF_REASON.get(error.reason, STATUS_OF_CODE[error.code])


def problem(error: Exception, accept: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body that tell of an error.

    A stranger's exception may hold a caller's data: it goes to the log, and the caller gets its id.
    """
    if not isinstance(error, LossmeterError):
        number = uuid4().hex
        logger.error("internal error %s", number, exc_info=error)
        error = Internal(f"internal error {number}")
    status = status_of(error)
    headers = {"content-type": PROBLEM if _wanted(accept) else JSON}
    headers |= _told_by(error)
    return status, headers, orjson.dumps(document(error, status))


def _told_by(error: LossmeterError) -> dict[str, str]:
    """The headers that go with an error: what would let its caller in, or when."""
    if isinstance(error, Overloaded):
        return {"retry-after": str(error.seconds)}
    if isinstance(error, Unauthenticated):
        wrong = ', error="invalid_token"' if error.given else ""
        return {"www-authenticate": f"{BEARER}{wrong}"}
    if isinstance(error, Forbidden):
        wanted = f'{BEARER}, error="insufficient_scope", scope="{error.scope}"'
        return {"www-authenticate": wanted}
    return {}


def _wanted(accept: str) -> bool:
    """Whether a caller asks for problem documents by name, and does not refuse them by it."""
    for item in accept.split(","):
        name, *settings = (part.strip().lower() for part in item.split(";"))
        weights = [text.removeprefix("q=") for text in settings if text.startswith("q=")]
        if name == PROBLEM:
            return not (weights and weights[0].strip("0.") == "")
    return False


def document(error: LossmeterError, status: int) -> dict[str, Any]:
    """The problem document; ``error`` repeats the detail for clients that read that key."""
    fields: dict[str, Any] = {
        "type": "about:blank",
        "title": error.reason.replace("_", " ").capitalize(),
        "status": status,
        "detail": error.detail,
        "reason": error.reason,
        "error": error.detail,
    }
    if error.field is not None:
        fields["field"] = error.field
    return fields | error.facts
