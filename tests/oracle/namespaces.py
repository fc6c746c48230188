"""The array namespaces that a kernel is run on, each fenced in."""

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple, cast

import array_api_strict
import numpy as np

from lossmeter.core.arrays import PRIMITIVES, Array, Namespace
from tests.oracle.cases import DType


class Fence:
    """A namespace that has the primitives and nothing else."""

    def __init__(self, xp: object) -> None:
        self._xp = xp

    def __getattr__(self, name: str) -> Callable[..., Array]:
        if name not in PRIMITIVES:
            raise AttributeError(f"{name} is not a primitive")
        return cast(Callable[..., Array], getattr(self._xp, name))


class Backend(NamedTuple):
    """A library's arrays of one dtype."""

    library: ModuleType
    dtype: DType

    @property
    def xp(self) -> Namespace:
        return cast(Namespace, Fence(self.library))

    def array(self, x: object, *, index: bool = False) -> Array:
        """An array of this dtype, or of class indices."""
        return self.library.asarray(np.asarray(x, np.int64 if index else self.dtype))


BACKENDS = {
    "numpy float64": Backend(np, np.float64),
    "numpy float32": Backend(np, np.float32),
    # Refuses what the array API standard does not promise.
    "array_api_strict": Backend(array_api_strict, np.float64),
}
