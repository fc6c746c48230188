"""The process that runs one graph, and knows nothing but NumPy and ONNX Runtime.

It is started by its path, not as a module of the package, and its limits are set from outside
before it sees a byte of the graph. Requests are a length and JSON, then the bytes that they tell
of; a reply is one byte and, if that says so, as many loss values as rows were sent. Why a graph
cannot be loaded is told in words; why it cannot be run is not, for those may hold a caller's data.
"""

import json
import resource
import socket
import time
from collections.abc import Mapping
from io import BufferedRWPair
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

DONE, FAILED, MEMORY, MISSHAPEN = b"+", b"-", b"m", b"s"
# The bits of a row must not depend on its place: vectors of a row begin at the same boundary, and
# no row is in a rest that is computed otherwise.
BOUNDARY = 64
ROWS = 16
MOST_WORDS = 255
# It takes a Not before a Where away though another node reads it (ONNX Runtime 1.31).
UNSOUND = ["NotWhereFusion"]


def main() -> None:
    """Load the graph that comes first, then run it on whatever follows, until nothing does."""
    with socket.socket(fileno=0) as end, end.makefile("rwb") as wire:
        _say(wire, DONE)
        head = _head(wire)
        _begin(head["seconds"])
        try:
            session = _session(wire.read(head["bytes"]))
        except Exception as error:
            words = str(error).encode()[:MOST_WORDS]
            _say(wire, _kind(error), bytes([len(words)]), words)
            return
        _say(wire, DONE)
        while True:
            head = _head(wire)
            arrays = {name: _read(wire, *told) for name, told in head["inputs"].items()}
            _begin(head["seconds"])
            _say(wire, *_answer(session, head, arrays))


def _session(graph: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # The next level fuses a scale into a product that it then computes in float32.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    return ort.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=UNSOUND
    )


def _answer(
    session: ort.InferenceSession, head: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> tuple[bytes, ...]:
    """What became of a run, and the loss values."""
    rows, spread = head["rows"], head["spread"]
    try:
        placed = {name: _placed(x, spread) for name, x in arrays.items()}
        values, *kept = session.run(None, placed)
        shape = (len(next(iter(placed.values()))),)
        if any(given.shape != shape for given in (values, *kept)):
            return (MISSHAPEN,)
        if kept:
            # An exported graph may hold 0 where it leaves an entry out, which no mean may count.
            values = np.where(kept[0], values, values.dtype.type(np.nan))
        return DONE, np.ascontiguousarray(values[: rows * spread : spread]).tobytes()
    except Exception as error:
        return (_kind(error),)


def _placed(x: NDArray[Any], spread: int) -> NDArray[Any]:
    """Rows where their bits do not depend on the others: repeated, and the last again at the end.

    Args:
        x: An input, its rows along axis 0.
        spread: How often a row stands there, so that the next begins at a boundary.
    """
    rows = len(x) * spread
    shape = (-(-rows // ROWS) * ROWS, *x.shape[1:])
    raw = np.empty(int(np.prod(shape)) * x.itemsize + BOUNDARY, dtype=np.uint8)
    start = -raw.ctypes.data % BOUNDARY
    placed = raw[start : start + raw.size - BOUNDARY].view(x.dtype).reshape(shape)
    placed[:rows].reshape(len(x), spread, *x.shape[1:])[...] = x[:, None]
    placed[rows:] = x[-1]
    return placed


def _kind(error: Exception) -> bytes:
    return MEMORY if isinstance(error, MemoryError) or "alloc" in str(error) else FAILED


def _begin(seconds: float) -> None:
    """If the service is gone, nobody stops a graph that hangs, but the kernel then does."""
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 2, most))


def _head(wire: BufferedRWPair) -> Mapping[str, Any]:
    size = wire.read(4)
    if not size:
        raise SystemExit  # the service has ended, or has no more use for this graph
    told: Mapping[str, Any] = json.loads(wire.read(int.from_bytes(size, "little")))
    return told


def _read(wire: BufferedRWPair, dtype: str, shape: list[int]) -> NDArray[Any]:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(wire.read(size), dtype).reshape(shape)


def _say(wire: BufferedRWPair, *parts: bytes) -> None:
    for part in parts:
        wire.write(part)
    wire.flush()


if __name__ == "__main__":
    main()
