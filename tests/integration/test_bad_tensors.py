"""Bodies of tensors that are wrong, hostile or cut off: each is refused, and leaves nothing."""

import io
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from tests.integration.bodies import (
    ARROW,
    CSV,
    FOLDS,
    NPZ,
    PARQUET,
    SAFETENSORS,
    WIRES,
    arrow,
    npz,
    parquet,
)
from tests.integration.servers import HOST, Service, serving, until

EVALUATE = "/v1/evaluate"
MIB = 2**20
LIMIT = 32 * MIB
# A bomb is refused in the memory that its limit allows, with room for what threads touch.
ROOM = 3 * LIMIT
ZEROS = b"\0" * (64 * MIB)
X, Y = np.array([1.5, 5.0]), np.array([1.0, 2.0])
GOOD = {"predictions": X, "targets": Y}
QUERY = "loss=huber"
# Those of a pool that grows as it is asked for.
MORE_THREADS = 8


def refused(response: httpx.Response) -> tuple[int, str]:
    told = response.json()
    return response.status_code, told["reason"]


def ask(service: Service, content: bytes, media: str, query: str = QUERY, **headers: str) -> Any:
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    given["content-type"] = media
    return service.http.post(f"{EVALUATE}?{query}", content=content, headers=given)


def zipped(name: str, data: bytes, **changes: int) -> bytes:
    """A zip archive of one member, whose directory says what it is told to."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
        for field, value in changes.items():
            setattr(archive.infolist()[0], field, value)
    return sink.getvalue()


def npy(shape: str, dtype: str = "<f8", data: bytes = b"") -> bytes:
    """An npy that says what it is told to."""
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data


def archived(**members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return sink.getvalue()


def header(told: Mapping[str, Any], data: bytes = b"") -> bytes:
    """A safetensors with a header that says what it is told to."""
    text = orjson.dumps(told)
    return len(text).to_bytes(8, "little") + text + data


def tensor(start: int, end: int, dtype: str = "F64", shape: Any = (1,)) -> Mapping[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def foreign(given: bytes, old: bytes, new: bytes) -> bytes:
    assert old in given
    return given.replace(old, new)


def of_batch(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def with_buffers(array: pa.Array) -> pa.RecordBatch:
    return pa.record_batch({"predictions": array, "targets": pa.array([1.0, 2.0])})


OUTSIDE = pa.ListArray.from_buffers(
    pa.list_(pa.float64()),
    2,
    [None, pa.py_buffer(np.array([0, 2**20, 2], np.int32))],
    children=[pa.array([1.0, 2.0])],
)
NOWHERE = pa.DictionaryArray.from_arrays(
    pa.array([0, 2**20], pa.int32()), pa.array([1.0, 2.0]), safe=False
)
LISTS = pa.DictionaryArray.from_arrays(
    pa.array([0, 0]), pa.array([[1.0] * 1000], pa.list_(pa.float64()))
)
MALFORMED, DTYPE, SHAPE = "MALFORMED_REQUEST", "DTYPE_UNSUPPORTED", "SHAPE_MISMATCH"
BAD: Mapping[str, tuple[bytes, str, str]] = {
    **{f"nothing as {name}": (b"", wire.media, MALFORMED) for name, wire in WIRES.items()},
    **{
        f"JSON as {name}": (b'{"loss": "huber"}', wire.media, MALFORMED)
        for name, wire in WIRES.items()
        if wire.media != CSV
    },
    "bytes after Arrow": (arrow(GOOD) + b"x", ARROW, MALFORMED),
    "lists outside their data": (of_batch(with_buffers(OUTSIDE)), ARROW, MALFORMED),
    "words outside their dictionary": (of_batch(with_buffers(NOWHERE)), ARROW, MALFORMED),
    "a dictionary of lists": (of_batch(with_buffers(LISTS)), ARROW, DTYPE),
    "an npy of a negative shape": (archived(predictions=npy("(-1,)")), NPZ, SHAPE),
    "an npy of a shape beyond memory": (
        archived(predictions=npy("(4611686018427387904, 8)")),
        NPZ,
        SHAPE,
    ),
    "an npy of fewer numbers": (archived(predictions=npy("(3,)", data=b"\0" * 16)), NPZ, SHAPE),
    "an npy of half a number": (archived(predictions=npy("(3,)", data=b"\0" * 9)), NPZ, MALFORMED),
    "an npy of times": (archived(predictions=npy("(1,)", "<M8[s]", b"\0" * 8)), NPZ, DTYPE),
    "an npy of records": (
        archived(predictions=npy("(1,)").replace(b"'<f8'", b"[('a', '<f8')]")),
        NPZ,
        MALFORMED,
    ),
    "an npy of a wrong size": (zipped("predictions.npy", npy("()"), file_size=9), NPZ, MALFORMED),
    "an encrypted npz": (zipped("predictions.npy", npy("()"), flag_bits=1), NPZ, MALFORMED),
    "a damaged npz": (foreign(npz(GOOD), X.tobytes(), Y.tobytes()), NPZ, MALFORMED),
    "a header of no object": (header([1]), SAFETENSORS, MALFORMED),  # type: ignore[arg-type]
    "tensors that share bytes": (
        header({"predictions": tensor(0, 8), "targets": tensor(0, 8)}, b"\0" * 8),
        SAFETENSORS,
        MALFORMED,
    ),
    "a tensor beyond the end": (header({"predictions": tensor(0, 8)}), SAFETENSORS, MALFORMED),
    "a tensor of no place": (header({"predictions": {}}), SAFETENSORS, MALFORMED),
    "a tensor of no dtype": (
        header({"predictions": tensor(0, 8, "F8_E4M3")}, b"\0" * 8),
        SAFETENSORS,
        DTYPE,
    ),
    "a tensor of another shape": (
        header({"predictions": tensor(0, 8, shape=(2,)), "targets": tensor(8, 16)}, b"\0" * 16),
        SAFETENSORS,
        SHAPE,
    ),
    "text of too many fields": (b"predictions,targets\n1,2,3\n", CSV, MALFORMED),
    "text that ends in words": (
        b"predictions,targets\n" + b"1,2\n" * 300_000 + b"hunter2,2\n",
        CSV,
        MALFORMED,
    ),
}


@pytest.mark.parametrize(("content", "media", "reason"), BAD.values(), ids=BAD)
def test_a_body_that_is_wrong(service: Service, content: bytes, media: str, reason: str) -> None:
    assert refused(ask(service, content, media)) == (400, reason)


QUERIES: Mapping[str, tuple[str, str, str]] = {
    "no loss": ("", MALFORMED, "loss"),
    "two losses": ("loss=huber&expression=x", MALFORMED, "loss"),
    "a field twice": ("loss=huber&loss=huber", MALFORMED, "loss"),
    "no pairs": ("huber", MALFORMED, ""),
    "parameters that are no JSON": ("loss=huber&params=delta", MALFORMED, "params"),
    "parameters that are no object": ("loss=huber&params=1", MALFORMED, "params"),
    "a field that nothing has": ("loss=huber&delta=1", "UNKNOWN_FIELD", "delta"),
    "an input that the loss lacks": ("loss=huber&anchor=a", "UNKNOWN_FIELD", "anchor"),
    "an input of no column": ("loss=huber&mask=", MALFORMED, "mask"),
    "a column that is not there": ("loss=huber&mask=sure", "MISSING_INPUT", "sure"),
    "groups that are not there": (
        'loss=huber&reduction={"name":"mean","by":"town"}',
        "MISSING_INPUT",
        "inputs.town",
    ),
    "a loss that is not there": ("loss=hubber", "LOSS_NOT_FOUND", "loss"),
    "a reduction that is not there": ("loss=huber&reduction=meen", "UNKNOWN_REDUCTION", ""),
    "a parameter that is not there": ('loss=huber&params={"beta":1}', "PARAMETER_INVALID", ""),
}


@pytest.mark.parametrize("form", [arrow, parquet, npz])
@pytest.mark.parametrize(("query", "reason", "field"), QUERIES.values(), ids=QUERIES)
def test_a_query_that_is_wrong(
    service: Service, form: Callable[..., bytes], query: str, reason: str, field: str
) -> None:
    media = {arrow: ARROW, parquet: PARQUET, npz: NPZ}[form]
    told = ask(service, form(GOOD), media, query).json()
    assert told["reason"] == reason
    assert told.get("field", "") == field or not field


@pytest.mark.parametrize("form", [arrow, parquet, npz])
def test_a_column_that_the_loss_needs(service: Service, form: Callable[..., bytes]) -> None:
    media = {arrow: ARROW, parquet: PARQUET, npz: NPZ}[form]
    told = ask(service, form({"predictions": X}), media).json()
    assert (told["reason"], told["field"]) == ("MISSING_INPUT", "inputs.targets")


@pytest.mark.parametrize("media", [ARROW, PARQUET, "application/json"])
@pytest.mark.parametrize(("encoding", "fold"), FOLDS.items(), ids=FOLDS)
def test_an_encoding_that_is_broken(
    service: Service, encoding: str, fold: Callable[[bytes], bytes], media: str
) -> None:
    body = {ARROW: arrow(GOOD), PARQUET: parquet(GOOD)}.get(media, b'{"loss": "huber"}')
    whole = fold(body)
    for content in (whole[:-1], whole[: len(whole) // 2], whole + b"x", b"x" + whole):
        found = refused(ask(service, content, media, content_encoding=encoding))
        assert found == (400, MALFORMED)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that unfolds little, and waits briefly."""
    log = tmp_path_factory.mktemp("small") / "log"
    with serving(log, max_unfolded_bytes=LIMIT, stream_idle_seconds=1) as started:
        ask(started, arrow(GOOD), ARROW)
        ask(started, parquet(GOOD), PARQUET)
        yield started


