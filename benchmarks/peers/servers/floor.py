"""The floor: a socket and NumPy, a thread for each connection."""

import sys
from socket import IPPROTO_TCP, TCP_NODELAY
from socketserver import StreamRequestHandler, ThreadingTCPServer

from servers.loss import HEADER, answer, size


class Handler(StreamRequestHandler):
    rbufsize = 2**16

    def handle(self) -> None:
        self.request.setsockopt(IPPROTO_TCP, TCP_NODELAY, True)
        while header := self.rfile.read(HEADER.size):
            request = bytearray(HEADER.size + size(header))
            request[: HEADER.size] = header
            self.rfile.readinto(memoryview(request)[HEADER.size :])
            self.request.sendall(answer(request))


class Server(ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
