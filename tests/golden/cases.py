"""Golden cases as requests with their answers."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossmeter.dialects.symbols import SYMBOLS

Floats = NDArray[np.float64]

HERE = Path(__file__).parent
BY_HAND = 1e-12
# From here on a framework's case is float32, and numbers near 0 are rounded more coarsely.
SINGLE = 1e-5
SETTINGS = ("params", "reduction", "options")
ABOUT_IT = ("id", "value", "code", *SETTINGS)


@dataclass(frozen=True, slots=True)
class Case:
    """A request and what must come of it.

    Attributes:
        id: Its name, unique in its file.
        request: The request as REST takes it.
        expected: The value, with its shape; None where the request is refused.
        rtol: How near each number must come, relative to the expected one.
        floor: Least size that an expected number counts as.
        code: The code of the refusal.
        reason: The reason of the refusal.
    """

    id: str
    request: Mapping[str, Any]
    expected: Floats | None
    rtol: float
    floor: float
    code: str | None = None
    reason: str | None = None

    def accepts(self, value: Floats) -> bool:
        """Whether a value is near enough."""
        assert self.expected is not None
        if value.shape != self.expected.shape:
            return False
        room = self.rtol * np.maximum(np.abs(self.expected), self.floor)
        with np.errstate(invalid="ignore"):
            near = np.abs(value - self.expected) <= room
        near &= np.isfinite(self.expected)
        same = (value == self.expected) | (np.isnan(value) & np.isnan(self.expected))
        return bool((near | same).all())


def numbers(data: object) -> Floats:
    """Nested lists as they stand in JSON, in which some numbers go by name."""
    return np.asarray(data, dtype=object).astype(np.float64)


def of_frameworks() -> Mapping[str, list[Case]]:
    """The cases of every symbol that the service has, by symbol."""
    found = sorted(_framework_cases(), key=_symbol)
    return {symbol: list(cases) for symbol, cases in groupby(found, key=_symbol)}


def _symbol(case: Case) -> str:
    return str(case.request["loss"])


def _framework_cases() -> Iterator[Case]:
    for file in sorted(HERE.glob("frameworks/*.json")):
        for case in json.loads(file.read_bytes())["cases"]:
            if case["loss"] in SYMBOLS:
                asked = ("loss", "params", "reduction", "inputs")
                request = {name: case[name] for name in asked if name in case}
                expected = numbers(case["expected"]["data"])
                floor = 2e-2 if case["rtol"] >= SINGLE else 1e-3
                yield Case(f"{file.stem} {case['id']}", request, expected, case["rtol"], floor)


def by_hand() -> Iterator[tuple[str, Case]]:
    """The cases of canonical losses, each with the name of its loss."""
    for file in sorted(HERE.glob("losses/*.json")):
        for case in json.loads(file.read_bytes()):
            settings = {name: case[name] for name in SETTINGS if name in case}
            inputs = {name: x for name, x in case.items() if name not in ABOUT_IT}
            request = {"loss": file.stem, **settings, "inputs": inputs}
            expected = numbers(case["value"]) if "value" in case else None
            yield file.stem, Case(case["id"], request, expected, BY_HAND, 0.0, case.get("code"))


def disagreements() -> Iterator[Case]:
    """What each framework gives of the same data, row by row of the catalogue."""
    for row in _disagreements("rows"):
        for answer in row["answers"]:
            asked = answer["request"]
            inputs = {name: _tensor(x) for name, x in asked["inputs"].items()}
            yield Case(
                f"row {row['row']}: {answer['says']}",
                {**asked, "inputs": inputs},
                numbers(answer["expected"]) if "expected" in answer else None,
                answer.get("rtol", 0.0),
                floor=0.0,
                reason=answer.get("error"),
            )


def rows_of_disagreements() -> set[int]:
    """The rows that are answered, and those that no request can ask for."""
    return {entry["row"] for part in ("rows", "beyond") for entry in _disagreements(part)}


def _disagreements(part: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(HERE.joinpath("disagreements.json").read_bytes())[part]
    return found


def _tensor(x: Mapping[str, Any]) -> Mapping[str, Any] | Floats:
    """A tensor as it stands, but an array where a list cannot tell the shape: it is empty."""
    return np.zeros(x["shape"], x["dtype"]) if "shape" in x else x


@dataclass(frozen=True, slots=True)
class Refusal:
    """A bad request, and the refusal that it must meet.

    Attributes:
        id: What is bad about it.
        request: The request as REST takes it.
        reason: The reason of the refusal.
        field: The place that it must name.
        words: What its message must tell besides.
    """

    id: str
    request: Mapping[str, Any]
    reason: str
    field: str
    words: tuple[str, ...] = ()


def refusals() -> Iterator[Refusal]:
    """The requests that every wire must refuse."""
    for row in json.loads(HERE.joinpath("refusals.json").read_bytes()):
        yield Refusal(**row)
