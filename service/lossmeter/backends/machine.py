"""What the bits of exp and log depend on besides the library that computes them."""

import platform

import numpy as np


def instruction_set() -> str:
    """The machine and the widest instructions it has, as NumPy finds them."""
    features = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]  # no stub
    for level in ("X86_V4", "AVX512_SKX", "X86_V3", "AVX2", "ASIMD", "VSX2", "VXE"):
        if features.get(level):
            return f"{platform.machine()}/{level}"
    return f"{platform.machine()}/baseline"
