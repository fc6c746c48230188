"""Processes that serve the same ports: how they are watched, replaced and let go."""

import socket
from collections.abc import Callable

import uvicorn
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process


class Workers(Multiprocess):
    """uvicorn's supervisor, with a socket of REST for each worker.

    The kernel spreads connections over the sockets (SO_REUSEPORT): of one that all share, who is
    free takes all that wait. Each stays open here, so that connections which wait in it outlive
    their worker. One that died is replaced, also while it starts; all are renewed on SIGHUP.

    Args:
        config: Of each worker.
        forget: Told the process id of each worker that has ended.
    """

    def __init__(self, config: uvicorn.Config, forget: Callable[[int], None]) -> None:
        super().__init__(config, [])
        self._forget = forget
        self._known: set[int] = set()
        self._own: list[socket.socket] = []

    def init_processes(self) -> None:
        for _ in range(self.processes_num):
            self._add()

    def _add(self) -> None:
        own = _bound(self.config.host, self.config.port)
        process = Process(self.config, [own])
        process.start()
        self._own.append(own)
        self.processes.append(process)

    def restart_all(self) -> None:
        self._each(super().restart_all)

    def keep_subprocess_alive(self) -> None:
        for process in self.processes:
            # uvicorn 0.54 keeps the worker's end of their pipe open here too, and so waits for the
            # pong of one that was killed while it booted until the time for it is over.
            process.child_conn.close()
        self._each(super().keep_subprocess_alive)
        alive = {process.pid for process in self.processes if process.pid is not None}
        for pid in self._known - alive:
            self._forget(pid)
        self._known = alive

    def _each(self, act: Callable[[], None]) -> None:
        """Do for each worker, with its own socket, what uvicorn does for all with all."""
        every = self.processes
        try:
            for at, own in enumerate(self._own):
                self.processes, self.sockets = [every[at]], [own]
                act()
                every[at] = self.processes[0]
        finally:
            self.processes = every

    def handle_ttin(self) -> None:
        self.processes_num += 1
        self._add()

    def handle_ttou(self) -> None:
        super().handle_ttou()
        if len(self._own) > len(self.processes):
            self._own.pop().close()

    def terminate_all(self) -> None:
        # Else callers would be let in here, and wait for workers that take no more.
        for own in self._own:
            own.close()
        super().terminate_all()


def _bound(host: str, port: int) -> socket.socket:
    """A socket of the service's address, beside the others there."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((host, port))
    made.set_inheritable(True)
    return made
