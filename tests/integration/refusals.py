"""What every refusal must look like, whatever it refuses."""

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import grpc
import httpx
from google.rpc import error_details_pb2
from grpc_status import rpc_status

# Planted in the caller's data; no message may repeat them.
MARKERS = ("hunter2", "7919")
JSON, PROBLEM = "application/json", "application/problem+json"
DOMAIN = "lossmeter"
# A reason's HTTP status and gRPC code.
STATUSES: Mapping[str, tuple[int, str]] = {
    **dict.fromkeys(
        [
            *("MALFORMED_REQUEST", "UNKNOWN_FIELD", "MISSING_INPUT", "UNKNOWN_INPUT"),
            *("SHAPE_MISMATCH", "DTYPE_UNSUPPORTED", "OUT_OF_DOMAIN", "PARAMETER_INVALID"),
            *("UNKNOWN_REDUCTION", "EMPTY_REDUCTION"),
        ],
        (400, "INVALID_ARGUMENT"),
    ),
    **dict.fromkeys(
        ["NOT_MERGEABLE", "NOT_STREAMABLE", "BACKEND_UNSUPPORTED"], (400, "FAILED_PRECONDITION")
    ),
    **dict.fromkeys(["STATE_MISMATCH", "DUPLICATE_BATCH"], (409, "FAILED_PRECONDITION")),
    **dict.fromkeys(["LOSS_NOT_FOUND", "NOT_FOUND"], (404, "NOT_FOUND")),
    "METHOD_NOT_ALLOWED": (405, "UNIMPLEMENTED"),
    "UNSUPPORTED_MEDIA": (415, "UNIMPLEMENTED"),
    "TOO_LARGE": (413, "RESOURCE_EXHAUSTED"),
    "NONFINITE": (422, "FAILED_PRECONDITION"),
    "OVERLOADED": (429, "RESOURCE_EXHAUSTED"),
    "DEADLINE_EXCEEDED": (504, "DEADLINE_EXCEEDED"),
}
# Status or code, reason, field.
Told: TypeAlias = tuple[int | str, str, str | None]


def over_http(reason: str, field: str | None) -> Told:
    """What REST must tell."""
    return STATUSES[reason][0], reason, field


def over_rpc(reason: str, field: str | None) -> Told:
    """What gRPC must tell."""
    return STATUSES[reason][1], reason, field


def told_by_http(response: httpx.Response) -> Told:
    """What REST tells."""
    found = response.json()
    return response.status_code, found.get("reason"), found.get("field")


def told_by_rpc(error: grpc.RpcError) -> Told:
    """What gRPC tells."""
    info, _ = details(error)
    return error.code().name, info.reason, info.metadata.get("field")


def faults_of_response(response: httpx.Response, *words: str) -> list[str]:
    """What is wrong with the form of a problem document."""
    found: dict[str, Any] = response.json()
    sized = found.get("reason") == "TOO_LARGE"
    rules = {
        "the content type is not exactly JSON": response.headers["content-type"] == JSON,
        "error is not the detail": found.get("error") == found.get("detail"),
        "the status is not repeated": found.get("status") == response.status_code,
        "there is no title": bool(found.get("title")) and bool(found.get("type")),
        "limit and actual do not belong": ({"limit", "actual"} <= found.keys()) == sized,
        "the caller's data is repeated": not _repeats(found.get("detail", "")),
        "words are missing": all(word in found["detail"] for word in words),
    }
    return [fault for fault, holds in rules.items() if not holds]


def faults_of_error(error: grpc.RpcError, *words: str) -> list[str]:
    """What is wrong with the form of a status."""
    info, request = details(error)
    fields = [violation.field for violation in request.field_violations]
    messages = [error.details(), *(v.description for v in request.field_violations)]
    sized = info.reason == "TOO_LARGE"
    rules = {
        "the domain is not ours": info.domain == DOMAIN,
        "the field is not in both": fields == [x for x in [info.metadata.get("field")] if x],
        "limit and actual do not belong": ({"limit", "actual"} <= {*info.metadata}) == sized,
        "the caller's data is repeated": not any(map(_repeats, messages)),
        "words are missing": all(word in (error.details() or "") for word in words),
    }
    return [fault for fault, holds in rules.items() if not holds]


def _repeats(message: str | None) -> bool:
    return any(marker in (message or "") for marker in MARKERS)


def details(
    error: grpc.RpcError,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest]:
    """The details of a status; empty ones where it has none."""
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    status = rpc_status.from_call(cast(grpc.Call, error))
    for packed in status.details if status is not None else ():
        packed.Unpack(info)
        packed.Unpack(request)
    return info, request
