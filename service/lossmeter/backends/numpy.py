"""The reference backend: kernels run on NumPy, block by block."""

from collections.abc import Mapping

import numpy as np

from lossmeter.backends.machine import instruction_set
from lossmeter.core.arrays import NUMPY, Array
from lossmeter.core.program import Program


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
