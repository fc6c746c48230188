"""A stream of any number of rows, of which one chunk is held and sent again and again."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import numpy as np
import pyarrow as pa

from benchmarks.peers.batch import Arrays
from benchmarks.peers.bodies import LOSS, REDUCTION, columns, specified, tensors
from benchmarks.peers.servers.loss import weighted_bce
from benchmarks.peers.wires import head
from lossmeter.v1 import loss_service_pb2 as pb

CHUNK_ROWS = 65_536
ARROW_END = b"\xff\xff\xff\xff\0\0\0\0"


@dataclass(frozen=True)
class Stream:
    """Rows of single numbers: logits, targets and weights, float32, 12 bytes a row.

    Attributes:
        rows: How many.
    """

    rows: int

    @cached_property
    def parts(self) -> list[tuple[Arrays, int]]:
        """The chunk, and what is left over; each with how often it comes."""
        rng = np.random.default_rng(0)
        logits = rng.standard_normal(CHUNK_ROWS, np.float32)
        targets = (rng.random(CHUNK_ROWS, np.float32) < 0.5).astype(np.float32)
        weights = rng.random(CHUNK_ROWS, np.float32) + np.float32(0.5)
        chunk = {"predictions": logits, "targets": targets, "sample_weight": weights}
        whole, rest = divmod(self.rows, CHUNK_ROWS)
        left = {name: x[:rest] for name, x in chunk.items()}
        return [part for part in ((chunk, whole), (left, 1)) if part[1] and part[0]["targets"].size]

    @cached_property
    def value(self) -> float:
        """Its weighted mean."""
        sums = np.zeros(2)
        for arrays, times in self.parts:
            logits, targets, weights = arrays.values()
            weight = times * weights.sum(dtype=np.float64)
            mean = weighted_bce(logits[:, None], targets[:, None], weights)
            sums += mean * weight, weight
        return float(sums[0] / sums[1])

    @cached_property
    def _messages(self) -> list[tuple[bytes, int]]:
        chunk = pb.EvaluateStreamRequest.Chunk
        requests = [
            (pb.EvaluateStreamRequest(chunk=chunk(inputs=tensors(arrays))), times)
            for arrays, times in self.parts
        ]
        return [(request.SerializeToString(), times) for request, times in requests]

    def messages(self) -> Iterator[bytes]:
        """Of a gRPC stream."""
        yield pb.EvaluateStreamRequest(spec=specified({})).SerializeToString()
        for message, times in self._messages:
            yield from repeat(message, times)

    @cached_property
    def _batches(self) -> list[tuple[pa.RecordBatch, int]]:
        return [(pa.record_batch(columns(arrays)), times) for arrays, times in self.parts]

    @cached_property
    def _arrow(self) -> list[tuple[bytes, int]]:
        schema = self._batches[0][0].schema.serialize().to_pybytes()
        batches = [(batch.serialize().to_pybytes(), times) for batch, times in self._batches]
        return [(schema, 1), *batches, (ARROW_END, 1)]

    def body(self) -> Iterator[bytes]:
        """Of a REST request, headers first, whose body is an Arrow stream."""
        length = sum(len(piece) * times for piece, times in self._arrow)
        media = {"content-type": "application/vnd.apache.arrow.stream"}
        yield head(f"/v1/evaluate?loss={LOSS}&reduction={REDUCTION}", media, length)
        for piece, times in self._arrow:
            yield from repeat(piece, times)
