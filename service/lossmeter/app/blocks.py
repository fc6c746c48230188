"""Where a block lies in its batch, and what of it is kept."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from math import prod
from typing import TypeAlias, TypeVar

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.plan.batch import Batch

T = TypeVar("T")
Compute: TypeAlias = Callable[[], Array]


def overlapped(blocks: Iterator[tuple[T, Compute]], ahead: int) -> Iterator[tuple[T, Array]]:
    """The blocks in their order with their values, the next ones computed meanwhile.

    Args:
        blocks: Each block, and what computes its values.
        ahead: How many are computed while one is taken; with 0 all is done in turn.
    """
    if not ahead:
        for block, compute in blocks:
            yield block, compute()
        return
    under_way: deque[tuple[T, Future[Array]]] = deque()
    with ThreadPoolExecutor(ahead) as pool:
        for block, compute in blocks:
            under_way.append((block, pool.submit(compute)))
            if len(under_way) > ahead:
                first, values = under_way.popleft()
                yield first, values.result()
        for first, values in under_way:
            yield first, values.result()


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

        C-contiguous and aligned, as views of a request's bytes need not be, because exp, log and
        sums change bits with the layout.
        """
        part = np.ascontiguousarray(x[self._index], dtype)
        if not part.flags.aligned:
            part = part.copy()
        return part.reshape(self.entries, *x.shape[self._rank :])

    def repeated(self, x: Array, dtype: np.dtype[np.generic]) -> tuple[Array, int]:
        """The block's part of an array that lies along leading axes, and how often each counts."""
        part, repeat = x[self._index], 1
        while part.ndim > 1 and part.strides[-1] == 0:
            repeat *= part.shape[-1]
            part = part[..., 0]
        return np.ascontiguousarray(part, dtype).reshape(-1), repeat

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
