"""A running container asked over both of its ports: container_smoke.py HTTP_PORT GRPC_PORT.

It needs grpcio, NumPy and the service's messages, and nothing else that is not Python's own: the
image has all of that, where the machine does not.
"""

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import grpc
import numpy as np
from google.protobuf.json_format import ParseDict
from grpc_health.v1 import health_pb2, health_pb2_grpc

from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import tensor_pb2
from lossmeter.v1.loss_service_pb2_grpc import LossServiceStub

DEMO = Path(__file__).resolve().parents[1] / "demo"
HOST = "127.0.0.1"
SECONDS = 60.0
JSON = "application/json"
INPUTS = {"predictions": [1.5, 5.0], "targets": [1.0, 2.0]}
HUBER = 1.3125
# In either file of demo/ that is sent.
ROWS = 228
# No proxy is asked for what is on this machine.
OPENER = build_opener(ProxyHandler({}))


def main() -> None:
    """Ask for everything that needs a library of its own to be there."""
    http_port, grpc_port = sys.argv[1:]
    url = f"http://{HOST}:{http_port}"
    health_and_metrics(url)
    over_rest(url)
    files_over_rest(url)
    with grpc.insecure_channel(f"{HOST}:{grpc_port}") as channel:
        over_grpc(channel)


def fetch(url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """The status and the body of an answer, whatever the status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with OPENER.open(Request(url, body, named), timeout=SECONDS) as answer:
            return answer.status, answer.read()
    except HTTPError as refused:
        return refused.code, refused.read()


def agree(what: str, found: object, expected: object) -> None:
    """Say what was asked, and end here if the answer is another."""
    if found != expected:
        sys.exit(f"{what}: {found!r}, not {expected!r}")
    print(what)


def health_and_metrics(url: str) -> None:
    """The pages that an orchestrator and Prometheus read."""
    for path in ("/livez", "/readyz", "/v2/health/ready", "/openapi.json", "/v1/losses"):
        agree(path, fetch(url + path)[0], 200)
    agree("/metrics", b"\nlossmeter_workers " in fetch(f"{url}/metrics")[1], True)


def over_rest(url: str) -> None:
    """JSON, on either backend, and a mistake."""
    for backend in ("numpy", "onnx"):
        request = {"loss": "huber", "inputs": INPUTS, "options": {"backend": backend}}
        agree(f"JSON, {backend}", evaluated(url, request)["value"], HUBER)
    status, problem = fetch(f"{url}/v1/evaluate", b'{"loss": "hubr"}', content_type=JSON)
    agree("an unknown loss", (status, json.loads(problem)["reason"]), (404, "LOSS_NOT_FOUND"))
    agree("a graph", fetch(f"{url}/v1/losses/huber/onnx")[0], 200)
    agree("an explanation", post(url, "/v1/explain", {"loss": "huber", "inputs": INPUTS})[0], 200)
    tensors = [
        {"name": name, "datatype": "FP64", "shape": [2], "data": x} for name, x in INPUTS.items()
    ]
    status, answer = post(url, "/v2/models/huber/infer", {"inputs": tensors})
    agree("inference protocol", (status, json.loads(answer)["outputs"][0]["data"]), (200, [HUBER]))


def files_over_rest(url: str) -> None:
    """Real predictions as Parquet and CSV; a loss as npz; loss values as Arrow."""
    forms = {
        "application/vnd.apache.parquet": ("breast_cancer.parquet", "probability"),
        "text/csv": ("breast_cancer.csv", "prediction"),
    }
    for form, (file, column) in forms.items():
        columns = {"predictions": column, "targets": "target"}
        asked = f"{url}/v1/evaluate?{urlencode({'loss': 'binary_cross_entropy', **columns})}"
        status, answer = fetch(asked, (DEMO / file).read_bytes(), content_type=form)
        agree(form, (status, json.loads(answer)["count"]), (200, ROWS))
    arrays = io.BytesIO()
    np.savez(arrays, allow_pickle=False, **{name: np.asarray(x) for name, x in INPUTS.items()})
    npz = f"{url}/v1/evaluate?loss=huber&reduction=none"
    arrow = "application/vnd.apache.arrow.stream"
    form = "application/x-npz"
    agree("npz", json.loads(fetch(npz, arrays.getvalue(), content_type=form)[1])["count"], 2)
    agree("Arrow", fetch(npz, arrays.getvalue(), content_type=form, accept=arrow)[0], 200)


def post(url: str, path: str, request: Mapping[str, Any]) -> tuple[int, bytes]:
    return fetch(url + path, json.dumps(request).encode(), content_type=JSON)


def evaluated(url: str, request: Mapping[str, Any]) -> Any:
    status, body = post(url, "/v1/evaluate", request)
    agree("its status", status, 200)
    return json.loads(body)


def over_grpc(channel: grpc.Channel) -> None:
    """A message, a stream, a mistake and the health check."""
    health = health_pb2_grpc.HealthStub(channel)
    status = health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS).status
    agree("gRPC health", status, health_pb2.HealthCheckResponse.SERVING)
    stub = LossServiceStub(channel)
    inputs = {name: tensor(x) for name, x in INPUTS.items()}
    answer = stub.Evaluate(pb.EvaluateRequest(loss="huber", inputs=inputs), timeout=SECONDS)
    agree("gRPC", np.frombuffer(answer.value.data), [HUBER])
    spec = pb.EvaluateStreamRequest(spec=ParseDict({"loss": "huber"}, pb.EvaluateRequest()))
    chunk = pb.EvaluateStreamRequest(chunk=pb.EvaluateStreamRequest.Chunk(inputs=inputs))
    answer = stub.EvaluateStream(iter([spec, chunk, chunk]), timeout=SECONDS)
    agree("gRPC stream", (np.frombuffer(answer.value.data), answer.count), ([HUBER], 4))
    try:
        stub.Evaluate(pb.EvaluateRequest(loss="hubr", inputs=inputs), timeout=SECONDS)
    except grpc.RpcError as refused:
        agree("an unknown loss over gRPC", refused.code(), grpc.StatusCode.NOT_FOUND)
    else:
        sys.exit("an unknown loss was evaluated over gRPC")


def tensor(values: list[float]) -> tensor_pb2.Tensor:
    x = np.asarray(values, "<f8")
    return tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_FLOAT64, shape=x.shape, data=x.tobytes())


if __name__ == "__main__":
    main()
