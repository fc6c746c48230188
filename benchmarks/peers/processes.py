"""A server's processes: started, watched and ended."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from benchmarks.peers.catalogue import LOSSMETER
from benchmarks.peers.environments import BIN, HERE, python

END_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that was started.

    Attributes:
        ports: Of REST and of gRPC.
        process: The one that was started.
        log: What it prints.
    """

    ports: tuple[int, int]
    process: subprocess.Popen[bytes]
    log: Path

    def ended(self) -> str | None:
        """Its last words, if it ended by itself."""
        if self.process.poll() is None:
            return None
        lines = self.log.read_text(errors="replace").splitlines()
        words = (line.strip() for line in reversed(lines) if any(map(str.isalpha, line)))
        return next(words, "it ended")

    def peak_bytes(self) -> int:
        """The most memory that its processes had, added up; what they share counts for each."""
        return sum(_peak(pid) for pid in family(self.process.pid))


def family(pid: int) -> list[int]:
    """A process and those that descend from it."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _peak(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


@contextmanager
def running(server: str, *arguments: str, **variables: str) -> Iterator[Server]:
    """A server on free ports, which may not answer yet.

    Args:
        server: Its name in servers/, or the service itself.
        arguments: Flags of the service.
        variables: Of its environment, beside those that are there.

    Raises:
        NotInstalled: Its packages cannot be had here.
    """
    ports = _free_ports()
    texts = [str(port) for port in ports]
    if server == LOSSMETER:
        serve = [str(BIN / "lossmeter"), "serve", "--http-port", texts[0], "--grpc-port", texts[1]]
        command, folder = [*serve, *arguments], None
    else:
        command, folder = [str(python(server)), "-m", f"servers.{server}", *texts], HERE
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        with log.open("wb") as out:
            environment = {**os.environ, **variables}
            process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, env=environment)
        try:
            yield Server(ports, process, log)
        finally:
            _end(process)


def end_when_told() -> None:
    """Take SIGTERM as an exit, so that the server that runs is ended too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _free_ports() -> tuple[int, int]:
    with socket() as one, socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the first process to end, and end what is left of its family."""
    members = family(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    deadline = time.monotonic() + 1.0
    while any(map(_alive, members)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in filter(_alive, members):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
