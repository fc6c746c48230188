"""Write tests/golden/states: states with what comes of merging and finishing them.

Run by hand when the form of a state changes: clients in every language are held to these bytes, and
so is the service.
"""

import base64
import hashlib
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from lossmeter.app.engine import Engine
from lossmeter.core.exact import UNIT_BITS, ExactSum, exact_sum
from lossmeter.core.parts import Extreme
from lossmeter.core.reductions import Reduction, finish
from lossmeter.core.state import Key, State, order
from lossmeter.errors import LossmeterError
from lossmeter.plan.request import EvaluateSpec, MergeSpec
from lossmeter.plan.tensors import Tensors
from lossmeter.v1 import state_pb2 as pb
from lossmeter.wire.states import read_state, state_bytes, state_hash

OUT = Path(__file__).parents[1] / "tests/golden/states/vectors.json"
SEED = 20_260_101
NAN, INF = math.nan, math.inf
TINY, HUGE = 5e-324, 1.7976931348623157e308
# What a client finishes by itself: arithmetic of whole numbers and a root, nothing else.
FINISHED = (
    *("sum", "mean", "weighted_mean", "nonzero_mean", "batch_mean", "rms", "harmonic_mean"),
    *("variance", "std", "min", "max"),
)
ALL_PARTS = ["rms", "harmonic_mean", "logsumexp", "geometric_mean", "min", "max", "quantile"]
Json = dict[str, Any]


def bits(x: float) -> str:
    """A float64 as 16 hexadecimal digits, the most significant first."""
    return "7ff8000000000000" if math.isnan(x) else struct.pack(">d", x).hex()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def told(total: ExactSum) -> Json:
    """A sum as its message has it."""
    units, exponent = total.units, 0
    if units:
        zeros = (units & -units).bit_length() - 1
        units, exponent = units >> zeros, zeros - UNIT_BITS
    size = 0 if not units else (units if units > 0 else ~units).bit_length() // 8 + 1
    return {
        "exponent": exponent,
        "mantissa": text(units.to_bytes(size, "little", signed=True)),
        "nan": total.nan,
        "positive_infinity": total.positive_infinity,
        "negative_infinity": total.negative_infinity,
    }


def terms() -> Iterator[list[float]]:
    """Numbers to add up: those that rounding, range and order make hard."""
    rng = np.random.default_rng(SEED)
    yield from ([], [0.0], [-0.0], [1.0], [-1.0], [0.1] * 10, [TINY], [-TINY], [HUGE], [HUGE, HUGE])
    yield from ([1e16, 1.0, -1e16], [1.0, 1e100, 1.0, -1e100], [TINY, HUGE, -HUGE], [0.5, TINY])
    # Halves, which go to even, and what lies just beside them.
    one, half = 1.0, 2.0**-53
    yield from ([one, half], [one, half, TINY], [one, 3 * half], [one, half, -TINY], [2.0, -half])
    yield from ([TINY] * 3, [2.0**-1022, -TINY], [HUGE, 2.0**969], [HUGE, 2.0**970], [-HUGE] * 3)
    yield from ([NAN, 1.0], [INF, 1.0], [-INF, HUGE], [INF, -INF], [NAN, INF, -INF], [INF, INF])
    for size in (3, 64, 65, 1000):
        yield rng.normal(size=size).tolist()
        yield np.ldexp(rng.normal(size=size), rng.integers(-1070, 1000, size)).tolist()


def sums() -> Iterator[Json]:
    for numbers in terms():
        total = exact_sum(np.asarray(numbers, dtype=np.float64))
        yield {
            "terms": [bits(x) for x in numbers],
            "sum": told(total),
            "value": bits(float(total)),
        }