def peak(service: Service) -> int:
    """The most memory that the server had since the last reset."""
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def reset_peak(service: Service) -> int:
    Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")
    return peak(service)


def bomb_of_parquet(**options: Any) -> bytes:
    return parquet(
        {"predictions": np.zeros(8 * MIB), "targets": np.zeros(8 * MIB)}, 2**30, **options
    )


def column_of_runs() -> bytes:
    """Many rows of few bytes: the number of a dictionary's one word, again and again."""
    sink = pa.BufferOutputStream()
    given = pa.table({"predictions": np.zeros(16 * MIB), "targets": np.zeros(16 * MIB)})
    pyarrow.parquet.write_table(given, sink, compression="none", data_page_size=2**30)
    return bytes(sink.getvalue())


def folded(fold: Callable[[bytes], bytes]) -> bytes:
    return fold(arrow(WIDE, 2**20))


WIDE = {"predictions": np.zeros(8 * MIB), "targets": np.zeros(8 * MIB)}
BOMBS: Mapping[str, tuple[Callable[[], bytes], str, str]] = {
    **{
        f"{encoding} of {media}": (partial(fold, ZEROS), media, encoding)
        for encoding, fold in FOLDS.items()
        for media in (PARQUET, "application/json")
    },
    **{
        f"{encoding} of Arrow": (partial(folded, fold), ARROW, encoding)
        for encoding, fold in FOLDS.items()
    },
    "Arrow of zstd": (lambda: arrow(WIDE, 2**30, "zstd"), ARROW, ""),
    "Arrow of lz4 in small batches": (lambda: arrow(WIDE, 2**16, "lz4"), ARROW, ""),
    "Parquet of zstd": (
        lambda: bomb_of_parquet(compression="zstd", use_dictionary=False),
        PARQUET,
        "",
    ),
    "Parquet of gzip": (
        lambda: bomb_of_parquet(compression="gzip", use_dictionary=False),
        PARQUET,
        "",
    ),
    "Parquet of runs": (column_of_runs, PARQUET, ""),
    "npz": (
        lambda: zipped("predictions.npy", npy(f"({8 * MIB},)", data=ZEROS)),
        NPZ,
        "",
    ),
    "npz with much of a directory": (
        lambda: archived(**{f"{n}": b"" for n in range(30_000)}),
        NPZ,
        "",
    ),
}


