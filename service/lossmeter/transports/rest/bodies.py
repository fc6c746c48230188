"""Bodies that are tensors: rows evaluated as they come, in threads of their own."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from lossmeter.errors import UnknownField
from lossmeter.plan.request import EvaluateSpec
from lossmeter.plan.tensors import SHARED, Tensors
from lossmeter.transports.metrics import OTHER
from lossmeter.transports.rest.exchange import Disconnected, Reply, Request
from lossmeter.transports.rest.pipe import Pipe
from lossmeter.transports.rest.threads import aside
from lossmeter.transports.rest.unfolding import Buffer, Unfolding
from lossmeter.wire.forms import Form, columns_of, inputs_of, read_blocks, readable
from lossmeter.wire.json import group_inputs
from lossmeter.wire.query import read_query
from lossmeter.wire.tables import Rows

# A body that is slow to come holds a thread: so many, apart from those that other requests need.
THREADS = 32


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a body, and how to read it.

    Attributes:
        form: Its form.
        spec: What is asked.
        named: Columns of the inputs that the query names.
        limit: Most bytes that it may unfold to.
    """

    form: Form
    spec: EvaluateSpec
    named: dict[str, str]
    limit: int

    def rows(self, source: object) -> Rows:
        """The rows of a file, or of memory."""
        whole = group_inputs(self.spec) | {"mask"}
        with readable(self.form):
            return self.form.open(source, self.limit, whole)

    def blocks(self, rows: Rows) -> Iterator[Tensors]:
        """The tensors of the rows."""
        present = [*SHARED, *group_inputs(self.spec)]
        own = {name: name for name in present if name in rows.names}
        columns = columns_of({**own, **self.named}, self.spec, rows.names)
        if not columns:
            return iter((Tensors({}),))
        return read_blocks(self.form, rows, columns)


# What is answered of what is asked and of blocks of tensors.
Compute: TypeAlias = Callable[[Asked, Iterator[Tensors]], Reply]


def read_asked(request: Request, form: Form) -> Asked:
    """What a request with tensors asks.

    Raises:
        UnknownField: Its query names what no loss of it takes.
    """
    spec, columns = read_query(request.query)
    request.loss = named(spec)
    taken = inputs_of(spec)
    for name in columns:
        if name not in taken:
            raise UnknownField(f"the query takes {', '.join(sorted(taken))}", field=name)
    return Asked(form, spec, columns, request.body.limits.unfolded_bytes)


def named(spec: EvaluateSpec) -> str:
    """The loss that is asked for, for the metrics."""
    return spec.loss if isinstance(spec.loss, str) else OTHER


class TensorBodies:
    """Answers requests whose body is tensors."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "lossmeter-stream")

    async def answer(self, request: Request, form: Form, compute: Compute) -> Reply:
        """The answer to a body of this form, computed while it comes where the form lets it.

        Raises:
            LossmeterError: It cannot be answered.
            Disconnected: The caller left.
        """
        asked = read_asked(request, form)
        if form.streams:
            return await self._streamed(request, asked, compute)
        return await answer_whole(asked, await request.body.read(), compute)

    async def _streamed(self, request: Request, asked: Asked, compute: Compute) -> Reply:
        encoding = request.body.encoding()
        pipe = Pipe(Unfolding(encoding, asked.limit) if encoding else None)
        work = partial(copy_context().run, _worked, asked, pipe, compute)
        working = asyncio.get_running_loop().run_in_executor(self._threads, work)
        filling = asyncio.create_task(request.body.fill(pipe))
        try:
            return await working
        finally:
            # Whatever ended this ends the thread at its next block too.
            pipe.end(Disconnected())
            filling.cancel()
            await asyncio.wait({filling})


async def answer_whole(asked: Asked, data: Buffer, compute: Compute) -> Reply:
    """The answer to a body that is there."""
    source = Pieces(iter((data,))) if asked.form.streams else memoryview(data)

    def work() -> Reply:
        return compute(asked, asked.blocks(asked.rows(source)))

    return await aside(work)


def _worked(asked: Asked, pipe: Pipe, compute: Compute) -> Reply:
    """What a thread does of a body while it comes."""
    source = Pieces(pipe.pieces())
    blocks = asked.blocks(asked.rows(source))

    def checked() -> Iterator[Tensors]:
        for tensors in blocks:
            pipe.check()
            yield tensors
        source.skip()

    return compute(asked, checked())


class Pieces:
    """A file of what comes in pieces."""

    def __init__(self, pieces: Iterator[Buffer]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def read(self, size: int, /) -> memoryview:
        """So many bytes, in memory of their own; fewer at the end."""
        found, at = np.empty(size, np.uint8).data, 0
        while at < size and self._more():
            step = min(size - at, len(self._piece))
            found[at : at + step], self._piece = self._piece[:step], self._piece[step:]
            at += step
        return found[:at]

    def _more(self) -> bool:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._piece = memoryview(piece)
        return True

    def skip(self) -> None:
        """Pass over what is left, so that all of it was sent as it should be."""
        for _ in self._pieces:
            pass
