"""Processes of their own for graphs: without files, with little memory, and for a short time."""

import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lossmeter.errors import Overloaded

# Other programs than the service's: started by their paths, and imported nowhere.
CHECKS, CHILD = (Path(__file__).with_name(name) for name in ("checks.py", "child.py"))
# What child.py replies.
DONE, MEMORY, MISSHAPEN = b"+", b"m", b"s"
MOST_PROCESSES = 16
START_SECONDS = 60.0
MOST_REPLY = 2**20
MIB = 2**20
# What the service's environment holds is not for them, but for what its Python starts by.
ENVIRONMENT = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ} | {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "MALLOC_ARENA_MAX": "1",
}
FORBIDDEN = (
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NPROC,
    resource.RLIMIT_CORE,
)


class Failed(Exception):
    """A graph that did not do what was asked; the words go on from "the graph"."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a graph may take.

    Attributes:
        seconds: Time to be loaded, and to evaluate a block.
        memory: Bytes beyond those of its process before it is loaded.
    """

    seconds: float = 10.0
    memory: int = 2048 * MIB


class Confined:
    """A process with one wire to it.

    Args:
        script: What it runs; its first byte says that it has imported what it needs.
        limits: What it may take from then on.

    Raises:
        Failed: It did not start.
    """

    def __init__(self, script: Path, limits: Limits) -> None:
        self._limits = limits
        try:
            self._wire, theirs = socket.socketpair()
            with theirs:
                self._process = _started(script, theirs)
        except OSError as error:
            raise Failed(f"got no process: {error.strerror}") from None
        self.receive(1, START_SECONDS)
        self._confine()

    def _confine(self) -> None:
        pid = self._process.pid
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
            memory = pages * resource.getpagesize() + self._limits.memory
            resource.prlimit(pid, resource.RLIMIT_AS, (memory, memory))
            for what in FORBIDDEN:
                resource.prlimit(pid, what, (0, 0))
        except OSError as error:
            raise self._ended(error) from None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def send(self, parts: Iterable[bytes | memoryview]) -> None:
        """Send all parts within the limit of time.

        Raises:
            Failed: It did not read them.
        """
        ends = time.monotonic() + self._limits.seconds
        try:
            for part in parts:
                self._wire.settimeout(max(ends - time.monotonic(), 0.001))
                self._wire.sendall(part)
        except OSError as error:
            raise self._ended(error) from None

    def receive(self, size: int, seconds: float | None = None) -> bytearray:
        """Wait for so many bytes.

        Raises:
            Failed: They did not come within the limit of time.
        """
        ends = time.monotonic() + (self._limits.seconds if seconds is None else seconds)
        received = bytearray(size)
        left = memoryview(received)
        try:
            while left:
                self._wire.settimeout(max(ends - time.monotonic(), 0.001))
                count = self._wire.recv_into(left)
                if not count:
                    raise ConnectionResetError
                left = left[count:]
        except OSError as error:
            raise self._ended(error) from None
        return received

    def _ended(self, error: OSError) -> Failed:
        self.stop()
        if isinstance(error, TimeoutError):
            return Failed(f"ran past its limit of {self._limits.seconds:g} seconds")
        return Failed("ended its process, which is started again for the next request")

    def stop(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        self._wire.close()


def _started(script: Path, wire: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", str(script)],
        stdin=wire.fileno(),
        stdout=subprocess.DEVNULL,
        # Messages of a runtime may hold a caller's data.
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        cwd="/",
        # Ctrl-C stops the service, which lets calls in flight finish.
        start_new_session=True,
    )


class Tenant(Protocol):
    """What has a process in a sandbox."""

    lock: threading.Lock

    def leave(self) -> None:
        """End the process, if there is one."""


class Sandbox:
    """The processes of all graphs, of which a limited number live at a time.

    Args:
        limits: What each graph may take.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        # In the order in which they were last used.
        self._tenants: dict[Tenant, None] = {}
        self._closed = False

    def check(self, content: bytes) -> Mapping[str, Any]:
        """What a graph takes and gives, as ``checks.check`` tells it.

        Raises:
            Failed: It is refused.
        """
        process = Confined(CHECKS, self.limits)
        try:
            process.send([len(content).to_bytes(8, "little"), content])
            size = int.from_bytes(process.receive(8), "little")
            if size > MOST_REPLY:
                raise Failed("has more names than it may")
            found: Mapping[str, Any] = json.loads(process.receive(size))
        finally:
            process.stop()
        if "refused" in found:
            raise Failed(found["refused"])
        return found

    def start(self, tenant: Tenant, content: bytes) -> Confined:
        """A process that has loaded a graph, in place of the one that was used longest ago.

        Raises:
            Failed: The graph cannot be loaded.
            Overloaded: All others are in use.
        """
        self._make_room(tenant)
        process = Confined(CHILD, self.limits)
        process.send([*told({"seconds": self.limits.seconds, "bytes": len(content)}), content])
        said = bytes(process.receive(1))
        if said != DONE:
            words = process.receive(process.receive(1)[0]).decode(errors="replace")
            process.stop()
            raise self.failed(said, f"cannot be loaded by ONNX Runtime: {words}")
        return process

    def failed(self, said: bytes, otherwise: str = "failed on these inputs") -> Failed:
        """What a reply means that is not the one wanted."""
        means = {
            MEMORY: f"needs more than its limit of {self.limits.memory // MIB} MiB of memory",
            MISSHAPEN: "gave values of another shape than one per sample",
        }
        return Failed(means.get(said, otherwise))

    def use(self, tenant: Tenant) -> None:
        """Note that a process is in use."""
        with self._lock:
            self._tenants.pop(tenant, None)
            self._tenants[tenant] = None

    def release(self, tenant: Tenant) -> None:
        """Note that a graph will not be used again."""
        with self._lock:
            self._tenants.pop(tenant, None)

    def _make_room(self, tenant: Tenant) -> None:
        with self._lock:
            if self._closed:
                raise Failed("was taken away; the service is stopping")
            self._tenants.pop(tenant, None)
            for other in list(self._tenants):
                if len(self._tenants) < MOST_PROCESSES:
                    break
                # One that runs now is passed over.
                if other.lock.acquire(blocking=False):
                    other.leave()
                    other.lock.release()
                    del self._tenants[other]
            if len(self._tenants) >= MOST_PROCESSES:
                raise Overloaded("too many graphs are in use; try again", field="loss")
            self._tenants[tenant] = None

    def close(self) -> None:
        """End all processes, whatever they do."""
        with self._lock:
            self._closed = True
            for tenant in self._tenants:
                tenant.leave()


def told(head: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The head of a request, its length first."""
    text = json.dumps(head).encode()
    return len(text).to_bytes(4, "little"), text
