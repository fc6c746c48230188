"""A folder of graphs: what lies there is a loss by the name of its file, for as long as it lies."""

import hashlib
import logging
import os
import re
import stat
import threading
import time
from collections.abc import Iterator

from lossmeter.backends.graphs.graph import Graph, loss_of
from lossmeter.backends.graphs.sandbox import Failed, Limits, Sandbox
from lossmeter.backends.graphs.trial import Trial
from lossmeter.backends.runtime import runtime_version
from lossmeter.core.declare import NAMES, Loss
from lossmeter.core.own import OWN
from lossmeter.errors import Overloaded

logger = logging.getLogger(__name__)

SOURCE, SUFFIX = "folder", ".onnx"
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
MOST_BYTES = 64 * 2**20
MOST_TOGETHER = 1024 * 2**20
MOST_GRAPHS = 256
POLL_SECONDS = 1.0
# How long a trial of some eighty runs may take, in times of what one may.
TRIAL = 3
# How long a stream may pause after its graph was replaced.
PAUSE_SECONDS = 60.0
MOST_CHARACTERS = 200
# What tells that a file is another, without reading it.
Mark = tuple[int, ...]


class Folder:
    """The losses of a folder, read again whenever a file changes.

    Args:
        path: The folder.
        limits: What a graph may take.

    Raises:
        OSError: There is no such folder.
        BackendUnsupported: ONNX Runtime is not installed.
    """

    def __init__(self, path: str, limits: Limits) -> None:
        runtime_version("losses")
        self._path = path
        self._sandbox = Sandbox(limits)
        self._marks: dict[str, Mark] = {}
        self._graphs: dict[str, Graph] = {}
        self._losses: dict[str, Loss] = {}
        self._replaced: list[Graph] = []
        self._stopping = threading.Event()
        self.read()

    def watch(self) -> None:
        """Read again every second from now on, in a thread of its own."""
        threading.Thread(target=self._watch, name="losses", daemon=True).start()

    def _watch(self) -> None:
        trouble = ""
        while not self._stopping.wait(POLL_SECONDS):
            before, trouble = trouble, ""
            try:
                self.read()
            except OSError as error:
                trouble = str(error.strerror)
            if trouble != before:
                logger.warning("the folder of losses: %s", trouble or "can be read again")

    def close(self) -> None:
        """End the watch and all processes; the losses are gone."""
        self._stopping.set()
        OWN.replace(SOURCE, {})
        self._sandbox.close()

    def read(self) -> None:
        """Take what is new, and let go of what is gone.

        Raises:
            OSError: The folder cannot be read; its losses stay as they were.
        """
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = dict(_marks(folder))
            changed = [name for name, mark in found.items() if self._marks.get(name) != mark]
            gone = self._marks.keys() - found.keys()
            self._marks = found
            for name in sorted(gone & self._losses.keys()):
                self._drop(name)
                logger.info("loss %s is gone", name)
            taken = [self._take(name, folder) for name in sorted(changed)]
        finally:
            os.close(folder)
        if any(taken) or gone:
            OWN.replace(SOURCE, self._losses)
        self._forget()

    def _take(self, name: str, folder: int) -> bool:
        """Whether the file has become a loss, or another one than it was."""
        before = self._graphs.get(name)
        try:
            content = _content(name, folder)
            if before is not None and before.digest == hashlib.sha256(content).hexdigest():
                return False
            self._check_room(name, content)
            graph = self._proved(content)
        except Overloaded:
            del self._marks[name]  # tried again with the next reading
            return False
        except (Failed, OSError) as error:
            kept = "; the one before stays" if before else ""
            logger.warning("loss %s is refused: it %s%s", _plain(name), _plain(str(error)), kept)
            return False
        except Exception:
            logger.exception("loss %s is refused", _plain(name))  # and disturbs no other
            return False
        self._drop(name)
        self._graphs[name], self._losses[name] = graph, loss_of(name, graph)
        logger.info("loss %s is %s", name, "replaced" if before else "there")
        return True

    def _check_room(self, name: str, content: bytes) -> None:
        others = [graph.size for other, graph in self._graphs.items() if other != name]
        if len(others) >= MOST_GRAPHS or sum(others) + len(content) > MOST_TOGETHER:
            raise Failed(f"is beyond {MOST_GRAPHS} graphs, or {MOST_TOGETHER} bytes together")

    def _proved(self, content: bytes) -> Graph:
        graph = Graph(content, self._sandbox)
        try:
            Trial(graph, TRIAL * self._sandbox.limits.seconds).settle()
        except Failed:
            graph.forget()
            raise
        return graph

    def _drop(self, name: str) -> None:
        graph = self._graphs.pop(name, None)
        self._losses.pop(name, None)
        if graph is not None:
            self._replaced.append(graph)

    def _forget(self) -> None:
        """Let go of graphs that were replaced, once nobody is in the middle of a batch."""
        before = time.monotonic() - PAUSE_SECONDS
        for graph in [graph for graph in self._replaced if graph.used_at < before]:
            graph.forget()
            self._replaced.remove(graph)


def _marks(folder: int) -> Iterator[tuple[str, Mark]]:
    """The graphs that lie there, by the names of their losses."""
    with os.scandir(folder) as entries:
        files = [entry.name for entry in entries if entry.name.endswith(SUFFIX)]
    for file in files:
        try:
            found = os.stat(file, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
        mark = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        yield file.removesuffix(SUFFIX), mark


def _content(name: str, folder: int) -> bytes:
    """The bytes of a file, read once: they are checked, and they are run.

    Raises:
        Failed: It cannot be a loss, whatever it holds.
    """
    if not NAME.fullmatch(name):
        raise Failed("has a name that is not of small letters, digits and _, 64 at most")
    if name in NAMES:
        raise Failed("has the name of a loss of the catalogue")
    if OWN.taken(name, SOURCE):
        raise Failed("has the name of a loss of the settings")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        opened = os.open(name + SUFFIX, flags, dir_fd=folder)
    except OSError as error:
        raise Failed(f"cannot be opened: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise Failed("is no regular file")
        with open(opened, "rb", closefd=False) as file:
            content = file.read(MOST_BYTES + 1)
    finally:
        os.close(opened)
    if len(content) > MOST_BYTES:
        raise Failed(f"has more than {MOST_BYTES} bytes")
    return content


def _plain(text: str) -> str:
    """One line of printable text, for the log: a file's name or a checker's words may hold any."""
    line = " ".join(text.split())[:MOST_CHARACTERS]
    return "".join(c if c.isprintable() else "?" for c in line)
