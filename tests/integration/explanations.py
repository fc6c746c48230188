"""Explanations in one form, whichever way they came, and what must hold of each."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from google.protobuf import json_format

import lossmeter
from lossmeter.app.explain import Explanation, Opinion
from lossmeter.v1 import loss_service_pb2 as pb
from tests.golden.cases import numbers
from tests.integration.forms import Request, array_of, body, message, settings_of
from tests.integration.replies import Reply, of_process, of_rest
from tests.integration.servers import Service
from tests.integration.wires import SECONDS, given, post, refusing

Steps: TypeAlias = list[tuple[str, str, Mapping[str, Any]]]
SENTENCES = ("symbol", "framework", "version", "reduction", "divisor", "agrees", "why", "note")
ROUNDING = 2e-6
# What becomes of the quotient.
OUTER: Mapping[str, Callable[[float], float]] = {
    "the square root of the quotient": math.sqrt,
    "e to the power of the quotient": math.exp,
}


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation.

    Attributes:
        bits: The value as text, the same for two values only if all their bits are.
        called: The symbol and its framework.
        steps: Name, sentence and numbers of each step.
        dialects: What each other dialect says, its numbers as text.
        results: The explanations of several losses.
    """

    bits: object = None
    called: tuple[str, str] = ("", "")
    steps: Steps = field(default_factory=list)
    dialects: list[dict[str, Any]] = field(default_factory=list)
    results: Mapping[str, "Explained"] = field(default_factory=dict)


def in_process(_: Service | None, request: Request) -> Explained:
    """The package imported, without a server."""
    with refusing():
        return _of_process(lossmeter.explain(inputs=given(request), **settings_of(request)))


def over_rest(service: Service, request: Request) -> Explained:
    """POST /v1/explain."""
    response = post(service, "/v1/explain", body(request))
    if not response.is_success:
        of_rest(response)
    return of_json(response.json())


def over_grpc(service: Service, request: Request) -> Explained:
    """Explain."""
    with refusing():
        return _of_grpc(service.stub.Explain(message(request), timeout=SECONDS))


WIRES = {"in process": in_process, "over REST": over_rest, "over gRPC": over_grpc}


def _of_process(found: Explanation | Mapping[str, Explanation]) -> Explained:
    if isinstance(found, Mapping):
        return Explained(results={name: _of_process(one) for name, one in found.items()})
    return Explained(
        of_process(found.answer).bits,
        (found.symbol, found.framework),
        [(step.step, step.says, _numbers(step.numbers)) for step in found.steps],
        [_opinion(opinion) for opinion in found.dialects],
    )


def _opinion(opinion: Opinion) -> dict[str, Any]:
    told = {name: getattr(opinion, name) for name in SENTENCES}
    told["why"] = list(told["why"])
    bits = None if opinion.answer is None else of_process(opinion.answer).bits
    return {**told, "value": bits, **_sums(opinion.numerator, opinion.denominator)}


def of_json(found: dict[str, Any]) -> Explained:
    """What JSON says, of REST or of the command line."""
    if "results" in found:
        return Explained(results={name: of_json(one) for name, one in found["results"].items()})
    return Explained(
        _bits(found["value"]),
        (found["symbol"], found["framework"]),
        [(step["step"], step["says"], _numbers(step["numbers"])) for step in found["steps"]],
        [
            {
                **{name: opinion[name] for name in SENTENCES},
                "value": _bits(opinion["value"]) if "value" in opinion else None,
                **_sums(opinion.get("numerator"), opinion.get("denominator")),
            }
            for opinion in found["dialects"]
        ],
    )


def _of_grpc(found: pb.ExplainResponse) -> Explained:
    if found.results:
        return Explained(results={name: _of_grpc(one) for name, one in found.results.items()})
    return Explained(
        _sent(found),
        (found.symbol, found.framework),
        [
            (step.step, step.says, _numbers(json_format.MessageToDict(step.numbers)))
            for step in found.steps
        ],
        [
            {
                **{name: getattr(opinion, name) for name in SENTENCES},
                "why": list(opinion.why),
                "value": _sent(opinion),
                **_sums(
                    *(
                        getattr(opinion, name) if opinion.HasField(name) else None
                        for name in ("numerator", "denominator")
                    )
                ),
            }
            for opinion in found.dialects
        ],
    )


