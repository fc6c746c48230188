"""Answers as messages."""

from dataclasses import replace

import numpy as np
import pytest

from lossmeter import evaluate
from lossmeter.app.answer import Answer
from lossmeter.errors import TooLarge
from lossmeter.wire.protobuf import answer_message


def test_an_answer_that_no_message_holds_is_refused() -> None:
    answer = evaluate("huber", reduction="none", predictions=[1.0, 2.0], targets=[1.0, 1.0])
    assert isinstance(answer, Answer)
    assert answer_message(answer).value.shape == [2]
    # A view of one number: nothing of that size is in memory.
    large = np.broadcast_to(np.float32(1.0), 2**29)
    with pytest.raises(TooLarge):
        answer_message(replace(answer, value=large))
