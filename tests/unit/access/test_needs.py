"""The table of needs names every place there is, once."""

import re
from collections.abc import Iterator
from unittest.mock import create_autospec

import grpc
import pytest
from fastapi import FastAPI
from starlette.routing import Route

from lossmeter.access.needs import TABLE, Need, need_of_method, need_of_path
from lossmeter.app.backend import Backends
from lossmeter.app.engine import Engine
from lossmeter.settings import Settings
from lossmeter.transports.grpc.server import GrpcServer
from lossmeter.transports.metrics import Metrics
from lossmeter.transports.oip.inferences import Inferences
from lossmeter.transports.rest.app import create_rest
from lossmeter.transports.rest.evaluation import endpoints

ENGINE = Engine(Backends("numpy"))
INFERENCES = Inferences(ENGINE, Settings(), Metrics())
REST = [place for row in TABLE for place in row.rest]
GRPC = [method for row in TABLE for method in row.grpc]


def served(app: FastAPI) -> Iterator[str]:
    """Verbs and paths: those that are documented, and the documents."""
    for path, operations in app.openapi()["paths"].items():
        yield from (f"{verb.upper()} {path}" for verb in operations)
    for route in app.routes:
        if isinstance(route, Route) and route.methods is not None and not route.include_in_schema:
            yield from (f"{verb} {route.path}" for verb in route.methods - {"HEAD"})


def test_every_path_of_rest_is_in_the_table_once() -> None:
    there = {*served(create_rest(ENGINE, INFERENCES, Metrics()))}
    there |= {" ".join(place) for place in endpoints(ENGINE)}
    assert sorted(REST) == sorted(there)


def test_every_method_of_grpc_is_in_the_table_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = create_autospec(grpc.Server)
    there: list[str] = []

    def noted(service: str, handlers: dict[str, object]) -> None:
        there.extend(f"/{service}/{name}" for name in handlers)

    server.add_registered_method_handlers.side_effect = noted
    monkeypatch.setattr(grpc, "server", lambda *_, **__: server)
    GrpcServer(ENGINE, Settings(), INFERENCES, Metrics())
    assert sorted(GRPC) == sorted(there)


@pytest.mark.parametrize("place", REST)
def test_a_path_needs_what_the_table_says(place: str) -> None:
    verb, path = re.sub("{.*?}", "n", place).split()
    [need] = [row.need for row in TABLE if place in row.rest]
    assert need_of_path(verb, path) is need


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/evaluate/", "//v1/evaluate", "/v1/evaluate\n", "/V1/evaluate", "v1/evaluate"),
        *("/livez/", "/livez/../v1/evaluate", "/v2/models/a/b/infer", "/v2/models//infer", "/"),
        *("/openapi_json", "/v1/losses/", "/v1/losses/a/b/onnx", "", "*"),
    ],
)
def test_what_is_no_path_is_open_to_nobody(path: str) -> None:
    assert need_of_path("POST", path) is Need.NOWHERE


@pytest.mark.parametrize("verb", ["DELETE", "HEAD", "OPTIONS", "PUT", "get", ""])
def test_another_verb_needs_what_the_path_does(verb: str) -> None:
    assert need_of_path(verb, "/v1/evaluate") is Need.EVALUATE
    assert need_of_path(verb, "/v1/losses/huber") is Need.READ


def test_an_unlisted_method_is_open_to_nobody() -> None:
    assert need_of_method("/lossmeter.v1.LossService/evaluate") is Need.NOWHERE