def ratios() -> Iterator[Json]:
    """Quotients, rounded once: also to subnormal numbers, to halves and beyond float64."""
    chosen = [[1.0], [3.0], [0.0], [-7.0], [HUGE], [HUGE, HUGE], [TINY], [TINY] * 3, [2.0**53, 1.0]]
    chosen += [[INF], [-INF], [NAN], [0.1] * 10, [2.0**-1022, -TINY], [1.0, 2.0**-53]]
    for above in chosen:
        for below in chosen:
            over, under = (exact_sum(np.asarray(x)) for x in (above, below))
            value: float | None = None
            with suppress(ZeroDivisionError):
                value = over / under
            made = None if value is None else bits(value)
            yield {"above": told(over), "below": told(under), "value": made}


def batch(loss: str, inputs: Mapping[str, Any], name: str, **settings: Any) -> State:
    """The state of a batch."""
    options = {"state": ALL_PARTS, "batch_id": name, **settings.pop("options", {})}
    spec = EvaluateSpec.model_validate({"loss": loss, "options": options, **settings})
    tensors = Tensors({key: np.asarray(x) for key, x in inputs.items()})
    answer: Any = Engine().evaluate(spec, tensors)
    assert answer.state is not None
    state: State = answer.state
    return state


def pair(rng: np.random.Generator, rows: int, *shape: int) -> dict[str, Any]:
    """Predictions and targets."""
    return {name: rng.normal(size=(rows, *shape)) for name in ("predictions", "targets")}


def families() -> Iterator[tuple[str, list[State]]]:
    """States that belong together."""
    rng = np.random.default_rng(SEED)
    yield "one state", [batch("squared_error", pair(rng, 5), "a")]
    yield (
        "three batches of other sizes",
        [batch("squared_error", pair(rng, n), f"batch {n}") for n in (1, 17, 300)],
    )
    weighed = [{**pair(rng, n), "sample_weight": rng.normal(size=n)} for n in (4, 9)]
    yield (
        "weights below 0",
        [batch("absolute_error", x, f"b{i}") for i, x in enumerate(weighed)],
    )
    few = {"predictions": [1.0, 2.0], "targets": [0.0, 0.0], "sample_weight": [0.0, 0.0]}
    yield "weights of 0", [batch("absolute_error", few, "zero")]
    masked = {**pair(rng, 6), "mask": [True, False, True, False, False, True]}
    none = {**pair(rng, 3), "mask": [False] * 3}
    yield (
        "masks, one of them of everything",
        [
            batch("huber", masked, "some", reduction="sum"),
            batch("huber", none, "none", reduction="sum"),
        ],
    )
    yield "nothing kept", [batch("huber", none, "none", reduction="sum")]
    groups = {"name": "mean", "by": "country"}
    grouped = [
        {**pair(rng, 4), "country": ["de", "fr", "de", "it"]},
        {**pair(rng, 3), "country": ["fr", "es", "å"]},
    ]
    yield (
        "groups, some in one batch alone",
        [batch("log_cosh", x, f"g{i}", reduction=groups) for i, x in enumerate(grouped)],
    )
    kept = {"name": "mean", "axis": [0]}
    yield (
        "an axis that is kept",
        [batch("squared_error", pair(rng, n, 2, 3), f"k{n}", reduction=kept) for n in (2, 5)],
    )
    odd = [1.0, NAN, 3.0], [INF, 1.0, 2.0], [1.0, 2.0, -INF]
    yield (
        "numbers that are not finite",
        [
            batch("absolute_error", {"predictions": x, "targets": [0.0] * 3}, f"odd {i}")
            for i, x in enumerate(odd)
        ],
    )
    wide = ([1e-160, 1e-150, 2.0], [1e150, 1e-200, 1e100], [3e-162, 0.0, 1e153])
    yield (
        "numbers of every size",
        [
            batch("squared_error", {"predictions": x, "targets": [0.0] * 3}, f"wide {i}")
            for i, x in enumerate(wide)
        ],
    )
    single = {name: x.astype(np.float32) for name, x in pair(rng, 50).items()}
    yield "float32", [batch("squared_error", single, "f")]
    yield (
        "several outputs, which scikit-learn joins",
        [batch("sklearn.metrics.mean_squared_error", pair(rng, n, 2), f"o{n}") for n in (3, 4)],
    )
    same = {"predictions": [2.0, 1.0, 2.0], "targets": [0.0, 0.0, 0.0]}
    yield (
        "extremes that are equal",
        [batch("absolute_error", same, name) for name in ("b", "a", "c")],
    )


