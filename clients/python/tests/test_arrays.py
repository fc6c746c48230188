"""What may be an input, and what becomes of it."""

from typing import Any

import ml_dtypes
import numpy as np
import pyarrow as pa
import pytest

from lossmeter_client import InvalidRequest
from lossmeter_client.arrays import Arrays, array_of, arrays_of, from_bytes, to_bytes
from lossmeter_client.chunks import cut, may_be_cut
from lossmeter_client.documents import ArrowStream


class Dlpack:
    """A tensor of a framework that knows NumPy by DLPack alone."""

    def __init__(self, x: np.ndarray[Any, Any]) -> None:
        self._x = x

    def __dlpack__(self, **asked: Any) -> Any:
        return self._x.__dlpack__(**asked)

    def __dlpack_device__(self) -> Any:
        return self._x.__dlpack_device__()


@pytest.mark.parametrize(
    ("given", "name", "dtype"),
    [
        ([1, 2], "targets", "float64"),
        (3, "targets", "float64"),
        ([True, False], "mask", "bool"),
        ([1, 0], "mask", "int64"),
        ([3, 4], "country", "int64"),
        (["de", "fr"], "country", "str"),
        (np.asarray(["de", "fr"], object), "country", "str"),
        (np.asarray([1, 2], np.int32), "targets", "int32"),
        (np.asarray([1, 2], ml_dtypes.bfloat16), "targets", "bfloat16"),
        (np.asarray([1, 2], ">f4"), "targets", "float32"),
        (pa.array([1.0, 2.0]), "targets", "float64"),
        (Dlpack(np.ones(2, np.float32)), "targets", "float32"),
        ([np.float32(1), 2], "targets", "float64"),
    ],
)
def test_an_input_has_the_dtype_that_it_means(given: Any, name: str, dtype: str) -> None:
    (made,) = arrays_of({name: given}, ["country"]).values()
    assert (made.dtype.name if made.dtype.kind != "U" else "str") == dtype


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([[1, 2], [3]], "SHAPE_MISMATCH"),
        ([1, None], "DTYPE_UNSUPPORTED"),
        (np.asarray([1j]), "DTYPE_UNSUPPORTED"),
        (np.asarray(["2026-11-21"], "M8[D]"), "DTYPE_UNSUPPORTED"),
        ([b"de"], "DTYPE_UNSUPPORTED"),
        (np.ones(2, np.longdouble), "DTYPE_UNSUPPORTED"),
    ],
)
def test_what_no_wire_knows_is_refused_by_name(given: Any, reason: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        array_of(given, "targets")
    assert (raised.value.reason, raised.value.field) == (reason, "inputs.targets")


def test_a_masked_array_is_not_taken_for_its_data() -> None:
    with pytest.raises(TypeError, match="mask"):
        array_of(np.ma.masked_array([1.0, 2.0], [True, False]), "targets")


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "int8", "bool", "float16"])
def test_bytes_are_little_endian_and_row_major(dtype: str) -> None:
    x = np.asarray([[0, 1, 1], [1, 0, 1]], dtype).T
    assert (from_bytes(x.dtype.name, x.shape, to_bytes(x)) == x).all()


def test_pieces_are_views_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossmeter_client.chunks.CHUNK_BYTES", 100)
    x, one = np.arange(100.0).reshape(50, 2), np.asarray(2.0)
    pieces = list(cut({"x": x, "one": one}))
    assert len(pieces) == 9
    assert all(np.shares_memory(piece["x"], x) and piece["one"] is one for piece in pieces)
    assert (np.concatenate([piece["x"] for piece in pieces]) == x).all()


ROWS = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("settings", "arrays", "may"),
    [
        ({"loss": "huber"}, {"x": ROWS, "y": ROWS[:, 0]}, True),
        ({"loss": "huber", "reduction": "max"}, {"x": ROWS}, True),
        ({"loss": "huber", "reduction": "none"}, {"x": ROWS}, False),
        ({"loss": "huber", "reduction": {"name": "quantile", "q": 0.5}}, {"x": ROWS}, False),
        ({"losses": {"a": {"reduction": "median"}}}, {"x": ROWS}, False),
        ({"loss": "huber"}, {"x": ROWS, "w": np.asarray(1.0)}, False),
        ({"loss": "huber"}, {"x": ROWS, "w": np.zeros(2)}, False),
        ({"loss": "huber", "params": {"axis": 0}}, {"x": ROWS}, False),
        ({"loss": "huber", "params": {"weight": [1, 2, 3]}}, {"x": ROWS}, False),
        ({"loss": "huber", "params": {"weight": [1, 2]}}, {"x": ROWS}, True),
        ({"loss": "huber"}, {}, False),
    ],
)
def test_which_batches_may_be_cut(settings: Any, arrays: Any, may: bool) -> None:
    assert may_be_cut(settings, arrays) is may


@pytest.mark.parametrize(
    "batches",
    [
        [{"x": np.zeros(3), "y": np.zeros(2)}],
        [{"x": np.asarray(1.0)}],
        [{"x": np.zeros(3)}, {"x": np.zeros(3), "y": np.zeros(3)}],
        [{"x": np.zeros(3)}, {"x": np.zeros(3, np.float32)}],
    ],
)
def test_rows_that_no_arrow_stream_can_hold_are_refused(batches: list[Arrays]) -> None:
    stream = ArrowStream()
    with pytest.raises(InvalidRequest) as raised:
        for batch in batches:
            list(stream.of(batch))
    assert raised.value.reason == "SHAPE_MISMATCH"


def test_an_arrow_stream_holds_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossmeter_client.chunks.CHUNK_BYTES", 100)
    x = np.arange(240.0, dtype=np.float32).reshape(20, 3, 4)
    halves, country = x[:, 0, 0].astype(ml_dtypes.bfloat16), np.asarray(["de", "é"] * 10)
    stream = ArrowStream()
    parts = [*stream.of({"x": x, "halves": halves, "country": country}), stream.end()]
    table = pa.ipc.open_stream(b"".join(parts)).read_all().combine_chunks()
    assert len(parts) > 10
    assert np.asarray(table["x"].to_pylist(), np.float32).tobytes() == x.tobytes()
    assert (table["halves"].to_numpy() == halves.astype(np.float32)).all()
    assert table["country"].to_pylist() == country.tolist()
