"""Arrow Flight: record batches in by do_put, the loss in a message back."""

import sys

import numpy as np
import pyarrow.flight

from servers.loss import ANSWER, weighted_bce


def values(column) -> np.ndarray:
    return np.concatenate([chunk.flatten().to_numpy() for chunk in column.chunks])


class Server(pyarrow.flight.FlightServerBase):
    def do_put(self, context, descriptor, reader, writer):
        table = reader.read_all()
        weights = table["sample_weight"].to_numpy()
        logits, targets = (values(table[x]) for x in ("predictions", "targets"))
        shape = weights.size, -1
        value = weighted_bce(logits.reshape(shape), targets.reshape(shape), weights)
        writer.write(ANSWER.pack(value))


Server(f"grpc://127.0.0.1:{sys.argv[2]}").serve()
