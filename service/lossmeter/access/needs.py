"""What every place of the service asks of a caller: one table for both wires."""

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

OURS = "/lossmeter.v1.LossService/"
OIP = "/inference.GRPCInferenceService/"
MODEL = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
REGION = "/v2/systemsharedmemory"


class Need(StrEnum):
    """What a caller must have; the middle three are the scopes of a principal."""

    OPEN = "open"
    EVALUATE = "evaluate"
    READ = "read"
    ADMIN = "admin"
    METRICS = "metrics"  # open, or read, as the operator sets it
    NOWHERE = "nowhere"  # no such place: any principal is told so


SCOPES = frozenset({Need.EVALUATE, Need.READ, Need.ADMIN})


class Row(NamedTuple):
    """What one need is of: verbs and paths of REST, methods of gRPC."""

    need: Need
    rest: tuple[str, ...] = ()
    grpc: tuple[str, ...] = ()


def _of_model(verb: str, end: str) -> tuple[str, ...]:
    return tuple(f"{verb} {path}{end}" for path in MODEL)


TABLE = (
    # Health: whoever starts and stops the service has no key.
    Row(Need.OPEN, ("GET /livez", "GET /v2/health/live"), (OIP + "ServerLive",)),
    Row(Need.OPEN, ("GET /readyz", "GET /v2/health/ready"), (OIP + "ServerReady",)),
    Row(
        Need.OPEN,
        grpc=tuple(f"/grpc.health.v1.Health/{name}" for name in ("Check", "List", "Watch")),
    ),
    # Work.
    Row(Need.EVALUATE, ("POST /v1/evaluate",), (OURS + "Evaluate", OURS + "EvaluateStream")),
    Row(Need.EVALUATE, ("POST /v1/explain",), (OURS + "Explain",)),
    Row(Need.EVALUATE, ("POST /v1/states:merge",), (OURS + "MergeStates",)),
    Row(Need.EVALUATE, ("GET /v1/losses/{name}/onnx",), (OURS + "ExportLoss",)),
    Row(Need.EVALUATE, _of_model("POST", "/infer"), (OIP + "ModelInfer", OIP + "ModelStreamInfer")),
    # What there is.
    Row(Need.READ, ("GET /v1/losses",), (OURS + "ListLosses",)),
    Row(Need.READ, ("GET /v1/losses/{name}",), (OURS + "GetLoss",)),
    Row(Need.READ, ("GET /v2",), (OIP + "ServerMetadata",)),
    Row(Need.READ, ("GET /v2/models", "POST /v2/repository/index"), (OIP + "RepositoryIndex",)),
    Row(Need.READ, _of_model("GET", ""), (OIP + "ModelMetadata",)),
    Row(Need.READ, _of_model("GET", "/ready"), (OIP + "ModelReady",)),
    Row(Need.READ, _of_model("GET", "/config"), (OIP + "ModelConfig",)),
    Row(
        Need.READ,
        ("GET /v2/models/stats", *_of_model("GET", "/stats")),
        (OIP + "ModelStatistics",),
    ),
    Row(
        Need.READ,
        (f"GET {REGION}/status", f"GET {REGION}/region/{{region}}/status"),
        (OIP + "SystemSharedMemoryStatus",),
    ),
    Row(
        Need.READ,
        ("GET /openapi.json", "GET /docs", "GET /docs/oauth2-redirect", "GET /redoc"),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",),
    ),
    Row(Need.METRICS, ("GET /metrics",)),
    # What changes the service.
    Row(
        Need.ADMIN,
        ("POST /v2/repository/models/{model}/load",),
        (OIP + "RepositoryModelLoad",),
    ),
    Row(
        Need.ADMIN,
        ("POST /v2/repository/models/{model}/unload",),
        (OIP + "RepositoryModelUnload",),
    ),
    Row(
        Need.ADMIN,
        (f"POST {REGION}/region/{{region}}/register",),
        (OIP + "SystemSharedMemoryRegister",),
    ),
    Row(
        Need.ADMIN,
        (f"POST {REGION}/unregister", f"POST {REGION}/region/{{region}}/unregister"),
        (OIP + "SystemSharedMemoryUnregister",),
    ),
)
OF_METHOD = {method: row.need for row in TABLE for method in row.grpc}


class _Place(NamedTuple):
    path: re.Pattern[str]
    verb: str
    need: Need


def _place(listed: str, need: Need) -> _Place:
    verb, _, path = listed.partition(" ")
    return _Place(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), verb, need)


_PLACES = tuple(_place(listed, row.need) for row in TABLE for listed in row.rest)


@lru_cache(maxsize=1024)
def need_of_path(verb: str, path: str) -> Need:
    """What a request of REST needs; a verb that a path does not take needs what the path does."""
    found = [place for place in _PLACES if place.path.fullmatch(path)]
    exact = [place for place in found if place.verb == verb]
    return (*exact, *found, _NO_PLACE)[0].need


_NO_PLACE = _Place(re.compile(""), "", Need.NOWHERE)


def need_of_method(method: str) -> Need:
    """What a call of gRPC needs, by the method's full name."""
    return OF_METHOD.get(method, Need.NOWHERE)
