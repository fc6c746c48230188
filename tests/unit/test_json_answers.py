"""Answers as JSON: strict, whatever their numbers."""

import json
import math
from typing import Any

import numpy as np
import pytest

from lossmeter.app.answer import Answer
from lossmeter.core.arrays import Array
from lossmeter.wire import answers
from lossmeter.wire.answers import answer_body, answer_fields, as_lists

NAN, INF = math.nan, math.inf


def spelt(value: Any, kept: Any = None, masked: float | None = None) -> Any:
    """The value as a strict parser reads it; and as lists, which is the same."""

    def refused(token: str) -> None:
        raise AssertionError(token)

    answer = Answer(
        value=value,
        loss="huber",
        reduction="none",
        count=3,
        weight=3.0,
        backend="numpy",
        device="cpu",
        dtype="float64",
        kept=None if kept is None else np.array(kept),
        masked=masked,
    )
    found = json.loads(answer_body(answer), parse_constant=refused)["value"]
    listed = answer_fields(answer, as_lists)["value"]
    assert (listed.tolist() if isinstance(listed, np.ndarray) else listed) == found
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.25, 0.25),
        (NAN, "NaN"),
        ({"a": 1.5, "b": -INF}, {"a": 1.5, "b": "-Infinity"}),
        (np.array([1.5, 2.0]), [1.5, 2.0]),
        (np.array([[1.5, NAN], [INF, -INF]]), [[1.5, "NaN"], ["Infinity", "-Infinity"]]),
        (np.array([NAN]), ["NaN"]),
        (np.array([[[NAN]], [[0.5]]]), [[["NaN"]], [[0.5]]]),
        (np.array([0.1], np.float32), [0.10000000149011612]),
        (np.array([[1.0, NAN], [3.0, 4.0]]).T, [[1.0, 3.0], ["NaN", 4.0]]),
        (np.array(2.5), 2.5),
        (np.array(NAN), "NaN"),
        (np.zeros(0), []),
        (np.zeros((2, 0)), [[], []]),
        (np.zeros((0, 2)), []),
    ],
)
def test_values_are_strict_json(value: Any, expected: Any) -> None:
    assert spelt(value) == expected


def test_what_is_masked_is_null_and_what_is_not_has_its_name() -> None:
    x, kept = np.array([NAN, 1.0, NAN, INF, 2.0]), [False, True, True, True, False]
    assert spelt(x, kept) == [None, 1.0, "NaN", "Infinity", None]
    assert spelt(np.array([NAN, 1.0]), [False, True]) == [None, 1.0]
    assert spelt(np.array([NAN, 1.0]), [False, True], masked=NAN) == ["NaN", 1.0]
    assert spelt(np.array(NAN), False) is None
    assert np.isnan(x).sum() == 2  # the answer itself is as it was


@pytest.mark.parametrize("shape", [(1000,), (100, 10), (10, 100), (1, 1000), (10, 10, 10)])
def test_blocks_make_one_array(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "BLOCK", 64)
    draw = np.random.default_rng(7919)
    x: Array = draw.normal(size=shape)
    x[draw.random(shape) < 0.2] = NAN
    x[draw.random(shape) < 0.1] = INF
    found = np.array(spelt(x), dtype=object)
    assert found.shape == shape
    assert np.array_equal(found.astype(float), x, equal_nan=True)
