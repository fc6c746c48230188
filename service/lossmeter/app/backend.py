"""What the engine asks of a backend, and the backends there are."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Protocol

from lossmeter.backends.numpy import NumpyBackend
from lossmeter.backends.runtime import runtime_version
from lossmeter.core.arrays import Array
from lossmeter.core.program import Program
from lossmeter.errors import BackendUnsupported


class Backend(Protocol):
    """What runs an array program.

    Attributes:
        name: What a request calls it.
        device: Where it computes: ``cpu`` or ``cuda``.
        profile: The library with its version, and what else its bits depend on.
        block: How many numbers it likes to be given at a time.
        multiple: Of how many entries a block is best a multiple.
        ahead: How many blocks it computes while another is prepared or taken.
    """

    name: str
    device: str
    profile: str
    block: int
    multiple: int
    ahead: int

    def run(
        self,
        program: Program,
        operands: Mapping[str, Array],
        extras: Mapping[str, Array],
        shared: frozenset[str],
    ) -> Array:
        """Loss values of one block.

        Args:
            program: What to compute.
            operands: The inputs of the loss, each of shape ``(n, *core)``.
            extras: Parameters and factors that are arrays.
            shared: Names of those of both that all entries share, whose axis 0 is not ``n``.

        Raises:
            BackendUnsupported: This backend cannot run the program.
        """


class Backends:
    """The backends there are, each made when it is first asked for.

    Args:
        name: What computes where a request does not say.
        device: Where, likewise: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one.

    Attributes:
        name: What computes where a request does not say.
    """

    def __init__(self, name: str = "numpy", device: str = "cpu") -> None:
        self.name = name
        self._device = device
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], Backend] = {}
        self._graphs: Backend | None = None

    def of(self, name: str | None, device: str | None, needed: str = "") -> Backend:
        """The backend that a request asks for.

        Args:
            name: What computes; None for what the service prefers.
            device: Where, likewise.
            needed: The backend that alone can run the loss, which is then a graph.

        Raises:
            BackendUnsupported: It is not here, or cannot run the loss.
        """
        if needed:
            return self._of_graphs(name or needed, device or "cpu", needed)
        name = name or self.name
        if name not in MAKERS:
            raise BackendUnsupported(
                f"this service has the backends {', '.join(MAKERS)}", field="options.backend"
            )
        devices = list(MAKERS[name])
        asked = device or self._device
        # Another backend than the service's own may lack the service's device.
        if device is None and name != self.name and asked not in devices:
            asked = "auto"
        if asked == "auto":
            return self._first(name, devices)
        if asked not in devices:
            raise BackendUnsupported(
                f"the {name} backend runs on {' or '.join(devices)}", field="options.device"
            )
        return self._of(name, asked)

    def _of_graphs(self, name: str, device: str, needed: str) -> Backend:
        if name != needed:
            raise BackendUnsupported(
                f"this loss is a graph, which runs on the {needed} backend", field="options.backend"
            )
        if device not in ("cpu", "auto"):
            raise BackendUnsupported("a graph of one's own runs on cpu", field="options.device")
        with self._lock:
            self._graphs = self._graphs or _graphs()
            return self._graphs

    def _first(self, name: str, devices: list[str]) -> Backend:
        """The backend on the first device that is here, GPUs before the CPU."""
        for device in devices[:-1]:
            with suppress(BackendUnsupported):
                return self._of(name, device)
        return self._of(name, devices[-1])

    def _of(self, name: str, device: str) -> Backend:
        with self._lock:
            if (name, device) not in self._made:
                self._made[name, device] = MAKERS[name][device]()
            return self._made[name, device]


def _onnx(device: str) -> Callable[[], Backend]:
    def make() -> Backend:
        runtime_version("options.backend")
        from lossmeter.backends.onnx import OnnxBackend  # noqa: PLC0415 slow, and optional

        return OnnxBackend(device)

    return make


def _graphs() -> Backend:
    from lossmeter.backends.graphs.graph import GraphBackend  # noqa: PLC0415 needed by few

    return GraphBackend()


# By name and device, the devices that are rather taken first.
MAKERS: Mapping[str, Mapping[str, Callable[[], Backend]]] = MappingProxyType(
    {
        "numpy": {"cpu": NumpyBackend},
        "onnx": {"cuda": _onnx("cuda"), "cpu": _onnx("cpu")},
    }
)
