"""The reference backend: kernels run on NumPy, block by block."""

import threading
from collections.abc import Mapping
from types import SimpleNamespace
from typing import cast

import numpy as np
from threadpoolctl import ThreadpoolController

from lossmeter.backends.machine import instruction_set
from lossmeter.core import arrays
from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.program import Program

_BLAS = ThreadpoolController().select(user_api="blas")
_LOCK = threading.Lock()


def _matmul(a: Array, b: Array) -> Array:
    # By one thread: several divide the sums, so that the bits would depend on the cores; and those
    # of several workers would fight for them.
    with _LOCK, _BLAS.limit(limits=1):
        product: Array = np.matmul(a, b)
        return product


NUMPY = cast(Namespace, SimpleNamespace(**{**vars(arrays.NUMPY), "matmul": _matmul}))


class NumpyBackend:
    """Runs array programs on NumPy."""

    name = "numpy"
    device = "cpu"
    block = 32_768
    multiple = 1
    ahead = 0

    def __init__(self) -> None:
        self.profile = f"numpy-{np.__version__}/{instruction_set()}"

    def run(
        self,
        program: Program,
        operands: Mapping[str, Array],
        extras: Mapping[str, Array],
        shared: frozenset[str],
    ) -> Array:
        """Loss values of one block of C-contiguous arrays."""
        return program(NUMPY, operands, extras)
