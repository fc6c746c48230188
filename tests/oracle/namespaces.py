"""What a kernel is run on: array namespaces, each fenced in, and ONNX Runtime."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import NamedTuple, Protocol, cast

import array_api_strict
import numpy as np

from lossmeter.backends.onnx import OnnxBackend
from lossmeter.core.arrays import PRIMITIVES, Array, Namespace
from lossmeter.core.declare import Loss
from lossmeter.core.program import Program
from tests.oracle.cases import DType, Params

ONNX = OnnxBackend()


class Fence:
    """A namespace that has the primitives and nothing else."""

    def __init__(self, xp: object) -> None:
        self._xp = xp

    def __getattr__(self, name: str) -> Callable[..., Array]:
        if name not in PRIMITIVES:
            raise AttributeError(f"{name} is not a primitive")
        return cast(Callable[..., Array], getattr(self._xp, name))


class Backend(Protocol):
    """What runs kernels in one dtype."""

    @property
    def dtype(self) -> DType: ...

    def array(self, x: object, *, index: bool = False) -> Array:
        """An array of this dtype, or of class indices."""

    def values(
        self, loss: Loss, arrays: Mapping[str, Array], params: Params, lists: Mapping[str, Array]
    ) -> Array:
        """Loss values of whole arrays; the parameters that are lists are arrays too."""


class Library(NamedTuple):
    """A library's arrays of one dtype."""

    library: ModuleType
    dtype: DType

    @property
    def xp(self) -> Namespace:
        return cast(Namespace, Fence(self.library))

    def array(self, x: object, *, index: bool = False) -> Array:
        return self.library.asarray(np.asarray(x, np.int64 if index else self.dtype))

    def values(
        self, loss: Loss, arrays: Mapping[str, Array], params: Params, lists: Mapping[str, Array]
    ) -> Array:
        return np.asarray(loss.kernel(self.xp, **arrays, **{**params, **lists}))


class Graph(NamedTuple):
    """The kernel traced, in one dtype; the arrays have an axis of entries first."""

    dtype: DType
    backend: OnnxBackend = ONNX

    def array(self, x: object, *, index: bool = False) -> Array:
        return np.asarray(x, np.int64 if index else self.dtype)

    def values(
        self, loss: Loss, arrays: Mapping[str, Array], params: Params, lists: Mapping[str, Array]
    ) -> Array:
        constants = {name: x for name, x in params.items() if name not in lists}
        shared = {spec.name for spec in loss.inputs if not spec.kind.lead}
        alike = frozenset({*shared, *lists} - {loss.weighs_samples})
        return self.backend.run(Program(loss, tuple(constants.items())), arrays, lists, alike)


LIBRARIES = {
    "numpy float64": Library(np, np.float64),
    "numpy float32": Library(np, np.float32),
    # Refuses what the array API standard does not promise.
    "array_api_strict": Library(array_api_strict, np.float64),
}
GRAPHS = {"onnx float64": Graph(np.float64), "onnx float32": Graph(np.float32)}
BACKENDS: Mapping[str, Backend] = {**LIBRARIES, **GRAPHS}
