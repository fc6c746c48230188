"""The one loss that every peer serves, in whole-array NumPy as one writes it."""

import struct

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
HEADER = struct.Struct("<II")
ANSWER = struct.Struct("<d")


def weighted_bce(logits: Floats, targets: Floats, weights: Floats) -> float:
    """Weighted mean of binary cross-entropy with logits.

    Args:
        logits: Shape (N, K).
        targets: Shape (N, K), 0 or 1.
        weights: Shape (N,).
    """
    curve = np.log1p(np.exp(-np.abs(logits)))
    losses = np.maximum(logits, 0) - logits * targets + curve
    return float((losses * weights[:, None]).sum() / (weights.sum() * logits.shape[1]))


def size(header: bytes | bytearray) -> int:
    """Bytes that follow the header of a bare request: N and K, then the three arrays."""
    rows, columns = HEADER.unpack(header)
    return int(4 * rows * (2 * columns + 1))


def answer(request: bytes | bytearray) -> bytes:
    """The loss of a bare request, as one float64."""
    rows, columns = HEADER.unpack_from(request)
    values = np.frombuffer(request, np.float32, offset=HEADER.size)
    cells = rows * columns
    logits, targets = values[: 2 * cells].reshape(2, rows, columns)
    return ANSWER.pack(weighted_bce(logits, targets, values[2 * cells :]))
