"""The catalogue, asked by framework and by words: the same losses over every wire."""

import json
from collections.abc import Callable, Mapping

import grpc
import pytest

from lossmeter.core.declare import REGISTRY
from lossmeter.dialects import SYMBOLS
from lossmeter.v1 import loss_service_pb2 as pb
from tests.integration.refusals import over_http, over_rpc, told_by_http, told_by_rpc
from tests.integration.servers import Service
from tests.integration.test_cli import run_here

Query = Mapping[str, str]
pytestmark = pytest.mark.usefixtures("unharmed")


def over_rest(service: Service, query: Query) -> list[str]:
    return [one["name"] for one in service.http.get("/v1/losses", params=query).json()["losses"]]


def over_grpc(service: Service, query: Query) -> list[str]:
    return [one.name for one in service.stub.ListLosses(pb.ListLossesRequest(**query)).losses]


def over_cli(_: Service, query: Query) -> list[str]:
    flags = [word for name, value in query.items() for word in (f"--{name}", value)]
    listed = json.loads(run_here("losses", *flags, "--format", "json").out)["losses"]
    return [one["name"] for one in listed]


Ask = Callable[[Service, Query], list[str]]
WIRES = {"over REST": over_rest, "over gRPC": over_grpc, "on the command line": over_cli}
QUERIES: dict[str, tuple[Query, tuple[str, ...]]] = {
    "a name comes first": (
        {"search": "huber"},
        ("huber",),
    ),
    "a name comes before a part of one": ({"search": "hinge"}, ("hinge",)),
    "another name": ({"search": "MSE"}, ("squared_error",)),
    "a name in words": ({"search": "gaussian nll"}, ("gaussian_nll",)),
    "a symbol": ({"search": "torch.nn.HuberLoss"}, ("huber",)),
    "words in different places": ({"search": "l1 torch.nn.functional"}, ("absolute_error",)),
    "words of a summary": ({"search": "  Predicted   MEAN variance "}, ("gaussian_nll",)),
    "a framework and words": (
        {"framework": "torch", "search": "triplet"},
        ("triplet_margin",),
    ),
    "nothing has them": ({"search": "hunter2"}, ()),
}


@pytest.mark.parametrize("ask", WIRES.values(), ids=WIRES)
@pytest.mark.parametrize(("query", "first"), QUERIES.values(), ids=QUERIES)
def test_words_find_a_loss(
    service: Service, ask: Ask, query: Query, first: tuple[str, ...]
) -> None:
    found = ask(service, query)
    assert tuple(found[: len(first)]) == first
    assert (found == []) == (first == ())


@pytest.mark.parametrize("query", [{}, {"search": "cross"}, {"framework": "keras"}], ids=str)
def test_the_same_losses_are_found_over_every_wire(service: Service, query: Query) -> None:
    found = [ask(service, query) for ask in WIRES.values()]
    assert found[0]
    assert found == [found[0]] * len(WIRES)


@pytest.mark.parametrize("ask", WIRES.values(), ids=WIRES)
@pytest.mark.parametrize("framework", sorted({s.dialect.name for s in SYMBOLS.values()}))
def test_a_framework_has_the_losses_of_its_symbols(
    service: Service, ask: Ask, framework: str
) -> None:
    symbols = [symbol for symbol in SYMBOLS.values() if symbol.dialect.name == framework]
    losses = {variant.loss.name for symbol in symbols for variant in symbol.variants}
    assert ask(service, {"framework": framework}) == sorted(losses)


def test_a_descriptor_is_whole_under_a_framework(service: Service) -> None:
    listed = service.http.get("/v1/losses", params={"framework": "torch", "search": "huber"})
    assert listed.json()["losses"][0] == service.http.get("/v1/losses/huber").json()


def test_an_empty_query_lists_all(service: Service) -> None:
    assert over_rest(service, {"framework": "", "search": " "}) == sorted(REGISTRY)


WRONG = {
    "an unknown framework": ({"framework": "hunter2"}, "PARAMETER_INVALID", "framework"),
    "a search too long": ({"search": "7919" * 65}, "MALFORMED_REQUEST", "search"),
}


@pytest.mark.parametrize(("query", "reason", "field"), WRONG.values(), ids=WRONG)
def test_a_query_is_refused(service: Service, query: Query, reason: str, field: str) -> None:
    response = service.http.get("/v1/losses", params=query)
    with pytest.raises(grpc.RpcError) as told:
        over_grpc(service, query)
    ran = run_here(
        "losses", *(word for pair in query.items() for word in (f"--{pair[0]}", pair[1]))
    )
    assert told_by_http(response) == over_http(reason, field)
    assert told_by_rpc(told.value) == over_rpc(reason, field)
    assert (ran.status, f"({reason} at {field})" in ran.err) == (1, True)
    assert not any(marker in response.text + ran.err for marker in ("hunter2", "7919"))


def test_an_unknown_framework_is_told_those_there_are(service: Service) -> None:
    response = service.http.get("/v1/losses", params={"framework": "hunter2"})
    assert all(symbol.dialect.name in response.json()["detail"] for symbol in SYMBOLS.values())


@pytest.mark.parametrize(
    ("path", "reason", "field"),
    [
        ("/v1/losses?symbol=huber", "UNKNOWN_FIELD", "symbol"),
        ("/v1/losses?search=huber&Framework=torch", "UNKNOWN_FIELD", "Framework"),
        ("/v1/losses?search=huber&search=loss", "MALFORMED_REQUEST", "search"),
        ("/v1/losses/huber?framework=torch", "UNKNOWN_FIELD", "framework"),
    ],
)
def test_what_is_no_query_is_refused(service: Service, path: str, reason: str, field: str) -> None:
    assert told_by_http(service.http.get(path)) == over_http(reason, field)


def test_a_name_is_not_searched() -> None:
    ran = run_here("losses", "huber", "--framework", "torch")
    assert (ran.status, "MALFORMED_REQUEST at name" in ran.err) == (1, True)


def test_the_fields_of_the_query_are_documented(service: Service) -> None:
    operation = service.http.get("/openapi.json").json()["paths"]["/v1/losses"]["get"]
    assert [one["name"] for one in operation["parameters"]] == ["framework", "search"]
