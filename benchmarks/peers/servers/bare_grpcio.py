"""grpcio without messages: bytes, unary and in a stream, and repeated floats from a .proto."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np

from servers.loss import answer, weighted_bce

sys.path.insert(0, str(Path(__file__).parent))
messages = grpc.protos("messages.proto")


def unary(request, context):
    return answer(request)


def stream(requests, context):
    return answer(b"".join(requests))


def repeated(request, context):
    weights = np.array(request.weights, np.float32)
    shape = weights.size, -1
    logits = np.array(request.logits, np.float32).reshape(shape)
    targets = np.array(request.targets, np.float32).reshape(shape)
    return messages.Loss(value=weighted_bce(logits, targets, weights))


handlers = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Stream": grpc.stream_unary_rpc_method_handler(stream),
    "Repeated": grpc.unary_unary_rpc_method_handler(
        repeated, messages.Floats.FromString, messages.Loss.SerializeToString
    ),
}
options = [("grpc.max_receive_message_length", -1)]
server = grpc.server(ThreadPoolExecutor(16), options=options)
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Bare", handlers)])
server.add_insecure_port(f"127.0.0.1:{sys.argv[2]}")
server.start()
server.wait_for_termination()
