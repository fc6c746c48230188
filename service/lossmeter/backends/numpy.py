"""The reference backend: kernels run on NumPy, block by block."""

import platform
from collections.abc import Mapping

import numpy as np

from lossmeter.core.arrays import NUMPY, Array
from lossmeter.core.program import Program


def _dispatch_level() -> str:
    """The widest instruction sets that NumPy dispatches to here: exp and log differ by them."""
    features = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]  # no stub
    for level in ("X86_V4", "AVX512_SKX", "X86_V3", "AVX2", "ASIMD", "VSX2", "VXE"):
        if features.get(level):
            return level
    return "baseline"


class NumpyBackend:
    """Runs array programs on NumPy."""

    name = "numpy"
    device = "cpu"

    def __init__(self) -> None:
        self.profile = f"numpy-{np.__version__}/{platform.machine()}/{_dispatch_level()}"

    def run(
        self, program: Program, operands: Mapping[str, Array], extras: Mapping[str, Array]
    ) -> Array:
        """Loss values of one block of C-contiguous arrays."""
        return program(NUMPY, operands, extras)
