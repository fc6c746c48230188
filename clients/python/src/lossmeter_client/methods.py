"""The methods of every client that waits for its answers, whatever its wire."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
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


class Methods(Settings, ABC):
    """What a client can do."""

    @overload
    def evaluate(
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
    def evaluate(
        self,
        loss: None = None,
        inputs: Inputs | None = None,
        *,
        losses: Losses,
        options: Options | None = None,
        timeout: float | None = None,
        **arrays: Any,
    ) -> Answers: ...

    def evaluate(
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

        Args:
            loss: Canonical name (``"huber"``), framework symbol (``"torch.nn.HuberLoss"``) or
                ``{"expression": "abs(predictions - targets)"}``.
            inputs: Arrays by name: ``predictions``, ``targets``, ``sample_weight``, ``mask`` and
                whatever else the loss takes. Anything that NumPy can read; numbers without a
                dtype are float64.
            losses: Several losses over the same arrays, in place of ``loss``.
            params: Parameters, in the names of the loss, of the symbol's framework or of the
                expression.
            reduction: A name, or a mapping with its settings; the symbol's default if None.
            options: ``backend``, ``device``, ``nonfinite``, ``state``, ``batch_id``.
            timeout: Seconds; the client's if None.
            arrays: More inputs, by keyword.

        Returns:
            The answer; its ``value`` is the number. With ``losses``, an answer for each.

        Raises:
            LossmeterError: The request is wrong, or cannot be served; ``reason`` and ``field`` say
                how and where.
        """
        evaluation = Evaluation.of(
            {**(inputs or {}), **arrays},
            loss=loss,
            losses=losses,
            params=params,
            reduction=reduction,
            options=options,
        )
        return self._evaluate(evaluation, timeout)

    @overload
    def evaluate_stream(
        self,
        loss: Loss,
        batches: Iterable[Inputs],
        *,
        params: Params | None = None,
        reduction: Reduction | None = None,
        options: Options | None = None,
        timeout: float | None = None,
    ) -> Answer: ...

    @overload
    def evaluate_stream(
        self,
        loss: None,
        batches: Iterable[Inputs],
        *,
        losses: Losses,
        options: Options | None = None,
        timeout: float | None = None,
    ) -> Answers: ...

    def evaluate_stream(
        self,
        loss: Loss | None,
        batches: Iterable[Inputs],
        *,
        losses: Losses | None = None,
        params: Params | None = None,
        reduction: Reduction | None = None,
        options: Options | None = None,
        timeout: float | None = None,
    ) -> Answer | Answers:
        """Evaluate batches as they come, as if they were one; none is kept.

        A median or quantile comes from a histogram: ``relative_error`` bounds its error.

        Args:
            loss: As ``evaluate`` takes it; None where there are ``losses``.
            batches: Arrays by name, the next rows of each.
            losses: Several losses, in place of ``loss``.
            params: As ``evaluate`` takes it.
            reduction: As ``evaluate`` takes it.
            options: As ``evaluate`` takes it.
            timeout: Seconds; as long as the batches take if None.

        Raises:
            LossmeterError: As ``evaluate``; ``NOT_STREAMABLE`` where all samples are needed at
                once. What ``batches`` raises comes through, and the call is cancelled.
        """
        evaluation = Evaluation.of(
            {}, loss=loss, losses=losses, params=params, reduction=reduction, options=options
        )
        return self._sent(evaluation, map(evaluation.batch, batches), timeout)

    def evaluate_file(
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

        The file is read here in blocks and sent as a stream; where the reduction needs all samples
        (``none``, ``median``, ``quantile``, ``cvar``), as a whole. All but npz need pyarrow.

        Args:
            path: The file; its ending tells its format.
            loss: As ``evaluate`` takes it.
            predictions: Column; ``"p0,p1"`` for a last axis of two, ``"p,"`` for one of one. The
                column ``predictions`` if None, where there is one.
            targets: Likewise.
            params: As ``evaluate`` takes it.
            reduction: As ``evaluate`` takes it; the column that ``by`` names is sent too.
            options: As ``evaluate`` takes it.
            timeout: Seconds; as long as the file takes if None.
            columns: Columns of other inputs: ``sample_weight="w"``, ``mask="kept"``.

        Raises:
            OSError: The file cannot be opened.
            LossmeterError: As ``evaluate``; also where the file is not what its ending says, or
                lacks a column.
        """
        evaluation = Evaluation.of(
            {}, loss=loss, losses=None, params=params, reduction=reduction, options=options
        )
        columns |= stated({"predictions": predictions, "targets": targets})
        table = Table.of(path, columns, evaluation.labels)
        answer = self._file(evaluation, table, timeout)
        assert isinstance(answer, Answer)
        return answer

    def _file(
        self, evaluation: Evaluation, table: Table, timeout: float | None
    ) -> Answer | Answers:
        if not OF_SAMPLES & reductions(evaluation.settings):
            try:
                answer = self._tried(
                    lambda left: self._sent(evaluation, table.batches(), left),
                    Attempts(timeout),
                )
                if answer.is_exact:
                    return answer
            except LossmeterError as error:
                if not needs_whole(error):
                    raise
        return self._evaluate(evaluation.on(joined(table.batches())), timeout)

    def explain(
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

        Arguments and errors are those of ``evaluate``, for one loss.

        Returns:
            The answer, its ``steps``, and a row of ``dialects`` for every other symbol and the
            canonical loss, with its value and why it differs.
        """
        evaluation = Evaluation.of(
            {**(inputs or {}), **arrays},
            loss=loss,
            losses=None,
            params=params,
            reduction=reduction,
            options=options,
        )
        return self._call(self._wire.explain(evaluation), timeout)

    def merge_states(
        self,
        states: Sequence[bytes],
        *,
        reduction: Reduction | None = None,
        options: Options | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Ask the service to finish states made apart, as if their batches had been one.

        ``lossmeter_client.merge_states`` merges them without it.

        Args:
            states: What ``evaluate`` answered as ``state`` when its options asked for it.
            reduction: How to finish; the loss's default if None.
            options: ``state`` to get the merged one back, ``profiles``.
            timeout: Seconds; the client's if None.

        Raises:
            LossmeterError: The states do not belong together, or lack what the reduction reads.
        """
        settings = stated({"reduction": reduction, "options": options})
        return self._call(self._wire.merge_states(states, settings), timeout)

    def list_losses(
        self, *, framework: str = "", search: str = "", timeout: float | None = None
    ) -> list[LossDescriptor]:
        """The losses, or those that a framework or words ask for.

        Args:
            framework: Only losses that a symbol of it stands for, such as ``"torch"``.
            search: Only losses with all of these words, best match first.
            timeout: Seconds; the client's if None.
        """
        return self._call(self._wire.list_losses(framework, search), timeout)

    def get_loss(self, name: str, *, timeout: float | None = None) -> LossDescriptor:
        """What is known of a loss.

        Args:
            name: Canonical name, alias or framework symbol.
            timeout: Seconds; the client's if None.

        Raises:
            NotFound: No loss has the name; the detail gives the nearest.
        """
        return self._call(self._wire.get_loss(name), timeout)

    def export(
        self,
        loss: Loss,
        *,
        params: Params | None = None,
        reduction: Reduction | None = None,
        timeout: float | None = None,
        **form: Any,
    ) -> bytes:
        """A loss as an ONNX graph that runs elsewhere, with weights, mask and reduction inside.

        Args:
            loss: As ``evaluate`` takes it.
            params: As ``evaluate`` takes it.
            reduction: As ``evaluate`` takes it.
            timeout: Seconds; the client's if None.
            form: ``dtype`` of the inputs that are values (``float64`` if absent), ``opset``,
                ``ir_version``, ``sizes`` of axes to be fixed, ``rank`` of the loss values, and
                ``stands_for``, the canonical loss, of a symbol that may be one of several.

        Returns:
            The serialised model.

        Raises:
            LossmeterError: As ``evaluate``; ``BACKEND_UNSUPPORTED`` where it has no graph.
        """
        asked = stated({"params": params, "reduction": reduction, **form})
        return self._call(self._wire.export(loss, asked), timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """End all connections; calls in flight are cancelled."""

    @abstractmethod
    def _made(self, call: Call[T], timeout: float | None) -> T:
        """Make a call once."""

    @abstractmethod
    def _sent(
        self, evaluation: Evaluation, batches: Iterator[Arrays], timeout: float | None
    ) -> Answer | Answers:
        """Send batches as they come, once."""

    def _call(self, call: Call[T], timeout: float | None) -> T:
        return self._tried(lambda left: self._made(call, left), self._attempts(timeout))

    def _tried(self, attempt: Callable[[float | None], T], attempts: Attempts) -> T:
        while True:
            try:
                return attempt(attempts.left())
            except LossmeterError as error:
                seconds = attempts.pause(error)
            time.sleep(seconds)

    def _evaluate(self, evaluation: Evaluation, timeout: float | None) -> Answer | Answers:
        """Send a batch in the way that suits its size."""
        if self._goes_in_pieces(evaluation):
            try:
                answer = self._tried(
                    lambda left: self._sent(evaluation, iter([evaluation.arrays]), left),
                    self._attempts(timeout),
                )
                if answer.is_exact:
                    return answer
            except LossmeterError as error:
                if not needs_whole(error):
                    raise
        return self._call(self._wire.evaluate(evaluation), timeout)
