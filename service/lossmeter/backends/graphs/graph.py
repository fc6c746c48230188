"""A graph as the kernel of a loss, run in a process of its own."""

import hashlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from lossmeter.backends.graphs.sandbox import DONE, Confined, Failed, Sandbox, told
from lossmeter.backends.machine import instruction_set
from lossmeter.backends.numpy import NumpyBackend
from lossmeter.backends.runtime import runtime_version
from lossmeter.core.arrays import Array
from lossmeter.core.declare import InputSpec, Loss
from lossmeter.core.domains import REAL, Domain, Input, Interval, shape_words
from lossmeter.errors import BackendUnsupported, Overloaded

NAME = "onnx"
BLOCK = 32_768
# Of a row, so that each begins at a boundary of 64 bytes whatever its length.
SPREAD = 16
# How long a block may take before those who wait for it are sent away, and how long they wait at
# least: for the one before them to say when it began.
WAIT_SECONDS = 2.0
LEAST_SECONDS = 0.1
# How a failure begins that a caller is told of.
OF_CALLERS = "the graph of this loss "
# Names of axes that mean something to the losses of the catalogue.
RESERVED = ("S", "T", "M", "inner", "...")
DOMAINS: Mapping[str, Domain] = {
    "float32": REAL,
    "float64": REAL,
    # The greatest float64 below 2^63: a whole-valued float must not wrap.
    "int64": Domain("int64", "whole numbers", Interval(-(2.0**63), 2.0**63 - 1024), whole=True),
    "int32": Domain(
        "int32", "whole numbers of 32 bits", Interval(-(2.0**31), 2.0**31 - 1), whole=True
    ),
    "bool": Domain("boolean", "true or false, or 1 or 0", members=(0.0, 1.0), whole=True),
}


@dataclass(frozen=True, slots=True)
class Port:
    """An input of a graph.

    Attributes:
        dtype: What it is given as.
        axes: Sizes of the axes after that of the samples, or their names; nothing for any size.
    """

    dtype: str
    axes: tuple[int | str | None, ...]


class Graph:
    """The kernel of a loss: takes its inputs, and gives what the graph gives.

    Args:
        content: The file.
        sandbox: Where it runs.

    Raises:
        Failed: It is refused.
    """

    def __init__(self, content: bytes, sandbox: Sandbox) -> None:
        found = sandbox.check(content)
        self.digest = hashlib.sha256(content).hexdigest()
        self.ports = {
            name: Port(dtype, tuple(axes)) for name, (dtype, axes) in found["inputs"].items()
        }
        self.dtype = np.dtype(found["output"])
        self.says = str(found["says"])
        self.size = len(content)
        self.spread = 1
        self.lock = threading.Lock()
        self.used_at = time.monotonic()
        self._content = content
        self._sandbox = sandbox
        self._process: Confined | None = None

    def __call__(self, _: object, /, **inputs: Array) -> Array:
        """Loss values.

        Args:
            inputs: The inputs, each of shape ``(n, *core)``.

        Raises:
            BackendUnsupported: The graph failed, or took more than it may.
            Overloaded: Others wait for it.
        """
        arrays = {
            name: np.ascontiguousarray(inputs[name], port.dtype)
            for name, port in self.ports.items()
        }
        rows = min(map(len, arrays.values()))
        widest = max(prod(x.shape[1:]) for x in arrays.values())
        step = max(1, BLOCK // max(1, widest))
        try:
            blocks = [
                self._block({name: x[start : start + step] for name, x in arrays.items()})
                for start in range(0, rows, step)
            ]
        except Failed as error:
            raise BackendUnsupported(f"{OF_CALLERS}{error}", field="loss") from None
        return np.concatenate(blocks) if blocks else np.zeros(0, self.dtype)

    def _block(self, arrays: Mapping[str, Array]) -> Array:
        # From the start of the block in progress: else those who ask for a graph that hangs would
        # take all threads, each for as long, of those who ask for another.
        wait = self.used_at + WAIT_SECONDS - time.monotonic()
        if not self.lock.acquire(timeout=max(wait, LEAST_SECONDS)):
            raise Overloaded("the graph of this loss is busy; try again", field="loss")
        self.used_at = time.monotonic()
        try:
            return self._run(self._ready(), arrays)
        except Failed:
            raise
        except BaseException:
            self.leave()  # a reply may be on its way, which the next request would take for its own
            raise
        finally:
            self.used_at = time.monotonic()
            self.lock.release()

    def _ready(self) -> Confined:
        if self._process is None or not self._process.alive:
            if not self._content:
                raise Failed("was replaced by another; send the request again")
            self.leave()
            self._process = self._sandbox.start(self, self._content)
        self._sandbox.use(self)
        return self._process

    def _run(self, process: Confined, arrays: Mapping[str, Array]) -> Array:
        rows = len(next(iter(arrays.values())))
        head = {
            "rows": rows,
            "spread": self.spread,
            "seconds": self._sandbox.limits.seconds,
            "inputs": {name: (x.dtype.name, x.shape) for name, x in arrays.items()},
        }
        process.send([*told(head), *(x.tobytes() for x in arrays.values())])
        said = bytes(process.receive(1))
        if said != DONE:
            raise self._sandbox.failed(said)
        return np.frombuffer(process.receive(rows * self.dtype.itemsize), self.dtype)

    def leave(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def forget(self) -> None:
        """End for good: another has taken the name, and nobody was in the middle of a batch."""
        with self.lock:
            self.leave()
            self._content = b""
            self._sandbox.release(self)


class GraphBackend(NumpyBackend):
    """Runs the graphs of losses, kernels that know themselves where they run."""

    name = NAME

    def __init__(self) -> None:
        super().__init__()
        self.profile = f"{NAME}-{runtime_version('loss')}/{instruction_set()}"


def loss_of(name: str, graph: Graph) -> Loss:
    """The loss of this name that a graph computes."""
    inputs = tuple(_input(name, port) for name, port in graph.ports.items())
    first, _, rest = graph.says.strip().partition("\n")
    return Loss(
        name=name,
        names=(),
        kind="graph",
        inputs=inputs,
        params=(),
        output="per_sample" if any(spec.kind.core for spec in inputs) else "elementwise",
        output_shape=shape_words(inputs[0].kind.lead),
        reduces_as=None,
        source=f"ONNX graph with the SHA-256 {graph.digest}",
        examples=(),
        summary=first or "A graph of one's own.",
        formula="",
        notes=rest.strip(),
        kernel=graph,
        backend=NAME,
        graph=graph.digest,
        dtype="float64" if _wide(graph) else "float32",
    )


def _wide(graph: Graph) -> bool:
    dtypes = [graph.dtype.name, *(port.dtype for port in graph.ports.values())]
    return "float64" in dtypes


def _input(name: str, port: Port) -> InputSpec:
    core = tuple(_axis(name, at, axis) for at, axis in enumerate(port.axes, start=1))
    return InputSpec(name, Input(DOMAINS[port.dtype], core), f"Given to the graph as {port.dtype}.")


def _axis(name: str, at: int, axis: int | str | None) -> str:
    """The name by which axes of one size are known; of a number, that number."""
    if axis is None:
        return f"{name}_{at}"
    if isinstance(axis, str) and (axis in RESERVED or axis.isdecimal()):
        return f"{axis}_"
    return str(axis)
