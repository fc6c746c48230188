"""The methods of every client that awaits its answers, whatever its wire."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from typing import Any, Self, TypeVar, overload

from lossmeter_client.answers import Answer, Answers, Explanation, LossDescriptor
from lossmeter_client.arrays import Arrays
from lossmeter_client.calls import Attempts, Call, FilePath, Settings, needs_whole
from lossmeter_client.chunks import OF_SAMPLES, joined, reductions
from lossmeter_client.errors import LossmeterError
from lossmeter_client.files import Table
from lossmeter_client.requests import (
    Evaluation,
    Inputs,
    Loss,
    Losses,
    Options,
    Params,
    Reduction,
    stated,
)

T = TypeVar("T")


async def each(batches: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """What is iterated either way."""
    if isinstance(batches, AsyncIterable):
        async for batch in batches:
            yield batch
    else:
        for batch in batches:
            yield batch


async def each_in_thread(batches: Iterator[T]) -> AsyncIterator[T]:
    """What takes time to come by, such as the blocks of a file."""
    end = object()
    while (batch := await asyncio.to_thread(next, batches, end)) is not end:
        yield batch  # type: ignore[misc]  # it is not the end


class AsyncMethods(Settings, ABC):
    """What a client can do, as ``Methods`` says it; here each method is awaited."""

    @overload
    async def evaluate(
        self,
        loss: Loss,
        inputs: Inputs | None = None,
        *,
        params: Params | None = None,
        reduction: Reduction | None = None,
        options: Options | None = None,
        timeout: float | None = None,
        **arrays: Any,
    ) -> Answer: ...

    @overload
    async def evaluate(
        self,
        loss: None = None,
        inputs: Inputs | None = None,
        *,
        losses: Losses,
        options: Options | None = None,
        timeout: float | None = None,
        **arrays: Any,
    ) -> Answers: ...

    async def evaluate(
        self,
        loss: Loss | None = None,
        inputs: Inputs | None = None,
        *,
        losses: Losses | None = None,
        params: Params | None = None,
        reduction: Reduction | None = None,
        options: Options | None = None,
        timeout: float | None = None,
        **arrays: Any,
    ) -> Answer | Answers:
        """Evaluate a loss, or several, on one batch of any size.

        Arguments, answer and errors are those of ``Client.evaluate``.
        """
        evaluation = Evaluation.of(
            {**(inputs or {}), **arrays},
            loss=loss,
            losses=losses,
            params=params,
            reduction=reduction,
            options=options,
        )
        return await self._evaluate(evaluation, timeout)

    @overload
    async def evaluate_stream(
        self,
        loss: Loss,
        batches: Iterable[Inputs] | AsyncIterable[Inputs],
        *,
        params: Params | None = None,
        reduction: Reduction | None = None,
        options: Options | None = None,
        timeout: float | None = None,
    ) -> Answer: ...

    @overload
    async def evaluate_stream(
        self,
        loss: None,
        batches: Iterable[Inputs] | AsyncIterable[Inputs],
        *,
        losses: Losses,
        options: Options | None = None,
        timeout: float | None = None,
    ) -> Answers: ...

    async def evaluate_stream(
        self,
        loss: Loss | None,
        batches: Iterable[Inputs] | AsyncIterable[Inputs],
        *,
        losses: Losses | None = None,
        params: Params | None = None,
        reduction: Reduction | None = None,
        options: Options | None = None,
        timeout: float | None = None,
    ) -> Answer | Answers:
        """Evaluate batches as they come, as if they were one; none is kept.

        ``batches`` may be iterated either way. The rest is as ``Client.evaluate_stream`` says.
        """
        evaluation = Evaluation.of(
            {}, loss=loss, losses=losses, params=params, reduction=reduction, options=options
        )
        return await self._sent(
            evaluation, (evaluation.batch(b) async for b in each(batches)), timeout
        )

    async def evaluate_file(
        self,
        path: FilePath,
        loss: Loss,
        *,
        predictions: str | None = None,
        targets: str | None = None,
        params: Params | None = None,
        reduction: Reduction | None = None,
        options: Options | None = None,
        timeout: float | None = None,
        **columns: str,
    ) -> Answer:
        """Evaluate the columns of a Parquet, Arrow, CSV or npz file.

        The file is read in a thread. The rest is as ``Client.evaluate_file`` says.
        """
        evaluation = Evaluation.of(
            {}, loss=loss, losses=None, params=params, reduction=reduction, options=options
        )
        columns |= stated({"predictions": predictions, "targets": targets})
        table = Table.of(path, columns, evaluation.labels)
        answer = await self._file(evaluation, table, timeout)
        assert isinstance(answer, Answer)
        return answer

    async def _file(
        self, evaluation: Evaluation, table: Table, timeout: float | None
    ) -> Answer | Answers:
        if not OF_SAMPLES & reductions(evaluation.settings):
            try:
                answer = await self._tried(
                    lambda left: self._sent(evaluation, each_in_thread(table.batches()), left),
                    Attempts(timeout),
                )
                if answer.is_exact:
                    return answer
            except LossmeterError as error:
                if not needs_whole(error):
                    raise
        whole = await asyncio.to_thread(lambda: joined(table.batches()))
        return await self._evaluate(evaluation.on(whole), timeout)

    async def explain(
        self,
        loss: Loss,
        inputs: Inputs | None = None,
        *,
        params: Params | None = None,
        reduction: Reduction | None = None,
        options: Options | None = None,
        timeout: float | None = None,
        **arrays: Any,
    ) -> Explanation:
        """Evaluate, say how the answer comes about, and what every other framework says.

        Arguments, answer and errors are those of ``Client.explain``.
        """
        evaluation = Evaluation.of(
            {**(inputs or {}), **arrays},
            loss=loss,
            losses=None,
            params=params,
            reduction=reduction,
            options=options,
        )
        return await self._call(self._wire.explain(evaluation), timeout)

    async def merge_states(
        self,
        states: Sequence[bytes],
        *,
        reduction: Reduction | None = None,
        options: Options | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Finish states made apart, as if their batches had been one.

        Arguments, answer and errors are those of ``Client.merge_states``.
        """
        settings = stated({"reduction": reduction, "options": options})
        return await self._call(self._wire.merge_states(states, settings), timeout)

    async def list_losses(
        self, *, framework: str = "", search: str = "", timeout: float | None = None
    ) -> list[LossDescriptor]:
        """The losses, or those that a framework or words ask for.

        Arguments, answer and errors are those of ``Client.list_losses``.
        """
        return await self._call(self._wire.list_losses(framework, search), timeout)

    async def get_loss(self, name: str, *, timeout: float | None = None) -> LossDescriptor:
        """What is known of a loss, by canonical name, alias or symbol.

        Arguments, answer and errors are those of ``Client.get_loss``.
        """
        return await self._call(self._wire.get_loss(name), timeout)

    async def export(
        self,
        loss: Loss,
        *,
        params: Params | None = None,
        reduction: Reduction | None = None,
        timeout: float | None = None,
        **form: Any,
    ) -> bytes:
        """A loss as an ONNX graph that runs elsewhere, with weights, mask and reduction inside.

        Arguments, answer and errors are those of ``Client.export``.
        """
        asked = stated({"params": params, "reduction": reduction, **form})
        return await self._call(self._wire.export(loss, asked), timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @abstractmethod
    async def close(self) -> None:
        """End all connections; calls in flight are cancelled."""

    @abstractmethod
    async def _made(self, call: Call[T], timeout: float | None) -> T:
        """Make a call once."""

    @abstractmethod
    async def _sent(
        self, evaluation: Evaluation, batches: AsyncIterator[Arrays], timeout: float | None
    ) -> Answer | Answers:
        """Send batches as they come, once."""

    async def _call(self, call: Call[T], timeout: float | None) -> T:
        return await self._tried(lambda left: self._made(call, left), self._attempts(timeout))

    async def _tried(
        self, attempt: Callable[[float | None], Awaitable[T]], attempts: Attempts
    ) -> T:
        while True:
            try:
                return await attempt(attempts.left())
            except LossmeterError as error:
                seconds = attempts.pause(error)
            await asyncio.sleep(seconds)

    async def _evaluate(self, evaluation: Evaluation, timeout: float | None) -> Answer | Answers:
        """Send a batch in the way that suits its size."""
        if self._goes_in_pieces(evaluation):
            try:
                answer = await self._tried(
                    lambda left: self._sent(evaluation, each([evaluation.arrays]), left),
                    self._attempts(timeout),
                )
                if answer.is_exact:
                    return answer
            except LossmeterError as error:
                if not needs_whole(error):
                    raise
        return await self._call(self._wire.evaluate(evaluation), timeout)
