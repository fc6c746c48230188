"""Rows that come in blocks, evaluated as they come where sums are enough."""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from lossmeter.app.answer import Answer, Answers
from lossmeter.app.engine import Engine
from lossmeter.core.parts import Values
from lossmeter.errors import NotStreamable, ShapeMismatch, TooLarge
from lossmeter.plan.plan import prepare
from lossmeter.plan.request import EvaluateSpec, LossSpec
from lossmeter.plan.tensors import Tensors

# Fewer rows than this wait for more: each evaluation has a price of its own.
FEWEST_ROWS = 16_384


def evaluate_blocks(
    engine: Engine, spec: EvaluateSpec, blocks: Iterator[Tensors], most_bytes: int = 2**62
) -> Answer | Answers:
    """Evaluate blocks one after another; or all together, where the answer is exact only so.

    Args:
        engine: What evaluates.
        spec: What is asked.
        blocks: The tensors of some rows, and of those that follow.
        most_bytes: How much may be held where all are evaluated together.

    Raises:
        TooLarge: All together are more than may be held.
        LossmeterError: As an evaluation.
    """
    if not all(_sums(one) for one in spec.each()):
        return engine.evaluate(spec, held(blocks, most_bytes))
    gathered = _gathered(blocks)
    first = next(gathered, Tensors({}))
    try:
        session = engine.open(spec, streaming=True)
        session.add(first)
    except NotStreamable:
        return engine.evaluate(spec, held(chain([first], gathered), most_bytes))
    for tensors in gathered:
        session.add(tensors)
    return session.finish()


def _sums(spec: LossSpec) -> bool:
    """Whether what a state holds is enough for the reduction to be exact."""
    rule = prepare(spec.loss, spec.params, spec.reduction).reduction.rule
    return Values not in rule.parts and rule.merges


def _gathered(blocks: Iterator[Tensors]) -> Iterator[Tensors]:
    """The same rows in blocks that are not small."""
    waiting: list[Tensors] = []
    rows = 0
    for tensors in blocks:
        waiting.append(tensors)
        rows += max((len(x) for x in tensors.arrays.values() if x.ndim), default=0)
        if rows >= FEWEST_ROWS:
            yield together(waiting)
            waiting, rows = [], 0
    if waiting:
        yield together(waiting)


def held(blocks: Iterator[Tensors], most_bytes: int) -> Tensors:
    """All blocks as one, within a bound.

    Raises:
        TooLarge: They are more than the bound.
        ShapeMismatch: They differ beyond their number of rows.
    """
    found, size = [], 0
    for tensors in blocks:
        found.append(tensors)
        size += sum(x.nbytes for x in tensors.arrays.values())
        if size > most_bytes:
            raise TooLarge(
                "the rows must be held together and are too many", limit=most_bytes, actual=size
            )
    return together(found)


def together(blocks: list[Tensors]) -> Tensors:
    """All blocks as one.

    Raises:
        ShapeMismatch: They differ beyond their number of rows.
    """
    if len(blocks) < 2:
        return blocks[0] if blocks else Tensors({})
    joined = {}
    for name in blocks[0].arrays:
        arrays = [block.arrays[name] for block in blocks]
        if any(not x.ndim or x.shape[1:] != arrays[0].shape[1:] for x in arrays):
            raise ShapeMismatch(
                "rows that follow differ in shape from the first", field=f"inputs.{name}"
            )
        joined[name] = np.concatenate(arrays)
    return Tensors(joined, blocks[0].plain)