def finished(state: State, key: Key) -> Json:
    """What each reduction makes of a group."""
    made: Json = {}
    for name in FINISHED:
        with suppress(LossmeterError):
            with np.errstate(all="ignore"):
                outcome = finish(state.cells[key], Reduction(name))
            made[name] = bits(outcome.value)
            if isinstance(outcome.at, Extreme):
                made[f"index_of_{name}"] = outcome.at.row
                made[f"batch_of_{name}"] = outcome.at.batch_id
    return made


def merges() -> Iterator[Json]:
    for name, states in families():
        yield merge(name, states)
    rng = np.random.default_rng(SEED)
    here, there = (batch("squared_error", pair(rng, 3), name) for name in "ab")
    yield merge("other machines", [here, elsewhere(there)], any_profile=True)


def merge(name: str, states: list[State], *, any_profile: bool = False) -> Json:
    merged = states[0]
    for state in states[1:]:
        merged = merged.merge(state, any_profile=any_profile)
    return {
        "name": name,
        "states": [text(state_bytes(state)) for state in states],
        "any_profile": any_profile,
        "merged": text(state_bytes(merged)),
        "state_hash": state_hash(merged),
        "cells": [
            {"key": key, "finished": finished(merged, key)}
            for key in sorted(merged.cells, key=order)
        ],
    }


def elsewhere(state: State) -> State:
    """The state as another machine would have made it."""
    return replace(state, spec=replace(state.spec, profile="numpy-1.0.0/none/cpu"))


def refused() -> Iterator[Json]:
    rng = np.random.default_rng(SEED)
    tensors = pair(rng, 3)
    state = batch("squared_error", tensors, "a")
    other = batch("squared_error", pair(rng, 3), "b")
    axes = {"name": "mean", "axis": [0]}
    kept = [
        batch("squared_error", pair(rng, 3, n), name, reduction=axes)
        for n, name in ((2, "a"), (3, "b"))
    ]
    sums = batch("squared_error", pair(rng, 3), "b", options={"state": True})
    unlike = {
        "another loss": [state, batch("absolute_error", tensors, "b")],
        "another dtype": [state, batch("squared_error", single(tensors), "b")],
        "another policy": [
            state,
            batch("squared_error", tensors, "b", options={"nonfinite": "omit"}),
        ],
        "another machine": [state, elsewhere(other)],
        "axes of another size": kept,
        "other parts": [state, sums],
    }
    apart = [
        batch("squared_error", {**pair(rng, 2), "country": [label] * 2}, label, **settings)
        for label, settings in (("de", by_country()), ("fr", by_country(options={"state": True})))
    ]
    unlike["other parts of other groups"] = apart
    for name, states in unlike.items():
        yield bad(name, [state_bytes(one) for one in states], "STATE_MISMATCH")
    twice = [state_bytes(one) for one in (state, other, state)]
    yield bad("a batch twice", twice, "DUPLICATE_BATCH")
    yield bad("no state", [], "MALFORMED_REQUEST")
    full = [changed(one, counts_full) for one in (state, other)]
    yield bad("more counted than can be", full, "MALFORMED_REQUEST")
    good = state_bytes(other)
    for name, data in malformed(state).items():
        yield bad(name, [good, data], "MALFORMED_REQUEST", "states.1")


