"""A gRPC service of raw bytes that computes nothing: python -m benchmarks.clients.echo PORT."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

ANSWER = bytes(8)


def unary(_request: bytes, _context: Any) -> bytes:
    return ANSWER


def stream(requests: Iterator[bytes], _context: Any) -> bytes:
    for _ in requests:
        pass
    return ANSWER


def main(port: str) -> None:
    """Answer 8 bytes to whatever comes, until the process is ended."""
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.stream_unary_rpc_method_handler(stream),
    }
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(4), options=options)
    generic = grpc.method_handlers_generic_handler("lossmeter.bench.Echo", handlers)
    server.add_generic_rpc_handlers([generic])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1])
