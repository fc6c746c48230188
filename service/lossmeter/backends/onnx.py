"""Kernels as ONNX graphs, run by ONNX Runtime."""

import os
import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np

from lossmeter.backends.machine import instruction_set
from lossmeter.core.arrays import Array
from lossmeter.core.program import Program

# Set before the first import of onnxruntime, which reads it then.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from lossmeter.backends.tracing import VALUES, Signature, trace

MOST_SESSIONS = 256
# ONNX Runtime computes the last few numbers of an array one by one, with other bits than those
# before them: a block is filled up to where no number is among the last few.
MULTIPLE = 16
FREE = "n"


class Session:
    """A graph ready to run."""

    def __init__(self, model: bytes) -> None:
        self._session = ort.InferenceSession(model, _options(), ["CPUExecutionProvider"])
        self._names = [given.name for given in self._session.get_inputs()]

    def run(self, arrays: Mapping[str, Array]) -> Array:
        """The loss values of a block."""
        return self._session.run([VALUES], {name: arrays[name] for name in self._names})[0]


class OnnxBackend:
    """Runs array programs as ONNX graphs on the CPU."""

    name = "onnx"
    device = "cpu"
    block = 32_768
    multiple = MULTIPLE

    def __init__(self) -> None:
        libraries = f"onnx-{ort.__version__}/ndonnx-{version('ndonnx')}"
        self.profile = f"{libraries}/{instruction_set()}"
        self._sessions = Sessions(MOST_SESSIONS)

    def run(
        self,
        program: Program,
        operands: Mapping[str, Array],
        extras: Mapping[str, Array],
        shared: frozenset[str],
    ) -> Array:
        """Loss values of one block of C-contiguous arrays."""
        signatures = [_signature(arrays, shared) for arrays in (operands, extras)]
        session = self._sessions.of(program, *signatures)
        arrays = {**operands, **extras}
        if program.loss.output == "batch":
            return session.run(arrays)
        entries = next(x.shape[0] for name, x in operands.items() if name not in shared)
        rows = max(1, -(-entries // MULTIPLE)) * MULTIPLE
        filled = {k: x if k in shared else _filled(x, rows) for k, x in arrays.items()}
        return session.run(filled)[:entries]


def _signature(arrays: Mapping[str, Array], shared: frozenset[str]) -> Signature:
    return {
        name: (x.dtype, x.shape if name in shared else (FREE, *x.shape[1:]))
        for name, x in arrays.items()
    }


def _filled(x: Array, rows: int) -> Array:
    """The array with its last row, or zeros, repeated up to a number of rows."""
    missing = rows - x.shape[0]
    if not missing:
        return x
    more = x[-1:] if x.shape[0] else np.zeros((1, *x.shape[1:]), x.dtype)
    return np.concatenate([x, np.broadcast_to(more, (missing, *x.shape[1:]))])


class Sessions:
    """Sessions by program and the shapes of its arrays, the least lately used dropped first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._made: OrderedDict[Hashable, _Entry] = OrderedDict()

    def of(self, program: Program, operands: Signature, extras: Signature) -> Session:
        """The session of a program, made by the first who asks while others of it wait."""
        key = (program.key, tuple(operands.items()), tuple(extras.items()))
        with self._lock:
            entry = self._made.setdefault(key, _Entry())
            self._made.move_to_end(key)
            while len(self._made) > self._most:
                self._made.popitem(last=False)
        with entry.lock:
            if entry.session is None:
                entry.session = Session(trace(program, operands, extras).SerializeToString())
            return entry.session


@dataclass(slots=True)
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    session: Session | None = None


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    # One thread: work cut among threads is cut at other places for other sizes, and the bits with
    # it. Requests and workers are what runs side by side.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # The next level fuses a scale into a product that it then computes in float32.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return options