def bad(name: str, states: list[bytes], reason: str, field: str = "states") -> Json:
    return {
        "name": name,
        "states": [text(data) for data in states],
        "any_profile": False,
        "reason": reason,
        "field": field,
    }


def single(tensors: Mapping[str, Any]) -> Json:
    return {name: x.astype(np.float32) for name, x in tensors.items()}


def by_country(**settings: Any) -> Json:
    return {"reduction": {"name": "mean", "by": "country"}, **settings}


def counts_full(message: pb.State) -> None:
    """As many rows as a message can tell."""
    most = 2**64 - 1
    message.batches[0].rows = message.cells[0].linear.rows = most
    message.cells[0].linear.entries = message.cells[0].linear.count = most


def with_total(exponent: int, mantissa: bytes, message: pb.State) -> None:
    total = message.cells[0].linear.total
    total.exponent, total.mantissa = exponent, mantissa


def with_count(name: str, count: int, message: pb.State) -> None:
    setattr(message.cells[0].linear, name, count)


# Changes that a new seal cannot hide.
CHANGES: Mapping[str, Callable[[pb.State], object]] = {
    "a mantissa that is even": partial(with_total, -1074, b"\2"),
    "a mantissa with a byte too many": partial(with_total, -1074, b"\1\0"),
    "an exponent below the least": partial(with_total, -1075, b"\1"),
    "an exponent beyond all sums": partial(with_total, 2000, b"\1"),
    "an exponent of nothing": partial(with_total, 1, b""),
    "more kept than there are": partial(with_count, "count", 4),
    "more nonzero than kept": partial(with_count, "nonzero", 4),
    "other rows than its batches": partial(with_count, "rows", 4),
    "a group twice": lambda message: message.cells.append(message.cells[0]),
    "batches out of order": lambda message: message.batches.append(pb.Batch(id="A", rows=0)),
    "a specification with another hash": lambda message: setattr(
        message.specification, "profile", "another"
    ),
    "another format": lambda message: setattr(message, "format", 2),
    "no batch": lambda message: message.ClearField("batches"),
    "an extreme beyond its batch": lambda message: setattr(message.cells[0].least, "row", 3),
}


def malformed(state: State) -> dict[str, bytes]:
    """Bytes that are no state."""
    data = state_bytes(state)
    return {
        "nothing": b"",
        "other bytes": b"hunter2",
        "bytes cut short": data[:-1],
        "a byte too many": data + b"\0",
        "a bit that flipped": data[:100] + bytes([data[100] ^ 1]) + data[101:],
        **{name: changed(state, change) for name, change in CHANGES.items()},
    }


def changed(state: State, change: Callable[[pb.State], object]) -> bytes:
    """The bytes of a state that was changed and sealed again."""
    message = pb.State.FromString(state_bytes(state))
    change(message)
    message.checksum = b""
    message.checksum = hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
    return message.SerializeToString(deterministic=True)


def main() -> None:
    parts = {
        "sums": list(sums()),
        "ratios": list(ratios()),
        "merges": list(merges()),
        "refused": list(refused()),
    }
    for vector in parts["refused"]:
        check_refused(vector)
    lines = [
        f"  {orjson.dumps(name).decode()}: [\n"
        + ",\n".join(f"    {orjson.dumps(vector).decode()}" for vector in vectors)
        + "\n  ]"
        for name, vectors in parts.items()
    ]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def check_refused(vector: Json) -> None:
    """Stop at a vector that is not refused, or for another reason."""
    data = [base64.b64decode(state) for state in vector["states"]]
    try:
        states = [read_state(one, f"states.{at}") for at, one in enumerate(data)]
        Engine().merge(states, MergeSpec())
    except LossmeterError as error:
        if (error.reason, error.field) == (vector["reason"], vector["field"]):
            return
        raise SystemExit(f"{vector['name']}: {error.reason} at {error.field}") from None
    raise SystemExit(f"{vector['name']}: not refused")


if __name__ == "__main__":
    main()
