"""The kept entries of one block of a batch, with their weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossmeter.core.exact import Floats

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Block:
    """The kept entries of one block of a batch.

    Attributes:
        losses: Loss values ℓ, shape ``(n,)``.
        own_weights: Weights, shape ``(n / repeat,)``; None if all are 1.
        divisors: What a dialect's mean sums for its divisor, shape ``(n,)``; None if it has none.
        rows: Position of each entry's sample in its batch, shape ``(n,)``; None where no part asks.
        batch_id: Name of the batch.
        repeat: For how many entries in a row each weight stands.
    """

    losses: Floats
    own_weights: Floats | None
    divisors: Floats | None
    rows: Ints | None
    batch_id: str
    repeat: int = 1

    @property
    def weights(self) -> Floats | None:
        """Weights w, shape ``(n,)``; None if all are 1."""
        if self.own_weights is None or self.repeat == 1:
            return self.own_weights
        return np.repeat(self.own_weights, self.repeat)

    def weighted(self, x: Floats) -> Floats:
        """w·x, the weight 1 costing nothing."""
        if self.own_weights is None or self.repeat == 1:
            return x if self.own_weights is None else self.own_weights * x
        # Rows as short as these are dear to broadcast: half the time so.
        each = np.repeat(self.own_weights, self.repeat)
        each *= x
        return each

    def groups(self, codes: Ints, groups: int) -> "list[Block]":
        """The kept entries of each group."""
        order = np.argsort(codes, kind="stable")
        ends = np.searchsorted(codes[order], np.arange(groups), side="right")
        return [self.taken(which) for which in np.split(order, ends[:-1])]

    def taken(self, which: Ints) -> "Block":
        """Only these of the entries."""
        weights = self.weights
        return Block(
            self.losses[which],
            None if weights is None else weights[which],
            None if self.divisors is None else self.divisors[which],
            None if self.rows is None else self.rows[which],
            self.batch_id,
        )
