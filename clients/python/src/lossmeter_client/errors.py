"""Everything that can go wrong with a call, as one tree.

    LossmeterError
    ├── InvalidRequest       what is asked is wrong; ``field`` says where
    ├── FailedPrecondition   well formed, but this loss, reduction or state cannot serve it
    ├── NotFound             no loss has the name
    ├── Unauthenticated      no credentials, or wrong ones
    ├── PermissionDenied     credentials that do not suffice
    ├── Unimplemented        a service that does not know the call
    ├── ResourceExhausted    TooLarge Overloaded
    ├── Unavailable          nobody answers, or the service is stopping
    ├── DeadlineExceeded     the timeout passed
    ├── Cancelled            somebody cancelled the call
    └── Internal             a fault of the service

``reason`` is the word for programs (``SHAPE_MISMATCH``); the service's documents list them.
"""

from collections.abc import Mapping
from types import MappingProxyType


class LossmeterError(Exception):
    """Base of the tree.

    Attributes:
        detail: What was wrong and what would be right.
        reason: The same in one word; empty where it was not the service that refused.
        field: Where, as a dotted path (``inputs.targets``); None if no one place is wrong.
        code: The code of google.rpc, such as ``INVALID_ARGUMENT``.
        facts: Numbers beside the sentence: ``limit`` and ``actual`` of a size; ``chunk``, counted
            from 0, where a stream over gRPC was refused in its middle.
        retry_after: Seconds after which the service asks to be tried again, if it does.
    """

    def __init__(  # noqa: PLR0917 positions keep it picklable
        self,
        detail: str,
        reason: str = "",
        field: str | None = None,
        code: str = "UNKNOWN",
        facts: Mapping[str, int] = MappingProxyType({}),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, reason, field, code, dict(facts), retry_after)
        self.detail = detail
        self.reason = reason
        self.field = field
        self.code = code
        self.facts = dict(facts)
        self.retry_after = retry_after

    def __str__(self) -> str:
        place = f" at {self.field}" if self.field else ""
        return f"{self.reason or self.code}{place}: {self.detail}"


class InvalidRequest(LossmeterError):
    """The request is wrong whatever the state of the service."""


class FailedPrecondition(LossmeterError):
    """A well-formed request that this loss, reduction or state cannot serve."""


class NotFound(LossmeterError):
    """Nothing has this name; the detail gives the nearest."""


class Unauthenticated(LossmeterError):
    """No credentials, or wrong ones."""


class PermissionDenied(LossmeterError):
    """Credentials that do not suffice."""


class Unimplemented(LossmeterError):
    """A way of asking that the service does not have."""


class ResourceExhausted(LossmeterError):
    """Too much of something."""


class TooLarge(ResourceExhausted):
    """A size over a limit; ``facts`` holds ``limit`` and ``actual``."""


class Overloaded(ResourceExhausted):
    """The service serves others first, and went on doing so through every retry."""


class Unavailable(LossmeterError):
    """Nobody answers, the connection broke, or the service is stopping."""


class DeadlineExceeded(LossmeterError):
    """The timeout passed before the answer came."""


class Cancelled(LossmeterError):
    """The call was cancelled."""


class Internal(LossmeterError):
    """A fault of the service; its log has the cause beside the id in the detail."""


OF_CODE: Mapping[str, type[LossmeterError]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "FAILED_PRECONDITION": FailedPrecondition,
    "NOT_FOUND": NotFound,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "UNIMPLEMENTED": Unimplemented,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "CANCELLED": Cancelled,
    "INTERNAL": Internal,
}
FACTS = ("limit", "actual", "chunk")
OF_REASON: Mapping[str, type[LossmeterError]] = {"TOO_LARGE": TooLarge, "OVERLOADED": Overloaded}


def error_of(
    code: str,
    detail: str,
    told: Mapping[str, object] = MappingProxyType({}),
    retry_after: float | None = None,
) -> LossmeterError:
    """The error that a refusal stands for.

    Args:
        code: The code of google.rpc.
        detail: The sentence.
        told: What is told beside it: ``reason``, ``field`` and the facts.
        retry_after: Seconds to wait, if the service says so.
    """
    reason, field = str(told.get("reason", "")), told.get("field")
    kind = OF_REASON.get(reason) or OF_CODE.get(code, LossmeterError)
    facts = {name: int(str(told[name])) for name in FACTS if name in told}
    place = None if field is None else str(field)
    return kind(detail, reason, place, code, facts, retry_after)


def invalid(reason: str, field: str, detail: str) -> InvalidRequest:
    """What is found wrong before anything is sent."""
    return InvalidRequest(detail, reason, field, "INVALID_ARGUMENT")


def unfit(reason: str, field: str, detail: str) -> FailedPrecondition:
    """What is well formed, and found not to serve before anything is sent."""
    return FailedPrecondition(detail, reason, field, "FAILED_PRECONDITION")
