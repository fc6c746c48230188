"""Where large requests are decoded and computed, so that the event loop is free for small ones."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")
# Bodies above this are large: a thread costs a small request a quarter of its time.
INLINE_BYTES = 64 * 1024
# Of numbers as they are: about 2 ms, which two threads would make longer by a fifth.
INLINE_BINARY_BYTES = 2**20
# As many at a time as there are cores: more would only take turns.
_LARGE = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="large")


async def aside(compute: Callable[[], T]) -> T:
    """The outcome of what is large."""
    # In the context of the request, which knows whether its answer is still wanted.
    run = copy_context().run
    return await asyncio.get_running_loop().run_in_executor(_LARGE, run, compute)
