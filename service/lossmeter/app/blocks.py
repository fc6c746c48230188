"""Where a block lies in its batch, and what of it is kept."""

from math import prod

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.plan.batch import Batch


def narrowed(keep: Array | None, finite: Array) -> Array:
    """The entries kept so far, less those whose loss values were not finite."""
    if keep is None:
        return finite
    left = keep.copy()
    left[keep] = finite
    return left


class Cut:
    """Where a block lies in its batch."""

    def __init__(self, batch: Batch, index: tuple[slice, ...], place: int) -> None:
        self._index = index
        self._rank = len(batch.shape)
        sizes = [part.stop - part.start for part in index]
        self.entries = prod((*sizes, *batch.shape[len(index) :]))
        self.place = place

    def of(self, x: Array, dtype: np.dtype[np.generic] | None) -> Array:
        """The block's part of an array as ``(entries, *core)``.

        C-contiguous, because exp and log change bits with the layout.
        """
        part = np.ascontiguousarray(x[self._index], dtype)
        return part.reshape(self.entries, *x.shape[self._rank :])

    def rows(self) -> Array:
        """Position of each entry's sample."""
        if not self._index:
            return np.zeros(1, dtype=np.int64)
        first = self._index[0]
        rows = np.arange(first.start, first.stop)
        return np.repeat(rows, self.entries // max(1, rows.size))


def dtype_beside(batch: Batch, x: Array) -> np.dtype[np.generic]:
    """The computing dtype; booleans stay what they are."""
    return x.dtype if x.dtype == np.bool_ else batch.dtype
