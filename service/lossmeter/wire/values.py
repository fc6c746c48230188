"""The loss values of an answer in the forms that arrays have: npy, npz and Arrow."""

import io
from collections.abc import Callable, Mapping

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.ipc

from lossmeter.app.answer import Answer, Answers
from lossmeter.core.arrays import Array
from lossmeter.wire.answers import answer_fields

COLUMN, ABOUT = "loss", b"lossmeter"
ARROW = "application/vnd.apache.arrow.stream"


def values_body(answer: Answer | Answers, media: str) -> bytes | None:
    """The loss values that ``none`` answers, in a form of arrays.

    Returns:
        None where the answer is something else, or there is no such form.
    """
    write = WRITERS.get(media)
    if write is None or not isinstance(answer, Answer) or answer.reduction != "none":
        return None
    if isinstance(answer.value, Mapping):
        return None
    values = np.asarray(answer.value)
    kept = np.ones(values.shape, bool) if answer.kept is None else answer.kept
    return write(answer, values, kept)


def _npy(_: Answer, values: Array, __: Array) -> bytes:
    body = io.BytesIO()
    np.save(body, np.ascontiguousarray(values).reshape(values.shape), allow_pickle=False)
    return body.getvalue()


def _npz(_: Answer, values: Array, kept: Array) -> bytes:
    body = io.BytesIO()
    np.savez(body, loss=values, kept=kept)
    return body.getvalue()


def _arrow(answer: Answer, values: Array, kept: Array) -> bytes:
    """A column of the loss values, null where masked, and what the answer says besides."""
    hidden = None if answer.masked is not None else ~kept.reshape(-1)
    column = pa.array(values.reshape(-1), mask=hidden)
    for size in reversed(values.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    about = {name: x for name, x in answer_fields(answer).items() if name != "value"}
    schema = pa.schema([(COLUMN, column.type)], {ABOUT: orjson.dumps(about)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([column], schema=schema))
    return bytes(sink.getvalue())


WRITERS: Mapping[str, Callable[[Answer, Array, Array], bytes]] = {
    ARROW: _arrow,
    "application/x-npy": _npy,
    "application/x-npz": _npz,
}