@pytest.mark.parametrize(("made", "media", "encoding"), BOMBS.values(), ids=BOMBS)
def test_a_bomb(small: Service, made: Callable[[], bytes], media: str, encoding: str) -> None:
    content, before = made(), reset_peak(small)
    headers = {"content_encoding": encoding} if encoding else {}
    response = ask(small, content, media, **headers)
    assert refused(response) == (413, "TOO_LARGE")
    assert response.json()["actual"] > response.json()["limit"]
    assert peak(small) - before < ROOM


def test_long_words_that_are_held_together(small: Service) -> None:
    words = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(2**17, np.int8)), pa.array(["a" * 1024, "b"])
    )
    rows = pa.table({"predictions": np.zeros(2**17), "targets": np.zeros(2**17), "g": words})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows, 2**12)
    content, before = bytes(sink.getvalue()), reset_peak(small)
    by = f'{QUERY}&reduction={{"name":"%s","by":"g"}}'
    assert refused(ask(small, content, ARROW, by % "median")) == (413, "TOO_LARGE")
    assert ask(small, content, ARROW, by % "mean").json()["count"] == 2**17
    assert peak(small) - before < ROOM + 512 * MIB


@pytest.mark.parametrize("told", [2**40, 2**62], ids="{} bytes".format)
def test_an_archive_that_says_less_than_it_holds(small: Service, told: int) -> None:
    content, before = zipped("predictions.npy", ZEROS, file_size=100), reset_peak(small)
    assert refused(ask(small, content, NPZ)) == (400, MALFORMED)
    content = header({"predictions": tensor(0, told, shape=(told // 8,))})
    assert refused(ask(small, content, SAFETENSORS)) == (400, MALFORMED)
    assert peak(small) - before < ROOM


def test_a_message_that_claims_much(small: Service) -> None:
    for claim in (MIB, 2**31 - 1, -5):
        content, before = struct.pack("<Ii", 0xFFFFFFFF, claim) + b"\0" * 64, reset_peak(small)
        status, _ = refused(ask(small, content, ARROW))
        assert status in (400, 413)
        assert peak(small) - before < ROOM


def opened(service: Service, media: str, length: int, path: str = EVALUATE) -> socket.socket:
    """A connection on which a body has been announced."""
    made = socket.create_connection((HOST, service.http_port), timeout=20)
    lines = (
        f"POST {path}?{QUERY} HTTP/1.1",
        "host: service",
        f"content-type: {media}",
        f"content-length: {length}",
    )
    made.sendall("\r\n".join((*lines, "", "")).encode())
    return made


def threads_at_work(service: Service) -> int:
    """How many threads the server has."""
    return len(list(Path(f"/proc/{service.process.pid}/task").iterdir()))


BATCHES = {
    name: np.arange(40_000, dtype=np.float64) for name in ("predictions", "targets", "mask")
} | {"mask": np.ones(40_000, bool)}


def cuts(content: bytes) -> list[int]:
    """Places where a body is cut: around each message, and between."""
    found = {0, 1, 7, 8, 9, len(content) - 1, len(content) - 8, len(content) // 2}
    at = content.find(b"\xff\xff\xff\xff")
    while at >= 0:
        found |= {at, at + 4, at + 8, at + 64}
        at = content.find(b"\xff\xff\xff\xff", at + 1)
    return sorted(cut for cut in found if 0 <= cut < len(content))


@pytest.mark.parametrize("media", [ARROW, CSV, PARQUET, "application/json"])
def test_a_connection_that_is_cut_leaves_nothing(service: Service, media: str) -> None:
    rows = "predictions,targets\n" + "1.5,1\n" * 100_000
    content = {ARROW: arrow(BATCHES, 8000), CSV: rows.encode()}.get(media, parquet(BATCHES))
    faults = service.faults()
    for cut in cuts(content):
        with opened(service, media, len(content)) as caller:
            caller.sendall(content[:cut])
    settled = threads_at_work(service)
    for cut in cuts(content):
        with opened(service, media, len(content)) as caller:
            caller.sendall(content[:cut])
    assert ask(service, arrow(GOOD), ARROW).json()["value"] == 1.3125
    assert until(lambda: threads_at_work(service) <= settled + MORE_THREADS)
    assert service.faults() == faults


def test_many_cut_streams_leave_their_threads_free(service: Service) -> None:
    content = arrow(BATCHES, 8000)
    for _ in range(80):  # more than there are threads for streams
        with opened(service, ARROW, len(content)) as caller:
            caller.sendall(content[:-100])
    assert until(lambda: ask(service, content, ARROW).status_code == httpx.codes.OK)


def test_slow_uploads_keep_nobody_waiting(service: Service) -> None:
    content = arrow(BATCHES, 8000)
    slow = [opened(service, ARROW, len(content)) for _ in range(40)]
    try:
        for caller in slow:
            caller.sendall(content[:2000])
        asked = {
            "loss": "huber",
            "inputs": {"predictions": [1.5] * 20_000, "targets": [1] * 20_000},
        }
        start = time.monotonic()
        assert service.http.post(EVALUATE, json=asked).status_code == httpx.codes.OK
        assert ask(service, parquet(GOOD), PARQUET).status_code == httpx.codes.OK
        assert time.monotonic() - start < 10
    finally:
        for caller in slow:
            caller.close()
    assert ask(service, arrow(GOOD), ARROW).json()["value"] == 1.3125


@pytest.mark.parametrize("media", [ARROW, PARQUET, "application/json"])
def test_a_body_that_brings_nothing(small: Service, media: str) -> None:
    content = arrow(BATCHES, 8000)
    with opened(small, media, len(content)) as caller:
        caller.sendall(content[:2000])
        told = caller.recv(65536) + caller.recv(65536)
    assert told.startswith(b"HTTP/1.1 504 ")
    assert b"DEADLINE_EXCEEDED" in told


def test_the_first_mistake_ends_it(service: Service) -> None:
    wrong = {"predictions": np.zeros(4 * MIB), "targets": np.full(4 * MIB, -1.0)}
    response = ask(service, arrow(wrong, 2**16), ARROW, "loss=poisson_deviance")
    assert refused(response) == (400, "OUT_OF_DOMAIN")


def test_a_stream_while_others_are_asked(service: Service) -> None:
    wide = {"predictions": np.ones(MIB), "targets": np.zeros(MIB)}
    content, found = arrow(wide, 2**16), []

    def post() -> None:
        found.append(
            httpx.post(
                f"http://{HOST}:{service.http_port}{EVALUATE}?loss=absolute_error",
                content=content,
                headers={"content-type": ARROW},
                timeout=60,
            ).json()["value"]
        )

    callers = [threading.Thread(target=post) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [1.0] * 6
