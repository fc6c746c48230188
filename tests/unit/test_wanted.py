"""Blocks are computed as long as somebody wants the answer."""

from collections.abc import Iterator

import numpy as np
import pytest

from lossmeter import evaluate
from lossmeter.app.answer import Answer
from lossmeter.app.wanted import while_wanted
from lossmeter.core.arrays import Array
from lossmeter.errors import DeadlineExceeded

BLOCKS = 5
ROWS = BLOCKS * 32_768


def counted(x: Array) -> int:
    answer = evaluate("huber", predictions=x, targets=x)
    assert isinstance(answer, Answer)
    return answer.count


def asked(answers: Iterator[bool]) -> int:
    """What is counted, as long as the answers say so."""
    x = np.ones(ROWS)
    with while_wanted(lambda: next(answers)):
        return counted(x)


def test_an_answer_that_is_wanted() -> None:
    answers = iter([True] * BLOCKS)
    assert asked(answers) == ROWS
    assert list(answers) == []


def test_no_block_is_computed_for_nobody() -> None:
    answers = iter([True, True, False, True, True])
    with pytest.raises(DeadlineExceeded):
        asked(answers)
    assert list(answers) == [True, True]
    assert counted(np.ones(1)) == 1
