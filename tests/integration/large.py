"""Large requests without a pause: python large.py WIRE HTTP_PORT GRPC_PORT, until it is killed."""

import base64
import socket
import sys
import threading
from collections.abc import Callable

import grpc
import numpy as np
import orjson

from lossmeter.v1 import loss_service_pb2 as pb
from lossmeter.v1 import tensor_pb2

HOST, AT_ONCE, ROWS = "127.0.0.1", 4, 65_536
# Of a request.
MEGABYTES = 80


def rest(port: int) -> Callable[[], None]:
    """JSON with base64 in it, over a connection of its own."""
    x = np.random.default_rng(1).normal(size=MEGABYTES * 10**6 // 2 * 3 // 4 // 8)
    tensor = {
        "dtype": "float64",
        "shape": x.shape,
        "base64": base64.b64encode(x.tobytes()).decode(),
    }
    inputs = {"predictions": tensor, "targets": tensor}
    content = orjson.dumps({"loss": "log_cosh", "inputs": inputs})
    head = f"POST /v1/evaluate HTTP/1.1\r\nHost: here\r\nContent-Length: {len(content)}\r\n\r\n"
    caller = socket.create_connection((HOST, port))

    def ask() -> None:
        caller.sendall(head.encode())
        caller.sendall(content)
        answer = b""
        while not answer.endswith(b"}"):
            answer += caller.recv(65536)
        assert b" 200 OK" in answer

    return ask


def stream(port: int) -> Callable[[], None]:
    """A gRPC stream of 1 MiB chunks, over a connection of its own."""
    x = np.random.default_rng(1).normal(size=ROWS)
    rows = tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_FLOAT64, shape=x.shape, data=x.tobytes())
    inputs = {"predictions": rows, "targets": rows}
    chunk = pb.EvaluateStreamRequest(chunk=pb.EvaluateStreamRequest.Chunk(inputs=inputs))
    spec = pb.EvaluateStreamRequest(spec=pb.EvaluateRequest(loss="log_cosh"))
    # Written once, so that the caller takes little of what the service needs.
    messages = [spec.SerializeToString()] + [chunk.SerializeToString()] * MEGABYTES
    channel = grpc.insecure_channel(f"{HOST}:{port}", [("grpc.use_local_subchannel_pool", 1)])
    call = channel.stream_unary("/lossmeter.v1.LossService/EvaluateStream", None, None)

    def ask() -> None:
        call(iter(messages))

    return ask


def keep_on(ask: Callable[[], None]) -> None:
    while True:
        ask()
        print("answered", flush=True)


def main() -> None:
    """Ask for ever, several at once."""
    wire, http_port, grpc_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for _ in range(AT_ONCE):
        ask = rest(http_port) if wire == "rest" else stream(grpc_port)
        threading.Thread(target=keep_on, args=(ask,)).start()


if __name__ == "__main__":
    main()
