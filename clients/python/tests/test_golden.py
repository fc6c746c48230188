"""Every golden case by every client: the bits that the service's package gives in process."""

from collections.abc import Iterator

import pytest

from clients.python.tests.asking import CLIENTS, Ask, Outcome, reply_of
from lossmeter_client import LossmeterError
from tests.golden.cases import Case, Refusal, by_hand, disagreements, of_frameworks, refusals
from tests.integration.forms import Request
from tests.integration.replies import Refused, Reply
from tests.integration.servers import Service
from tests.integration.test_service import REQUESTS, comparable
from tests.integration.wires import in_process

ASKS = [pytest.param(ask, id=name) for name, ask in CLIENTS.items()]
BY_HAND = [case for _, case in by_hand()]
SETS = {
    "of frameworks": [case for cases in of_frameworks().values() for case in cases],
    "by hand": BY_HAND,
    "of disagreements": list(disagreements()),
}
REFUSALS = list(refusals())


def told(found: Reply | Outcome) -> object:
    """The bits of an answer, or what a refusal says to programs."""
    if isinstance(found, LossmeterError):
        # In process there are no messages of which one could be wrong.
        facts = {name: x for name, x in found.facts.items() if name != "chunk"}
        return found.code, found.reason, found.field, facts
    return (found if isinstance(found, Reply) else reply_of(found)).bits


def here(request: Request) -> object:
    """What the package says in process."""
    try:
        return told(in_process(None, request))
    except Refused as refused:
        return refused.code, refused.reason, refused.field or None, refused.facts


def differing(cases: list[Case], found: list[Outcome]) -> Iterator[tuple[str, object, object]]:
    for case, one in zip(cases, found, strict=True):
        if (expected := here(case.request)) != told(one):
            yield case.id, expected, told(one)


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("cases", SETS.values(), ids=SETS)
def test_the_bits_are_those_of_the_package(service: Service, cases: list[Case], ask: Ask) -> None:
    found = ask(service, [case.request for case in cases])
    assert list(differing(cases, found)) == []


@pytest.mark.parametrize("ask", ASKS)
def test_all_that_an_answer_says_is_what_the_package_says(service: Service, ask: Ask) -> None:
    found = ask(service, list(REQUESTS.values()))
    wrong = {
        name: (comparable(reply_of(one)), expected)
        for (name, request), one in zip(REQUESTS.items(), found, strict=True)
        if comparable(reply_of(one)) != (expected := comparable(in_process(None, request)))
    }
    assert wrong == {}


@pytest.mark.parametrize("ask", ASKS)
def test_every_refusal_has_its_reason_and_place(service: Service, ask: Ask) -> None:
    found = ask(service, [bad.request for bad in REFUSALS])
    wrong = [(bad.id, one) for bad, one in zip(REFUSALS, found, strict=True) if not met(bad, one)]
    assert wrong == []


def met(bad: Refusal, found: Outcome) -> bool:
    """Whether it is the refusal that the request must meet."""
    if not isinstance(found, LossmeterError):
        return False
    said = all(word in found.detail for word in bad.words)
    return (found.reason, found.field) == (bad.reason, bad.field) and said