def _sent(found: pb.ExplainResponse | pb.ExplainResponse.DialectAnswer) -> object:
    if found.HasField("value"):
        return Reply(array_of(found.value), {}).bits
    return {label: group.value.hex() for label, group in found.groups.items()} or None


def _bits(value: Any) -> object:
    if isinstance(value, dict):
        return {label: float(x).hex() for label, x in value.items()}
    return Reply(numbers(value), {}).bits


def _sums(numerator: Any, denominator: Any) -> dict[str, str | None]:
    sums = {"numerator": numerator, "denominator": denominator}
    return {name: None if x is None else float(x).hex() for name, x in sums.items()}


def _numbers(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        name: [int(n) for n in x] if isinstance(x, list) else float(x).hex()
        for name, x in found.items()
    }


def faults(found: Explained, evaluated: Reply) -> Iterator[str]:
    """What is wrong with an explanation."""
    for name, one in found.results.items():
        yield from (f"{name}: {fault}" for fault in faults(one, evaluated.results[name]))
    if found.results:
        return
    if found.bits != evaluated.bits:
        yield f"{found.bits} is not what was evaluated, {evaluated.bits}"
    yield from _faults_of_steps(found)
    symbols = [found.called[0], *(opinion["symbol"] for opinion in found.dialects)]
    if len(set(symbols)) < len(symbols):
        yield "a symbol is told of twice"
    for opinion in found.dialects:
        yield from (f"{opinion['symbol']}: {fault}" for fault in _faults_of(opinion, found))


def _faults_of_steps(found: Explained) -> Iterator[str]:
    names = [name for name, _, _ in found.steps]
    if (names[0], names[-1]) != ("loss", "result"):
        yield f"steps are {names}"
    told = {name: value for _, _, given in found.steps for name, value in given.items()}
    if isinstance(found.bits, str) and told.get("value") != found.bits:
        yield "the last step is not the value"
    if "divisor" in told and not _is_quotient(found.steps[-1][1], told):
        yield f"{told} do not make the value"


def _is_quotient(says: str, told: Mapping[str, str]) -> bool:
    above, below, value = (float.fromhex(told[n]) for n in ("numerator", "divisor", "value"))
    if not below:
        return True
    outer = next((made for words, made in OUTER.items() if words in says), float)
    try:
        quotient = outer(above / below)
    except (ValueError, OverflowError):
        return not math.isfinite(value)
    both = math.isnan(quotient) and math.isnan(value)
    return both or math.isclose(quotient, value, rel_tol=1e-12)


def _faults_of(opinion: Mapping[str, Any], found: Explained) -> Iterator[str]:
    why, agrees = opinion["why"], opinion["agrees"]
    if bool(why) == agrees:
        yield f"agrees is {agrees}, because {why}"
    if len(set(why)) < len(why):
        yield "a sentence twice"
    if any(word in sentence for sentence in why for word in ("None", "nan,", "themselves differ")):
        yield f"an odd sentence: {why}"
    if opinion["value"] is None:
        if "refuses" not in why[0] and "cannot be asked" not in why[0]:
            yield f"no value, and no refusal: {why}"
    elif not (_near if agrees else _apart)(opinion["value"], found.bits):
        yield f"agrees is {agrees} for {opinion['value']} beside {found.bits}: {why}"


def _apart(a: Any, b: Any) -> bool:
    return bool(a != b)


def _near(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_near(a[label], b[label]) for label in a)
    x, y = floats(a), floats(b)
    largest = np.max(np.abs(x), where=np.isfinite(x), initial=0.0)
    room = ROUNDING * largest
    return x.shape == y.shape and np.allclose(x, y, rtol=ROUNDING, atol=room, equal_nan=True)


def floats(bits: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The numbers that a text of bits stands for."""
    shape, flat = bits if isinstance(bits, tuple) else ((), [bits])
    return np.asarray([float.fromhex(x) for x in flat]).reshape(shape)


def printed(text: str) -> Explained:
    """What the command line prints into a pipe."""
    return of_json(json.loads(text))
