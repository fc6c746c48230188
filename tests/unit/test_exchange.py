"""Bodies as they are received."""

import asyncio
from typing import Any

import numpy as np
import pytest

from lossmeter.settings import Settings
from lossmeter.transports.rest.exchange import LARGE_BYTES, Body, Limits


def received(chunks: list[bytes], head: int) -> memoryview:
    """A body that came in such chunks."""
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        chunk = waiting.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    headers = {"content-length": str(sum(map(len, chunks)))}
    return memoryview(asyncio.run(Body(receive, Limits.of(Settings()), headers).read(head)))


@pytest.mark.parametrize("head", [1, 63, 64, 777])
def test_tensors_behind_a_head_are_aligned(head: int) -> None:
    numbers = np.arange(LARGE_BYTES, dtype=np.float64)
    content = b"x" * head + numbers.tobytes()
    body = received([content[:1000], content[1000:70_000], content[70_000:]], head)
    assert bytes(body) == content
    found = np.frombuffer(body[head:], np.float64)
    assert found.flags.aligned and np.array_equal(found, numbers)


@pytest.mark.parametrize("size", [0, 1, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1])
def test_a_body_is_whole_whatever_its_size(size: int) -> None:
    content = np.random.default_rng(size).bytes(size)
    assert bytes(received([content[: size // 2], content[size // 2 :]], 0)) == content
