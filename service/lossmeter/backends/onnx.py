"""Kernels as ONNX graphs, run by ONNX Runtime on the CPU or a CUDA GPU."""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime as ort

from lossmeter.backends.machine import instruction_set
from lossmeter.backends.tracing import VALUES, RowSum, Signature, by_halves, by_product, trace
from lossmeter.core.arrays import Array
from lossmeter.core.program import Program
from lossmeter.errors import BackendUnsupported

MOST_SESSIONS = 256
FREE = "n"
# The axis of a loop: a graph is the same for any number of steps.
STEPS = "T"
SAME_AS_REQUESTED = 1


@dataclass(frozen=True, slots=True)
class Device:
    """What a device needs to be used well.

    Attributes:
        provider: What ONNX Runtime calls it, with its settings.
        row_sum: How a row is summed with the same bits wherever it lies.
        block: How many numbers it likes to be given at a time.
        ahead: How many blocks it computes while another is prepared or taken.
        runs: Rows of every run of a matrix product, whose algorithm may depend on their number;
            0 where it does not.
    """

    provider: tuple[str, Mapping[str, Any]]
    row_sum: RowSum
    block: int
    ahead: int = 0
    runs: int = 0


DEVICES = {
    "cpu": Device(("CPUExecutionProvider", {}), by_product, block=32_768),
    "cuda": Device(
        (
            "CUDAExecutionProvider",
            # Matrices of float32 are multiplied as such, not as TF32.
            {"arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"},
        ),
        by_halves,
        block=2**22,
        # One is copied to the device while another is computed.
        ahead=2,
        runs=4096,
    ),
}


class OnnxBackend:
    """Runs array programs as ONNX graphs.

    Args:
        device: ``cpu`` or ``cuda``.

    Raises:
        BackendUnsupported: The device is not here.
    """

    name = "onnx"
    # ONNX Runtime computes the last few numbers of an array one by one, with other bits than those
    # before them: a block is filled up to where no row is among the last few.
    multiple = 16

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self._on = DEVICES[device]
        self.block, self.ahead = self._on.block, self._on.ahead
        if device == "cuda":
            _require_cuda()
        libraries = f"onnx-{ort.__version__}/ndonnx-{version('ndonnx')}"
        self.profile = f"{libraries}/{instruction_set()}"
        self._sessions = Sessions(self._on, device)

    def run(
        self,
        program: Program,
        operands: Mapping[str, Array],
        extras: Mapping[str, Array],
        shared: frozenset[str],
    ) -> Array:
        """Loss values of one block of C-contiguous arrays."""
        session = self._sessions.of(program, *_signatures(program, operands, extras, shared))
        arrays = {**operands, **extras}
        if program.loss.output == "batch":
            return session.run(arrays)
        entries = next(x.shape[0] for name, x in operands.items() if name not in shared)
        product = self._on.runs if any(name in shared for name in operands) else 0
        step = product or max(1, -(-entries // self.multiple)) * self.multiple
        parts = [
            session.run(
                {
                    name: x if name in shared else _filled(x[start : start + step], step)
                    for name, x in arrays.items()
                }
            )
            for start in range(0, max(1, entries), step)
        ]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts))[:entries]


def _signatures(
    program: Program,
    operands: Mapping[str, Array],
    extras: Mapping[str, Array],
    shared: frozenset[str],
) -> tuple[Signature, Signature]:
    """What is the same of all blocks: dtypes, and sizes but for the entries and the steps."""
    cores = {spec.name: spec.kind.core for spec in program.loss.inputs}
    of_operands = {
        name: (x.dtype, x.shape if name in shared else (FREE, *_sizes(cores[name], x.shape[1:])))
        for name, x in operands.items()
    }
    of_extras = {
        name: (x.dtype, x.shape if name in shared else (FREE, *x.shape[1:]))
        for name, x in extras.items()
    }
    return of_operands, of_extras


def _sizes(core: tuple[str, ...], sizes: tuple[int, ...]) -> tuple[int | str, ...]:
    if STEPS not in core:
        return sizes
    return tuple(STEPS if axis == STEPS else size for axis, size in zip(core, sizes, strict=True))


def _filled(x: Array, rows: int) -> Array:
    """The array with its last row, or zeros, repeated up to a number of rows."""
    missing = rows - x.shape[0]
    if not missing:
        return x
    more = x[-1:] if x.shape[0] else np.zeros((1, *x.shape[1:]), x.dtype)
    return np.concatenate([x, np.broadcast_to(more, (missing, *x.shape[1:]))])


class Session:
    """A graph ready to run on a device.

    Raises:
        BackendUnsupported: The runtime would run it elsewhere.
    """

    def __init__(self, model: bytes, on: Device, device: str) -> None:
        self._session = ort.InferenceSession(model, _options(), [on.provider])
        if self._session.get_providers()[0] != on.provider[0]:
            raise BackendUnsupported(f"graphs do not run on {device} here", field="options.device")
        self._names = [given.name for given in self._session.get_inputs()]
        self._device = device

    def run(self, arrays: Mapping[str, Array]) -> Array:
        """The loss values of a block."""
        if self._device == "cpu":
            return self._session.run([VALUES], {name: arrays[name] for name in self._names})[0]
        return self.bound({name: arrays[name] for name in self._names})

    def bound(self, arrays: Mapping[str, Array]) -> Array:
        """The same by way of the device's own memory, which is copied to and from once."""
        binding = self._session.io_binding()
        for name, x in arrays.items():
            copied = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(x), self._device, 0)
            binding.bind_ortvalue_input(name, copied)
        binding.bind_output(VALUES, self._device, 0)
        self._session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()[0]


class Sessions:
    """Sessions by program and the shapes of its arrays, the least lately used dropped first."""

    def __init__(self, on: Device, device: str, most: int = MOST_SESSIONS) -> None:
        self._on, self._device, self._most = on, device, most
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
                model = trace(program, operands, extras, self._on.row_sum)
                entry.session = Session(model.SerializeToString(), self._on, self._device)
            return entry.session


@dataclass(slots=True)
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    session: Session | None = None


@cache
def _options() -> ort.SessionOptions:
    """How every session runs."""
    # One arena for all of them, that grows by what is asked for and no more.
    memory = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg(0, SAME_AS_REQUESTED, -1, -1))
    options = ort.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # One thread: work cut among threads is cut at other places for other sizes, and the bits with
    # it. Requests and workers are what runs side by side.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # The next level fuses a scale into a product that it then computes in float32.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Warnings tell of shapes that a graph leaves free.
    options.log_severity_level = 3
    return options


def _require_cuda() -> None:
    """Make sure that a graph would run on a GPU: the runtime falls back without a word.

    Raises:
        BackendUnsupported: It would not.
    """
    field_name = "options.device"
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise BackendUnsupported(
            "this installation has no CUDA: pip install 'lossmeter[gpu]'", field=field_name
        )
    ort.preload_dlls()
    try:
        ort.OrtValue.ortvalue_from_numpy(np.zeros(1), "cuda", 0)
    except Exception:
        raise BackendUnsupported("no CUDA GPU can be used here", field=field_name) from None
