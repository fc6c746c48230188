"""What is written at once goes out as one write."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from lossmeter.transports.rest.connection import Joined


class Written:
    """A transport that notes what is written to it."""

    def __init__(self) -> None:
        self.writes: list[list[bytes]] = []
        self.closed = False

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.writes.append(list(parts))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def joined(written: Written, *, alone: bool = False) -> Joined:
    return Joined(cast(Any, written), asyncio.get_running_loop(), lambda: alone)


def test_head_and_body_are_one_write() -> None:
    async def run() -> list[list[bytes]]:
        written = Written()
        transport = joined(written)
        for answer in ((b"head", b"body"), (b"next",)):
            for part in answer:
                transport.write(part)
            await asyncio.sleep(0)
        return written.writes

    assert asyncio.run(run()) == [[b"head", b"body"], [b"next"]]


def test_an_answer_goes_out_at_once_where_nobody_waits() -> None:
    async def run() -> list[list[bytes]]:
        written = Written()
        transport = joined(written, alone=True)
        transport.write(b"head")
        transport.write(b"body")
        return written.writes

    assert asyncio.run(run()) == [[b"head", b"body"]]


def test_what_was_written_goes_out_before_the_close() -> None:
    async def run() -> Written:
        written = Written()
        transport = joined(written)
        transport.write(b"last")
        transport.close()
        transport.write(b"too late")
        await asyncio.sleep(0)
        return written

    written = asyncio.run(run())
    assert (written.writes, written.closed) == ([[b"last"]], True)
