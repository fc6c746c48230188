"""One loss, one number: however the rows are ordered, split, sent and merged."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, reduce
from typing import Any, TypeAlias

import numpy as np
import pytest

from tests.integration.columns import LOSSES, Columns, batches, columns, shuffled
from tests.integration.commands import merged_over_cli, over_cli
from tests.integration.forms import Array, Request
from tests.integration.replies import Refused, Reply
from tests.integration.servers import Service
from tests.integration.wires import (
    MERGES,
    UNARY,
    Ask,
    Merge,
    in_process,
    merged_in_process,
    merged_over_grpc,
    merged_over_rest,
    over_grpc,
    over_rest,
    over_stream,
)

States: TypeAlias = Sequence[bytes]
Join: TypeAlias = Callable[[States], bytes]
ROWS = 1004
SIZES = (1, 7, 997, ROWS)
ONES = 20
HALVES = (slice(0, 2), slice(2, 4))
AS_STATE: Mapping[str, Any] = {"options": {"state": True}}
ON_ONNX: Mapping[str, Any] = {"backend": "onnx"}
HELD: Mapping[str, Any] = {"state": ["min", "max", "median"]}
# Batches of one row take long to make, so in one dtype.
SPLITS = [
    pytest.param(dtype, rows, id=f"{dtype}, {rows} rows a batch")
    for dtype, sizes in (("float64", SIZES), ("float32", SIZES[1:]))
    for rows in sizes
]
REDUCTIONS: dict[str, Any] = {
    "sum": "sum",
    "mean": "mean",
    "mean over a divisor": {"name": "mean", "divisor": 7.0},
    "weighted_mean": "weighted_mean",
    "nonzero_mean": "nonzero_mean",
    "batch_mean": "batch_mean",
    "keras2": "keras2",
    "rms": "rms",
    "variance": "variance",
    "variance of a population": {"name": "variance", "ddof": 0},
    "std": "std",
    "logsumexp": "logsumexp",
    "geometric_mean": "geometric_mean",
    "harmonic_mean": "harmonic_mean",
    "exp_mean": "exp_mean",
    "min": "min",
    "max": "max",
}
GROUPED: dict[str, Any] = {
    "mean by country": {"name": "mean", "by": "country"},
    "rms by country": {"name": "rms", "by": "country"},
    "macro_mean": {"name": "macro_mean", "by": "country"},
}
# What a state holds without being asked for more.
SUMS = {name: x for name, x in REDUCTIONS.items() if name not in ("min", "max")}
# What no row without weight and loss can change.
SAME = ("sum", "mean", "weighted_mean", "rms", "variance", "logsumexp", "geometric_mean", "max")
STREAMS: dict[str, Ask] = {f"in a stream, {rows} at a time": over_stream(rows) for rows in SIZES}
AXES: Mapping[str, tuple[tuple[int, ...], int | list[int]]] = {
    "the only axis": ((12,), 0),
    "the only axis from the end": ((12,), [-1]),
    "the first of two axes": ((3, 4), [0]),
    "the first of two from the end": ((3, 4), -2),
    "both axes": ((3, 4), [0, 1]),
}
LINE, SQUARE = np.linspace(0.1, 0.9, 4), np.linspace(0.1, 0.9, 24).reshape(4, 2, 3)
TRAPS: Mapping[str, Request] = {
    "the only axis, averaged": {
        "loss": "keras.losses.MeanSquaredError",
        "inputs": {"predictions": LINE, "targets": LINE**2},
    },
    "the first axis, averaged": {
        "loss": "keras.losses.BinaryCrossentropy",
        "params": {"axis": 0},
        "inputs": {"predictions": SQUARE[..., 0], "targets": SQUARE[..., 1] > 0.5},
    },
    "classes on the first axis": {
        "loss": "keras.losses.CategoricalCrossentropy",
        "params": {"axis": 0},
        "inputs": {"predictions": SQUARE[..., 0], "targets": SQUARE[..., 1]},
    },
    "weights for another axis": {
        "loss": "keras.losses.MeanSquaredError",
        "inputs": {"predictions": SQUARE, "targets": SQUARE**2, "sample_weight": LINE},
    },
    "a mask for another axis": {
        "loss": "keras.losses.MeanSquaredError",
        "inputs": {"predictions": SQUARE, "targets": SQUARE**2, "mask": LINE > 0.5},
    },
}
WIRES: Mapping[str, Ask] = {
    **UNARY,
    "in a stream": over_stream(97),
    "on the command line": over_cli,
}
PAIRS: Mapping[str, tuple[Ask, Merge]] = {
    "over REST": (over_rest, merged_over_rest),
    "over gRPC": (over_grpc, merged_over_grpc),
    "in streams": (over_stream(3), merged_over_grpc),
    "on the command line": (over_cli, merged_over_cli),
}
ORDERS: Mapping[str, Callable[[Join, States], bytes]] = {
    "as they were made": lambda join, states: join(states),
    "backwards": lambda join, states: join(states[::-1]),
    "shuffled": lambda join, states: join(mixed(states)),
    "one by one": lambda join, states: reduce(lambda a, b: join([a, b]), states),
    "in two heaps": lambda join, states: join([join(states[::2]), join(states[1::2])]),
}
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)
EVERY_DTYPE = pytest.mark.parametrize("dtype", ["float32", "float64"])


def every(name: str, given: Mapping[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(name, given.values(), ids=given)


@EVERY_LOSS
@EVERY_DTYPE
@every("ask", WIRES)
def test_shuffled_rows(service: Service, loss: str, dtype: str, ask: Ask) -> None:
    given = shuffled(columns(loss, dtype, ROWS), seed=1)
    asked = {name: request_of(loss, given, x) for name, x in (REDUCTIONS | GROUPED).items()}
    found = {name: ask(service, request).bits for name, request in asked.items()}
    assert found == expected(loss, dtype, found)


@EVERY_LOSS
@EVERY_DTYPE
@every("ask", {**UNARY, "in a stream": over_stream(97)})
def test_shuffled_rows_on_a_graph(service: Service, loss: str, dtype: str, ask: Ask) -> None:
    given = columns(loss, dtype, ROWS)
    asked = {name: request_of(loss, given, x, **ON_ONNX) for name, x in REDUCTIONS.items()}
    whole = {name: in_process(None, request).bits for name, request in asked.items()}
    mixed_up = shuffled(given, seed=1)
    found = {
        name: ask(service, request_of(loss, mixed_up, x, **ON_ONNX)).bits
        for name, x in REDUCTIONS.items()
    }
    assert found == whole


@EVERY_LOSS
@pytest.mark.parametrize("rows", [7, 97])
def test_batches_merged_on_a_graph(loss: str, rows: int) -> None:
    given = columns(loss, "float64", ROWS)
    states = [
        in_process(None, request_of(loss, batch, "sum", state=True, **ON_ONNX)).state
        for batch in batches(given, rows)
    ]
    found = {
        name: merged_in_process(None, mixed(states), {"reduction": x}).bits
        for name, x in SUMS.items()
    }
    asked = {name: request_of(loss, given, x, **ON_ONNX) for name, x in SUMS.items()}
    assert found == {name: in_process(None, request).bits for name, request in asked.items()}


@EVERY_LOSS
@pytest.mark.parametrize(("dtype", "rows"), SPLITS)
def test_batches_merged(loss: str, dtype: str, rows: int) -> None:
    merged = merged_in_process(None, mixed(made(loss, dtype, rows)), AS_STATE)
    found = {
        name: merged_in_process(None, [merged.state], {"reduction": x}).bits
        for name, x in REDUCTIONS.items()
    } | {"hash": merged.fields["state_hash"]}
    assert found == expected(loss, dtype, found)


@EVERY_LOSS
@every("pair", PAIRS)
def test_batches_made_and_merged(service: Service, loss: str, pair: tuple[Ask, Merge]) -> None:
    (ask, merge), given = pair, columns(loss, "float32", ROWS)
    states = [
        ask(service, request_of(loss, batch, "sum", state=True)).state
        for batch in batches(given, 97)
    ]
    found = {name: merge(service, states, {"reduction": x}).bits for name, x in SUMS.items()}
    assert found == expected(loss, "float32", found)


@EVERY_DTYPE
@every("ask", WIRES)
def test_batches_of_one_row_merged(service: Service, dtype: str, ask: Ask) -> None:
    given = columns("log_cosh", dtype, ONES)
    states = [
        ask(service, request_of("log_cosh", batch, "sum", state=True)).state
        for batch in batches(given, 1)
    ]
    found = merged_in_process(None, states, {"reduction": "sum"}).bits
    assert found == in_process(None, request_of("log_cosh", given, "sum")).bits


@EVERY_LOSS
@every("rows", {"without rows": 0, "of a row that is masked": 1})
def test_a_batch_that_adds_nothing_can_be_merged(loss: str, rows: int) -> None:
    given = columns(loss, "float64", ROWS)
    hidden = {name: x[:rows] for name, x in given.items()} | {"mask": np.zeros(rows, bool)}
    states = [
        in_process(None, request_of(loss, batch, "sum", **HELD)).state for batch in (given, hidden)
    ]
    found = {name: merged_in_process(None, states, {"reduction": name}).bits for name in SAME}
    assert found == expected(loss, "float64", found)


@EVERY_LOSS
@every("merge", {**MERGES, "on the command line": merged_over_cli})
def test_a_merged_state_has_the_same_bytes_in_any_order(
    service: Service, loss: str, merge: Merge
) -> None:
    states = made(loss, "float64", 97)
    found = {order(joined(merge, service), states) for order in ORDERS.values()}
    assert found == {merged_in_process(None, states, AS_STATE).state}


@EVERY_LOSS
@every("ask", {"over REST": over_rest, "over gRPC": over_grpc} | STREAMS)
def test_a_state_of_the_same_batch_has_the_same_bytes(
    service: Service, loss: str, ask: Ask
) -> None:
    given = columns(loss, "float64", ROWS)
    request = request_of(loss, given, "max", state=["min", "median"], batch_id="only")
    found = ask(service, request)
    assert found.state == in_process(None, request).state


@EVERY_LOSS
@every("merge", MERGES)
def test_groups_merged(service: Service, loss: str, merge: Merge) -> None:
    states = grouped(loss, "float64", 97)
    found = {name: merge(service, states, {"reduction": x}).bits for name, x in GROUPED.items()}
    assert found == expected(loss, "float64", found)


@EVERY_LOSS
@pytest.mark.parametrize("reduction", ["mean", "weighted_mean", "keras2", "batch_mean", "std"])
def test_a_group_is_answered_as_if_it_were_alone(loss: str, reduction: str) -> None:
    given = columns(loss, "float64", ROWS)
    together = in_process(None, request_of(loss, given, {"name": reduction, "by": "country"}))
    alone = {
        country: in_process(None, request_of(loss, of_country(given, country), reduction)).value
        for country in ("de", "fr", "é")
    }
    assert together.value == alone


@pytest.mark.parametrize("weights", [(6, 1), (6, 4)], ids=["a weight a row", "a weight a loss"])
def test_a_group_of_keras_is_answered_as_if_it_were_alone(weights: tuple[int, ...]) -> None:
    rng, loss = np.random.default_rng(6), "keras.losses.MeanSquaredError"
    given = {"predictions": rng.random((6, 4, 2)), "targets": rng.random((6, 4, 2))}
    given |= {"sample_weight": rng.random(weights), "country": np.array(list("aababb"))}
    word = {"name": "mean_with_sample_weight"}
    asked = {"loss": loss, "reduction": {**word, "by": "country"}, "inputs": given}
    alone = [
        in_process(None, {**asked, "reduction": word, "inputs": unnamed(of_country(given, x))})
        for x in "ab"
    ]
    assert in_process(None, asked).value == {"a": alone[0].value, "b": alone[1].value}


def of_country(given: Columns, country: str) -> Columns:
    """The rows of one group."""
    return {name: x[given["country"] == country] for name, x in given.items()}


def unnamed(given: Columns) -> Columns:
    """The rows without the names of their groups."""
    return {name: x for name, x in given.items() if name != "country"}


@every("asked", TRAPS)
@every("ask", {"in a stream": over_stream(2), "merged": None})
def test_rows_that_are_no_samples_are_refused_or_answered_alike(
    service: Service, asked: Request, ask: Ask | None
) -> None:
    found = bits_or_refusal(lambda: ask(service, asked) if ask else merged_by_two(asked))
    whole = bits_or_refusal(lambda: in_process(None, asked))
    assert found in ("NOT_STREAMABLE", "NOT_MERGEABLE", "SHAPE_MISMATCH", whole)


def merged_by_two(asked: Request) -> Reply:
    """The answer for a request cut in two."""
    cut = [{name: x[part] for name, x in asked["inputs"].items()} for part in HALVES]
    states = [in_process(None, {**asked, "inputs": inputs, **AS_STATE}).state for inputs in cut]
    return merged_in_process(None, states, {})


def bits_or_refusal(answer: Callable[[], Reply]) -> object:
    try:
        return answer().bits
    except Refused as refused:
        return refused.reason


def test_a_state_has_one_nan() -> None:
    x, y = np.array([np.inf, -np.nan, np.nan]), np.array([np.inf, 0.0, 0.0])
    given = [{"predictions": x[order], "targets": y[order]} for order in ([0, 1, 2], [2, 1, 0])]
    asked = [{"loss": "squared_error", "inputs": inputs, "options": HELD} for inputs in given]
    first, second = (in_process(None, one).fields["state_hash"] for one in asked)
    assert first == second


@pytest.mark.parametrize(("shape", "axis"), AXES.values(), ids=AXES)
@every("merge", MERGES)
def test_a_state_is_finished_as_it_was_made(
    service: Service, merge: Merge, shape: tuple[int, ...], axis: int | list[int]
) -> None:
    x = np.linspace(0.0, 1.0, 12).reshape(shape)
    asked = {"loss": "log_cosh", "inputs": {"predictions": x, "targets": x * x}}
    reduction = {"name": "mean", "axis": axis}
    made = in_process(None, {**asked, "reduction": reduction, **AS_STATE})
    assert merge(service, [made.state], {"reduction": reduction}).bits == made.bits


@EVERY_LOSS
@every("ask", {**UNARY, "in a stream": over_stream(7)})
def test_an_extreme_is_where_it_says(service: Service, loss: str, ask: Ask) -> None:
    given = shuffled(columns(loss, "float64", ROWS), seed=2)
    losses = in_process(None, request_of(loss, unweighted(given), "none")).value
    reply = ask(service, request_of(loss, unweighted(given), "max"))
    assert isinstance(losses, np.ndarray)
    assert reply.fields["index"] == int(np.argmax(np.where(given["mask"], losses, -np.inf)))


@EVERY_LOSS
@pytest.mark.parametrize("q", [0.01, 0.5, 0.9], ids="q = {}".format)
@every("ask", {"in a stream": over_stream(97), "merged": None})
def test_a_quantile_from_a_histogram_is_as_near_as_it_says(
    service: Service, loss: str, q: float, ask: Ask | None
) -> None:
    request = request_of(loss, columns(loss, "float64", ROWS), {"name": "quantile", "q": q})
    exact = in_process(None, request)
    states = made(loss, "float64", 97)
    reply = (
        ask(service, request)
        if ask is not None
        else merged_over_rest(service, states, {"reduction": request["reduction"]})
    )
    assert reply.value == pytest.approx(exact.value, rel=reply.fields["relative_error"], abs=0.0)


def request_of(loss: str, given: Columns, reduction: Any, **options: Any) -> dict[str, Any]:
    """A request for one reduction of some rows."""
    by = isinstance(reduction, dict) and "by" in reduction
    return {
        "loss": loss,
        "params": LOSSES[loss][1],
        "reduction": reduction,
        "inputs": {name: x for name, x in given.items() if by or name != "country"},
        "options": options,
    }


def expected(loss: str, dtype: str, names: Iterable[str]) -> Mapping[str, object]:
    """What the whole gives in process, in the order in which it was drawn."""
    return {name: _expected(loss, dtype)[name] for name in names}


@lru_cache
def _expected(loss: str, dtype: str) -> Mapping[str, object]:
    given = columns(loss, dtype, ROWS)
    asked = {name: request_of(loss, given, x) for name, x in (REDUCTIONS | GROUPED).items()}
    found = {name: in_process(None, request).bits for name, request in asked.items()}
    state = in_process(None, request_of(loss, given, "sum", **HELD)).fields["state_hash"]
    return found | {"hash": state}


@lru_cache
def made(loss: str, dtype: str, rows: int) -> States:
    """States of batches of so many rows."""
    return _made(columns(loss, dtype, ROWS), rows, lambda x: request_of(loss, x, "sum", **HELD))


@lru_cache
def grouped(loss: str, dtype: str, rows: int) -> States:
    """The same, each with its groups."""
    by = {"name": "sum", "by": "country"}
    return _made(columns(loss, dtype, ROWS), rows, lambda x: request_of(loss, x, by, state=True))


def _made(
    given: Columns, rows: int, request: Callable[[Mapping[str, Array]], dict[str, Any]]
) -> States:
    asked = [request(batch) for batch in batches(given, rows)]
    for at, one in enumerate(asked):
        one["options"]["batch_id"] = f"batch {at}"
    return [in_process(None, one).state for one in asked]


def joined(merge: Merge, service: Service) -> Join:
    """A way of merging states to a state."""
    return lambda states: merge(service, states, AS_STATE).state


def mixed(states: States) -> States:
    """The states in another order."""
    return [states[at] for at in np.random.default_rng(3).permutation(len(states))]


def unweighted(given: Columns) -> Columns:
    """The rows without their weights."""
    return {name: x for name, x in given.items() if name != "sample_weight"}
