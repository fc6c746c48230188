"""Every mistake a caller can make, as one tree.

    LossmeterError
    ├── InvalidRequest       MalformedRequest UnknownField MissingInput UnknownInput ShapeMismatch
    │                        DtypeUnsupported OutOfDomain ParameterInvalid UnknownReduction
    │                        EmptyReduction
    ├── NotPossible          NotMergeable NotStreamable BackendUnsupported StateMismatch
    │                        DuplicateBatch NonFinite
    ├── NotFound             LossNotFound
    ├── Unimplemented        MethodNotAllowed UnsupportedMedia
    ├── Unauthenticated
    ├── Forbidden
    ├── TooLarge
    ├── Overloaded
    ├── DeadlineExceeded
    └── Internal

A message names the argument, its shape or its bound, and the next step; never the caller's data.
No word of a transport stands here: each transport maps ``code`` and ``reason`` to its own.
"""

from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """The canonical codes of google.rpc that this package uses."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    NOT_FOUND = "NOT_FOUND"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"


MOST_CHARACTERS = 256


class LossmeterError(Exception):
    """Base of the tree.

    Args:
        detail: What was wrong and what would be right.
        field: Where, as a dotted path (``inputs.targets``), if one place can be named.
        facts: Numbers a program may want beside the sentence, such as ``limit`` and ``actual``.
    """

    code: ClassVar[Code] = Code.INTERNAL
    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, detail: str, *, field: str | None = None, **facts: int) -> None:
        super().__init__(detail)
        self.detail = detail
        # A caller's own names may stand in it, and error headers are short.
        self.field = None if field is None else field[:MOST_CHARACTERS]
        self.facts = facts


class Internal(LossmeterError):
    """A fault of ours; the message is opaque and the cause is in the log."""


class InvalidRequest(LossmeterError):
    """The request is wrong whatever the state of the service."""

    code = Code.INVALID_ARGUMENT


class MalformedRequest(InvalidRequest):
    """Bytes or text that cannot be read as what they claim to be."""

    reason = "MALFORMED_REQUEST"


class UnknownField(InvalidRequest):
    """A field that no request has."""

    reason = "UNKNOWN_FIELD"


class MissingInput(InvalidRequest):
    """An input that the loss needs is absent."""

    reason = "MISSING_INPUT"


class UnknownInput(InvalidRequest):
    """An input that the loss does not take."""

    reason = "UNKNOWN_INPUT"


class ShapeMismatch(InvalidRequest):
    """Shapes that do not belong together; nothing is broadcast in silence."""

    reason = "SHAPE_MISMATCH"


class DtypeUnsupported(InvalidRequest):
    """A dtype that the input cannot have."""

    reason = "DTYPE_UNSUPPORTED"


class OutOfDomain(InvalidRequest):
    """A kept value outside the domain that the loss declares."""

    reason = "OUT_OF_DOMAIN"


class ParameterInvalid(InvalidRequest):
    """An unknown parameter, or a value that the parameter cannot take."""

    reason = "PARAMETER_INVALID"


class UnknownReduction(InvalidRequest):
    """A word that is no reduction."""

    reason = "UNKNOWN_REDUCTION"


class EmptyReduction(InvalidRequest):
    """A mean of nothing."""

    reason = "EMPTY_REDUCTION"


class NotPossible(LossmeterError):
    """A well-formed request that this loss, reduction or state cannot serve."""

    code = Code.FAILED_PRECONDITION


class NotMergeable(NotPossible):
    """The answer cannot be finished from states made apart."""

    reason = "NOT_MERGEABLE"


class NotStreamable(NotPossible):
    """The answer cannot be computed as the rows arrive."""

    reason = "NOT_STREAMABLE"


class BackendUnsupported(NotPossible):
    """The backend or device is not here, or cannot run this loss."""

    reason = "BACKEND_UNSUPPORTED"


class StateMismatch(NotPossible):
    """States of different specifications."""

    reason = "STATE_MISMATCH"


class DuplicateBatch(NotPossible):
    """The same batch twice in one merge."""

    reason = "DUPLICATE_BATCH"


class NonFinite(NotPossible):
    """``nonfinite: error`` was asked for, and something is not finite."""

    reason = "NONFINITE"


class NotFound(LossmeterError):
    """Nothing has this name."""

    code = Code.NOT_FOUND
    reason = "NOT_FOUND"


class LossNotFound(NotFound):
    """No loss or symbol has this name; the message gives the nearest."""

    reason = "LOSS_NOT_FOUND"


class Unimplemented(LossmeterError):
    """A way of asking that the service does not have."""

    code = Code.UNIMPLEMENTED


class MethodNotAllowed(Unimplemented):
    """The place exists, the verb does not."""

    reason = "METHOD_NOT_ALLOWED"


class UnsupportedMedia(Unimplemented):
    """A media type or encoding that is not known."""

    reason = "UNSUPPORTED_MEDIA"


class Unauthenticated(LossmeterError):
    """Nobody knows who calls.

    Args:
        detail: What would be right.
        given: Whether there was a credential, which is wrong.
    """

    code = Code.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"

    def __init__(self, detail: str, *, given: bool = False) -> None:
        super().__init__(detail)
        self.given = given


class Forbidden(LossmeterError):
    """Whoever calls is known, and may not do this.

    Args:
        detail: What it may not.
        scope: What it would need.
    """

    code = Code.PERMISSION_DENIED
    reason = "FORBIDDEN"

    def __init__(self, detail: str, *, scope: str) -> None:
        super().__init__(detail)
        self.scope = scope


class TooLarge(LossmeterError):
    """A size over a limit; ``facts`` holds ``limit`` and ``actual``."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "TOO_LARGE"


class Overloaded(LossmeterError):
    """Others are served first; the same request may be answered a moment later.

    Args:
        detail: Of what there was too much.
        field: As of any error.
        seconds: After how many it may be asked again.
    """

    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"

    def __init__(self, detail: str, *, field: str | None = None, seconds: int = 1) -> None:
        super().__init__(detail, field=field)
        self.seconds = seconds


class DeadlineExceeded(LossmeterError):
    """What was waited for did not come in time."""

    code = Code.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"
