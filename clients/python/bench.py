"""This client beside bare gRPC, as one line of JSON: python bench.py.

It asks the service at LOSSMETER_GRPC, and sends the same bytes to the echo at LOSSMETER_ECHO, which
does nothing with them. Times are medians: seconds of a batch of 84 MB, milliseconds of a small one.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import numpy as np

from lossmeter_client import Client

LOSS, REDUCTION = "binary_cross_entropy_with_logits", "weighted_mean"
LARGE, SMALL, COLUMNS = 1_000_000, 32, 10
TIMES_LARGE, TIMES_SMALL = 5, 300
MIB = 2**20


def batch(rows: int) -> Mapping[str, Any]:
    """Logits, probabilities and weights in float32."""
    rng = np.random.default_rng(0)
    shape = (rows, COLUMNS)
    return {
        "predictions": rng.normal(size=shape).astype(np.float32),
        "targets": rng.random(shape, dtype=np.float32),
        "sample_weight": rng.random(rows, dtype=np.float32),
    }


def median_seconds(call: Callable[[], object], times: int) -> float:
    """The median time of a call, which is made once before it counts."""
    call()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def of_client(target: str) -> tuple[float, float]:
    """Seconds of a large batch and of a small one through the client."""
    large, small = batch(LARGE), batch(SMALL)
    with Client(target) as client:
        return (
            median_seconds(lambda: client.evaluate(LOSS, large, reduction=REDUCTION), TIMES_LARGE),
            median_seconds(lambda: client.evaluate(LOSS, small, reduction=REDUCTION), TIMES_SMALL),
        )


def of_bare_grpc(target: str) -> tuple[float, float]:
    """The same of as many bytes without the client."""
    large, small = (b"".join(x.tobytes() for x in batch(rows).values()) for rows in (LARGE, SMALL))
    pieces = [large[start : start + MIB] for start in range(0, len(large), MIB)]
    with grpc.insecure_channel(target) as channel:
        stream = channel.stream_unary("/lossmeter.bench.Echo/Stream", None, None)
        unary = channel.unary_unary("/lossmeter.bench.Echo/Unary", None, None)
        return (
            median_seconds(lambda: stream(iter(pieces)), TIMES_LARGE),
            median_seconds(lambda: unary(small), TIMES_SMALL),
        )


def main() -> None:
    """Print the line."""
    large, small = of_client(os.environ["LOSSMETER_GRPC"])
    echo_large, echo_small = of_bare_grpc(os.environ["LOSSMETER_ECHO"])
    found = {
        "client": "python",
        "large_seconds": large,
        "small_ms": 1000 * small,
        "echo_large_seconds": echo_large,
        "echo_small_ms": 1000 * echo_small,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
