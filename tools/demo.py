"""Real models' held-out predictions, evaluated every way, beside scikit-learn's numbers.

The predictions in demo/ were made by tools/make_predictions.py. Each is evaluated over REST, over
gRPC in one message and as a stream, and in process; the four must agree to the bit.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pyarrow.parquet
from google.protobuf.json_format import ParseDict
from rich.console import Console
from rich.table import Table
from sklearn import metrics

from lossmeter import evaluate
from lossmeter.app.answer import Answer
from lossmeter.core.arrays import Array
from lossmeter.transports.serve import free_port
from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import loss_service_pb2_grpc as pb_grpc
from lossmeter.wire.protobuf import read_tensor, tensor_message

DEMO = Path(__file__).resolve().parents[1] / "demo"
HOST = "127.0.0.1"
CHUNK = 50
# How near scikit-learn must be: both round, we once and it at every step.
TOLERANCE = 1e-12
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Job:
    """One evaluation and scikit-learn's answer to it.

    Attributes:
        data: Name of the file in demo/.
        title: What it shows.
        request: The request, without inputs.
        arrays: The inputs.
        reference: scikit-learn's number.
    """

    data: str
    title: str
    request: Mapping[str, Any]
    arrays: Arrays = field(repr=False)
    reference: float


def columns(name: str) -> Arrays:
    """The columns of a file of demo/."""
    table = pyarrow.parquet.read_table(DEMO / f"{name}.parquet")
    return {column: table[column].to_numpy() for column in table.column_names}


def jobs() -> list[Job]:
    """What is evaluated."""
    return [*digits(), *breast_cancer(), *diabetes()]


def digits() -> list[Job]:
    """Ten classes, a logistic regression."""
    data = columns("digits")
    p, y = np.stack([data[f"p{c}"] for c in range(10)], axis=1), data["target"]
    arrays = {"predictions": p, "targets": y}
    loss = "sparse_categorical_cross_entropy"
    return [
        Job("digits", "log loss", {"loss": loss}, arrays, metrics.log_loss(y, p)),
        Job(
            "digits",
            "log loss, classes balanced",
            {"loss": loss, "reduction": "weighted_mean"},
            {**arrays, "sample_weight": 1.0 / np.bincount(y)[y]},
            metrics.log_loss(y, p, sample_weight=1.0 / np.bincount(y)[y]),
        ),
    ]


def breast_cancer() -> list[Job]:
    """Two classes, probabilities and logits of one model."""
    data = columns("breast_cancer")
    p, x, y, w = (data[name] for name in ("probability", "logit", "target", "sample_weight"))
    weighted = {"reduction": "weighted_mean"}
    return [
        Job(
            "breast cancer",
            "weighted log loss",
            {"loss": "binary_cross_entropy", **weighted},
            {"predictions": p, "targets": y, "sample_weight": w},
            metrics.log_loss(y, p, sample_weight=w),
        ),
        Job(
            "breast cancer",
            "the same from logits",
            {"loss": "torch.nn.BCEWithLogitsLoss", **weighted},
            {"predictions": x, "targets": y, "sample_weight": w},
            metrics.log_loss(y, p, sample_weight=w),
        ),
    ]


def diabetes() -> list[Job]:
    """A regression."""
    data = columns("diabetes")
    p, y = data["prediction"], data["target"]
    arrays = {"predictions": p, "targets": y}
    pinball = {"loss": "pinball", "params": {"quantile": 0.9}}
    return [
        Job(
            "diabetes",
            "RMSE",
            {"loss": "root_mean_squared_error"},
            arrays,
            metrics.root_mean_squared_error(y, p),
        ),
        Job(
            "diabetes",
            "mean absolute error",
            {"loss": "absolute_error"},
            arrays,
            metrics.mean_absolute_error(y, p),
        ),
        Job(
            "diabetes",
            "greatest error",
            {"loss": "absolute_error", "reduction": "max"},
            arrays,
            metrics.max_error(y, p),
        ),
        Job(
            "diabetes", "pinball, 0.9", pinball, arrays, metrics.mean_pinball_loss(y, p, alpha=0.9)
        ),
    ]


@contextmanager
def service() -> Iterator[tuple[int, int]]:
    """The service on free ports, ready."""
    ports = free_port(HOST, 0), free_port(HOST, 0)
    command = [str(Path(sys.executable).parent / "lossmeter"), "serve"]
    flags = ["--http-port", str(ports[0]), "--grpc-port", str(ports[1])]
    process = subprocess.Popen([*command, *flags], stderr=subprocess.DEVNULL)
    try:
        retrying = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=retrying, timeout=30) as client:
            client.get(f"http://{HOST}:{ports[0]}/readyz").raise_for_status()
        yield ports
    finally:
        process.terminate()
        process.wait()


def over_rest(job: Job, port: int) -> float:
    """One JSON request."""
    inputs = {name: x.tolist() for name, x in job.arrays.items()}
    url = f"http://{HOST}:{port}/v1/evaluate"
    answer = httpx.post(url, json={**job.request, "inputs": inputs})
    answer.raise_for_status()
    return float(answer.json()["value"])


def over_grpc(job: Job, stub: pb_grpc.LossServiceStub) -> float:
    """One message."""
    request = ParseDict(dict(job.request), pb.EvaluateRequest())
    for name, x in job.arrays.items():
        request.inputs[name].CopyFrom(tensor_message(x))
    return value_of(stub.Evaluate(request))


def over_stream(job: Job, stub: pb_grpc.LossServiceStub) -> float:
    """A message of 50 rows after another."""

    def messages() -> Iterator[pb.EvaluateStreamRequest]:
        spec = ParseDict(dict(job.request), pb.EvaluateRequest())
        yield pb.EvaluateStreamRequest(spec=spec)
        for start in range(0, len(job.arrays["targets"]), CHUNK):
            rows = {
                name: tensor_message(x[start : start + CHUNK]) for name, x in job.arrays.items()
            }
            yield pb.EvaluateStreamRequest(chunk=pb.EvaluateStreamRequest.Chunk(inputs=rows))

    return value_of(stub.EvaluateStream(messages()))


def value_of(response: pb.EvaluateResponse) -> float:
    """The number in an answer."""
    return float(read_tensor(response.value, "value"))


def in_process(job: Job) -> float:
    """No service at all."""
    answer = evaluate(inputs=job.arrays, **job.request)
    assert isinstance(answer, Answer)
    return float(answer)


def main() -> int:
    """Print the table; fail where two numbers that must agree do not."""
    table = Table("data", "loss", "value", "scikit-learn", "same bits", "equal", box=None)
    good = True
    with service() as (http_port, grpc_port), grpc.insecure_channel(f"{HOST}:{grpc_port}") as open_:
        stub = pb_grpc.LossServiceStub(open_)
        ways: list[Callable[[Job], float]] = [
            lambda job: over_rest(job, http_port),
            lambda job: over_grpc(job, stub),
            lambda job: over_stream(job, stub),
            in_process,
        ]
        for job in jobs():
            values = [way(job) for way in ways]
            same = len({value.hex() for value in values}) == 1
            near = abs(values[0] - job.reference) <= TOLERANCE * abs(job.reference)
            good = good and same and near
            table.add_row(
                job.data,
                job.title,
                f"{values[0]:.15g}",
                f"{job.reference:.15g}",
                said(same),
                said(near),
            )
    console = Console(width=110)
    console.print("Held-out predictions of real models; REST, gRPC, gRPC stream and in process:\n")
    console.print(table)
    console.print(
        "\nsame bits: all four ways gave one float64; equal: to scikit-learn within "
        f"{TOLERANCE:g} relative."
    )
    return 0 if good else 1


def said(good: bool) -> str:
    """A truth for the table."""
    return "[green]yes[/]" if good else "[red]NO[/]"


if __name__ == "__main__":
    sys.exit(main())
