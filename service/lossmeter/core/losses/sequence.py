"""Losses of sequences of steps against sequences of labels that are not aligned with them."""

import math
from typing import Annotated, NamedTuple

from annotated_types import Ge

from lossmeter.core.arrays import Array, Namespace
from lossmeter.core.declare import Example, Guard, loss
from lossmeter.core.domains import (
    LabelCount,
    LabelSequence,
    LogProbabilitySequence,
    StepCount,
)
from lossmeter.core.stable import fold, log_add_exp, log_sum_exp, places

EVEN = [[-math.log(3.0)] * 3] * 3


class Ends(NamedTuple):
    """Logarithms of the probability of all that was read so far, by where in the labels it ends.

    Attributes:
        blank: Ending in a blank, after each number of labels; shape ``(N, S + 1)``.
        label: Ending in each label, shape ``(N, S)``.
    """

    blank: Array
    label: Array


@loss(
    source="Graves et al. (2006), ICML; doi:10.1145/1143844.1143891",
    names=("ctc_loss",),
    examples=[
        Example(
            {
                "predictions": [EVEN, EVEN, EVEN],
                "targets": [[1, 2], [1, 1], [1, 2]],
                "input_lengths": [3, 3, 1],
                "target_lengths": [2, 2, 0],
            },
            [math.log(27.0 / 5.0), math.log(27.0), math.log(3.0)],
        ),
        Example(
            {
                "predictions": [EVEN],
                "targets": [[1, 1]],
                "input_lengths": [2],
                "target_lengths": [2],
            },
            [0.0],
            {"zero_infinity": True},
        ),
    ],
    ignores_classes=False,
)
def ctc(
    xp: Namespace,
    predictions: LogProbabilitySequence,
    targets: LabelSequence,
    input_lengths: StepCount,
    target_lengths: LabelCount,
    *,
    blank: Annotated[int, Ge(0)] = 0,
    zero_infinity: bool = False,
    log_zero: Annotated[float | None, Guard()] = None,
    log_elsewhere: Annotated[float | None, Guard()] = None,
) -> Array:
    r"""Negative logarithm of the probability of the labels, however they are aligned.

    $$ \ell = -\ln \sum_{\pi \in \mathcal{B}^{-1}(y)} \prod_t p_{t, \pi_t} $$

    The sum is over all paths that give the labels once repeats are merged and blanks dropped.

    Args:
        predictions: Logarithms of class probabilities at each step, shape ``(N, T, C)``, nats.
        targets: Class indices of the labels, shape ``(N, S)``; those past the end do not count.
        input_lengths: Steps of each sample, shape ``(N,)``.
        target_lengths: Labels of each sample, shape ``(N,)``.
        blank: Class that stands for no label.
        zero_infinity: Whether a sample with more labels than its steps can hold gives 0.
        log_zero: Stands for ln 0, in a framework where an impossible path is only unlikely.
        log_elsewhere: Logarithm of what a path counts that ends with other labels, in a framework
            where it counts at all.

    Returns:
        One loss per sample, shape ``(N,)``, nats.
    """
    never = -math.inf if log_zero is None else log_zero
    same = targets[:, 1:] == targets[:, :-1]
    # Nothing follows the last label, so it repeats nothing.
    repeats = xp.concat([same, targets[:, -1:] != targets[:, -1:]], axis=1)
    ends = _before(xp, predictions, targets, never)
    # A label that repeats the one before it has a blank between, or the two are merged.
    free = xp.zeros_like(ends.label)
    to_label, to_blank = xp.where(repeats, never, free), xp.where(repeats, free, never)

    def after(step: Array, scores: Array, before: tuple[Array, ...]) -> tuple[Array, ...]:
        ends = Ends(*before)
        of_blank, of_labels = scores[:, blank][:, None], xp.take_along_axis(scores, targets, axis=1)
        passed = _ended(xp, ends.blank, ends.label + to_label)
        read = Ends(
            of_blank + _ended(xp, passed, ends.label + to_blank),
            of_labels + log_add_exp(xp, passed[:, :-1], ends.label),
        )
        running = (input_lengths > step)[:, None]
        return tuple(xp.where(running, *pair) for pair in zip(read, ends, strict=True))

    ends = Ends(*fold(xp, after, ends, predictions))
    value = -_at_end(xp, ends, target_lengths, log_elsewhere)
    return xp.where(value == math.inf, 0.0, value) if zero_infinity else value


def _before(xp: Namespace, predictions: Array, targets: Array, never: float) -> Ends:
    """Before the first step nothing is read, for certain."""
    certain = xp.zeros_like(xp.sum(predictions, axis=(1, 2)))[:, None]
    nothing = xp.full_like(targets, never, dtype=certain.dtype)
    return Ends(xp.concat([certain, nothing], axis=1), nothing)


def _ended(xp: Namespace, blank: Array, label: Array) -> Array:
    """Ending in a blank, or in a label that counts as one; before the first there is none."""
    return xp.concat([blank[:, :1], log_add_exp(xp, blank[:, 1:], label)], axis=1)


def _at_end(xp: Namespace, ends: Ends, target_lengths: Array, log_elsewhere: float | None) -> Array:
    """Logarithm of the probability of each sample's labels and no more."""
    both, last = _ended(xp, ends.blank, ends.label), target_lengths[:, None]
    value = xp.squeeze(xp.take_along_axis(both, last, axis=1), axis=1)
    if log_elsewhere is None:
        return value
    other = xp.where(places(xp, both) == last, -math.inf, both)
    return log_add_exp(xp, value, log_sum_exp(xp, other) + log_elsewhere)
