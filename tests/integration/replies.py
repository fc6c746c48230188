"""Answers and refusals in one form, whichever way they came."""

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import grpc
import httpx
import numpy as np

from lossmeter.app.answer import Answer, Answers
from lossmeter.errors import LossmeterError
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.wire.states import state_bytes, state_hash
from tests.golden.cases import numbers
from tests.integration.forms import Array, array_of
from tests.integration.refusals import details

Value: TypeAlias = Array | Mapping[str, float]
NOTHING = np.zeros(0)
# Where HTTP has one status for two codes, the first.
CODES = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    409: "FAILED_PRECONDITION",
    413: "RESOURCE_EXHAUSTED",
    422: "FAILED_PRECONDITION",
}
FIELDS = (
    *("loss", "reduction", "count", "weight", "denominator", "backend", "device", "dtype"),
    *("index", "batch_id", "relative_error", "omitted"),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        value: The number or numbers, NaN where JSON has null; or the number of each group.
        fields: What the answer says besides.
        results: The answers for several losses.
    """

    value: Value
    fields: Mapping[str, Any]
    results: Mapping[str, "Reply"] = field(default_factory=dict)

    @property
    def bits(self) -> object:
        """The value as text, the same for two values only if all their bits are."""
        if isinstance(self.value, Mapping):
            return {label: float(x).hex() for label, x in self.value.items()}
        flat = [float(x).hex() for x in self.value.ravel().tolist()]
        return (self.value.shape, flat) if self.value.ndim else flat[0]

    @property
    def state(self) -> bytes:
        """The state that was asked for."""
        return bytes(self.fields["state"])


class Refused(Exception):
    """A refusal.

    Attributes:
        code: Name of the code of google.rpc.
        reason: The word for programs.
        field: Where.
        detail: The sentence.
        facts: Numbers beside it.
    """

    def __init__(self, code: str, told: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {told}")
        self.code = code
        self.reason = told.get("reason", "")
        self.field = told.get("field", "")
        self.detail = told.get("detail", "")
        self.facts = {name: int(told[name]) for name in ("limit", "actual") if name in told}


def of_process(answer: Answer | Answers) -> Reply:
    """What the package's own function answers."""
    if isinstance(answer, Answers):
        results = {name: of_process(one) for name, one in answer.results.items()}
        summary = {"total": answer.total, "skipped": list(answer.skipped)}
        return Reply(NOTHING, _without_nothing(summary), results)
    fields: dict[str, Any] = {name: answer[name] for name in FIELDS}
    fields["warnings"] = list(answer.warnings)
    if answer.state is not None:
        fields |= {"state": state_bytes(answer.state), "state_hash": state_hash(answer.state)}
    if answer.groups is not None:
        fields["groups"] = {x: _without_nothing(asdict(one)) for x, one in answer.groups.items()}
    value = answer.value
    given = value if isinstance(value, Mapping) else np.asarray(value)
    return Reply(given, _without_nothing(fields))


def of_error(error: LossmeterError) -> Refused:
    """What the package's own function raises."""
    told = {"reason": error.reason, "field": error.field, "detail": error.detail}
    return Refused(error.code.name, told | error.facts)


def of_rest(response: httpx.Response) -> Reply:
    """What REST answers.

    Raises:
        Refused: It is a refusal.
    """
    if response.is_success:
        return of_json(response.json())
    raise Refused(CODES.get(response.status_code, str(response.status_code)), response.json())


def of_json(found: dict[str, Any]) -> Reply:
    """What JSON says, of REST or of the command line."""
    if "results" in found:
        results = {name: of_json(one) for name, one in found.pop("results").items()}
        return Reply(NOTHING, found, results)
    value = found.pop("value")
    if "state" in found:
        found["state"] = base64.b64decode(found["state"])
    if isinstance(value, dict):
        return Reply({label: float(x) for label, x in value.items()}, found)
    return Reply(numbers(value), found)


def of_grpc(found: pb.EvaluateResponse) -> Reply:
    """What gRPC answers."""
    given = {descriptor.name: x for descriptor, x in found.ListFields()}
    if found.results:
        results = {name: of_grpc(one) for name, one in given.pop("results").items()}
        return Reply(NOTHING, given, results)
    fields = {"count": 0, "weight": 0.0} | given
    if found.groups:
        fields["groups"] = {x: _group(one) for x, one in found.groups.items()}
    if not found.HasField("value"):
        return Reply({x: one.value for x, one in found.groups.items()}, fields)
    kept = {"kept": array_of(found.kept)} if found.HasField("kept") else {}
    fields.pop("value")
    return Reply(array_of(found.value), fields | kept)


def _group(group: pb.Group) -> Mapping[str, float]:
    made = {"value": group.value, "count": group.count, "weight": group.weight}
    return {**made, "denominator": group.denominator} if group.HasField("denominator") else made


def _without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: x for name, x in fields.items() if x is not None and x != []}


def of_rpc_error(error: grpc.RpcError) -> Refused:
    """What gRPC refuses with."""
    info, _ = details(error)
    told = {"detail": error.details(), "reason": info.reason, **info.metadata}
    return Refused(error.code().name, told)
