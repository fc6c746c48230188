"""Losses in process, without a server: the engine behind two functions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from lossmeter.app.answer import Answer, Answers
from lossmeter.app.backend import Backends
from lossmeter.app.engine import Engine
from lossmeter.app.explain import Explanation
from lossmeter.backends.graphs.folder import Folder
from lossmeter.backends.graphs.sandbox import Limits
from lossmeter.core.arrays import Array
from lossmeter.core.state import State
from lossmeter.errors import ShapeMismatch
from lossmeter.plan.request import EvaluateSpec, ExportSpec, MergeSpec, read, read_evaluate
from lossmeter.plan.tensors import Tensors
from lossmeter.wire.json import read_fields

Reduction = str | Mapping[str, Any] | None


@lru_cache(maxsize=1)
def engine(backend: str = "numpy", device: str = "cpu") -> Engine:
    """The engine of this process.

    Args:
        backend: What computes where a request does not say.
        device: Where, likewise.
    """
    return Engine(Backends(backend, device))


@contextmanager
def losses_of(folder: str, seconds: float, memory: int) -> Iterator[None]:
    """The graphs of a folder as losses until the end of the block.

    Args:
        folder: Its path; nothing for none.
        seconds: Time for a graph to load, and to evaluate a block.
        memory: Bytes that a graph may take.

    Raises:
        OSError: There is no such folder.
        BackendUnsupported: ONNX Runtime is not installed.
    """
    if not folder:
        yield
        return
    found = Folder(folder, Limits(seconds, memory))
    try:
        yield
    finally:
        found.close()


def evaluate(
    loss: str | Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    *,
    losses: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    reduction: Reduction = None,
    options: Mapping[str, Any] | None = None,
    **arrays: Any,
) -> Answer | Answers:
    """Evaluate a loss on arrays, with the bits that the service gives.

    Args:
        loss: Canonical name (``"huber"``), framework symbol (``"torch.nn.HuberLoss"``) or a
            mapping with an ``expression``; or a whole request as REST takes it, which excludes the
            rest.
        inputs: Arrays by name: ``predictions``, ``targets``, ``sample_weight``, ``mask`` and
            whatever else the loss takes. Lists of numbers are float64.
        losses: Several losses over the same arrays, in place of ``loss``.
        params: Parameters, in the names of the loss, of the symbol's framework or of the
            expression.
        reduction: A name, or a mapping with its settings; the symbol's default if None.
        options: ``backend``, ``device``, ``nonfinite``, ``state``, ``batch_id``, as in a request.
        arrays: More inputs, by keyword.

    Returns:
        The answer; its ``value`` is the number. With ``losses``, an answer for each.

    Raises:
        LossmeterError: The request is wrong; ``reason`` and ``field`` say how and where.
    """
    return engine().evaluate(
        *_request(loss, losses, params, reduction, options, {**(inputs or {}), **arrays})
    )


def explain(
    loss: str | Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    *,
    losses: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    reduction: Reduction = None,
    options: Mapping[str, Any] | None = None,
    **arrays: Any,
) -> Explanation | Mapping[str, Explanation]:
    """Evaluate, say how the answer comes about, and what every other framework says.

    Args and errors are those of ``evaluate``.

    Returns:
        The answer with its steps, and the other dialects' answers with a sentence for each
        difference. With ``losses``, an explanation for each.
    """
    return engine().explain(
        *_request(loss, losses, params, reduction, options, {**(inputs or {}), **arrays})
    )


def _request(  # noqa: PLR0917 what a request is made of
    loss: str | Mapping[str, Any] | None,
    losses: Mapping[str, Any] | None,
    params: Mapping[str, Any] | None,
    reduction: Reduction,
    options: Mapping[str, Any] | None,
    arrays: Mapping[str, Any],
) -> tuple[EvaluateSpec, Tensors]:
    if isinstance(loss, Mapping) and loss.keys() != {"expression"}:
        return read_fields(loss)
    body = {
        "loss": dict(loss) if isinstance(loss, Mapping) else loss,
        "losses": None if losses is None else {k: dict(v) for k, v in losses.items()},
        "params": _string_keys(params or {}),
        "reduction": dict(reduction) if isinstance(reduction, Mapping) else reduction,
        "options": dict(options or {}),
    }
    spec = read_evaluate({name: value for name, value in body.items() if value is not None})
    return spec, _tensors(arrays)


def export(
    loss: str | Mapping[str, Any],
    *,
    params: Mapping[str, Any] | None = None,
    reduction: Reduction = None,
    **form: Any,
) -> bytes:
    """A loss as an ONNX graph that runs elsewhere, with weights, mask and reduction inside.

    Args:
        loss: Canonical name or framework symbol, or ``{"expression": ...}``.
        params: Parameters, in the names of the loss or of the symbol's framework.
        reduction: A name, or a mapping with its settings; the symbol's default if None.
        form: ``dtype``, ``opset``, ``ir_version``, ``sizes``, ``rank``, ``stands_for``, as in a
            request.

    Returns:
        The serialised model.

    Raises:
        LossmeterError: The request is wrong, or the loss or reduction has no graph.
    """
    body = {
        "params": _string_keys(params or {}),
        "reduction": dict(reduction) if isinstance(reduction, Mapping) else reduction,
        **(loss if isinstance(loss, Mapping) else {}),
        **form,
    }
    return _exported("" if isinstance(loss, Mapping) else loss, read(ExportSpec, body))


def _exported(name: str, spec: ExportSpec) -> bytes:
    from lossmeter.app.export.model import exported  # noqa: PLC0415 slow, needed here alone

    return exported(name, spec)


def merge(
    states: Sequence[State],
    *,
    reduction: Reduction = None,
    options: Mapping[str, Any] | None = None,
) -> Answer:
    """Finish states made apart, as if their batches had been one.

    Args:
        states: What ``evaluate`` answered as ``state`` when asked for it.
        reduction: How to finish; the loss's default if None.
        options: ``state`` to get the merged one back, ``profiles``.

    Raises:
        LossmeterError: The states do not belong together.
    """
    body = {
        "reduction": dict(reduction) if isinstance(reduction, Mapping) else reduction,
        "options": dict(options or {}),
    }
    return engine().merge(states, read(MergeSpec, body))


def _tensors(arrays: Mapping[str, Any]) -> Tensors:
    return Tensors(
        {name: _array(name, x) for name, x in arrays.items() if x is not None},
        frozenset(name for name, x in arrays.items() if not hasattr(x, "dtype")),
    )


def _array(name: str, x: Any) -> Array:
    try:
        return np.asarray(x)
    except ValueError:
        raise ShapeMismatch("lists must be of equal length", field=f"inputs.{name}") from None


def _string_keys(params: Mapping[str, Any]) -> dict[str, Any]:
    """Class weights may be keyed by numbers here, as in the frameworks; JSON has strings."""
    return {
        name: {str(k): v for k, v in value.items()} if isinstance(value, Mapping) else value
        for name, value in params.items()
    }
