"""Blocks of kept entries, as an evaluation hands them to the parts."""

import numpy as np

from lossmeter.core.block import Block
from lossmeter.core.exact import Floats


def block(
    losses: list[float] | Floats, weights: list[float] | Floats | None = None, batch: str = ""
) -> Block:
    """Losses with weights, each counting ½ in a dialect's own divisor."""
    values = np.asarray(losses, np.float64)
    return Block(
        values,
        None if weights is None else np.asarray(weights, np.float64),
        np.full(values.size, 0.5),
        np.arange(values.size),
        batch,
    )
