"""Both servers in one process, started and stopped together; N such processes on the same ports."""

import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from shutil import rmtree
from tempfile import TemporaryDirectory
from types import FrameType

import orjson
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE

from lossmeter.access.control import access_of, check_address
from lossmeter.app.backend import Backends
from lossmeter.app.engine import Engine
from lossmeter.backends.graphs.folder import Folder
from lossmeter.backends.graphs.sandbox import Limits
from lossmeter.backends.runtime import runtime_version
from lossmeter.errors import ParameterInvalid
from lossmeter.plan.own import take_expressions
from lossmeter.settings import Settings
from lossmeter.transports.grpc.server import GrpcServer
from lossmeter.transports.metrics import FOLDER_VARIABLE, Metrics, forget
from lossmeter.transports.oip.inferences import Inferences
from lossmeter.transports.rest.app import create_app
from lossmeter.transports.rest.connection import Connection
from lossmeter.transports.tls import Certificates, certificates_of
from lossmeter.transports.workers import Workers

APP = "lossmeter.transports.serve:create"
# A worker that computes without a pause must not be taken for dead.
HEALTH_SECONDS = 60
# After which a thread that computes lets another go on; Python's own 5 ms, times the threads of
# large requests, is what a small one would wait.
SWITCH_SECONDS = 0.0005
# At a time, of REST requests that may wait for a graph.
THREADS = 32
ORPHAN_SECONDS = 1.0
PUBLISH_SECONDS = 0.5
# Longer than clients keep an idle connection, 15 s in aiohttp: who is closed on while asking again
# does not know whether the request was read.
KEEP_ALIVE_SECONDS = 75
# What shells expect of a program that Ctrl-C ended.
INTERRUPTED = 130
PARENT_VARIABLE = "LOSSMETER_PARENT_PID"


def create() -> ASGIApp:
    """The application of one process, with the gRPC server in its lifespan."""
    settings = Settings()
    _log(settings.log_level)
    sys.setswitchinterval(SWITCH_SECONDS)
    take_expressions(settings.expressions)
    backends = Backends(settings.backend, settings.device)
    backends.of(None, None)  # now, as it may take a second, and not with the first request
    engine = Engine(backends)
    limits = Limits(settings.graph_seconds, settings.graph_memory_bytes)
    losses = Folder(settings.losses, limits) if settings.losses else None
    metrics = Metrics(os.environ[FOLDER_VARIABLE] if settings.workers > 1 else "")
    inferences = Inferences(engine, settings, metrics)
    access = access_of(settings)
    rest = create_app(engine, settings, inferences, metrics, access)
    certificates = certificates_of(settings)
    grpc_server = GrpcServer(engine, settings, inferences, metrics, access, certificates)
    return _WithLifespan(rest, grpc_server, losses, metrics, settings.grace_seconds)


def _tls(*_: object) -> ssl.SSLContext:
    """What uvicorn speaks TLS by, in each process."""
    return Certificates(Settings()).context()


def _log(level: str) -> None:
    """The service's own lines beside those of the server, and as theirs."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s:  %(message)s"))
    ours = logging.getLogger("lossmeter")
    ours.addHandler(handler)
    ours.setLevel(level.upper())


class _WithLifespan:
    """An ASGI application whose start and stop are those of the gRPC server and the graphs too."""

    def __init__(
        self,
        app: ASGIApp,
        grpc_server: GrpcServer,
        losses: Folder | None,
        metrics: Metrics,
        grace: float,
    ) -> None:
        self._app = app
        self._grpc = grpc_server
        self._losses = losses
        self._metrics = metrics
        self._grace = grace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        await receive()
        async with self._lifespan():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        if self._losses is not None:
            # Threads that wait for a graph compute nothing: there may be more than cores.
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
            self._losses.watch()
        self._grpc.start()
        _end_with_parent()
        _on_stop_signal(self._stop_accepting)
        publishing = asyncio.create_task(self._publish())
        _settle()
        yield
        await asyncio.to_thread(self._grpc.stop, self._grace)
        publishing.cancel()
        self._metrics.leave()
        if self._losses is not None:
            self._losses.close()

    async def _publish(self) -> None:
        while True:
            self._metrics.publish()
            await asyncio.sleep(PUBLISH_SECONDS)

    def _stop_accepting(self) -> None:
        Connection.draining = True
        # uvicorn drains HTTP before it ends the lifespan; without this gRPC would go on
        # accepting calls until then.
        threading.Thread(target=self._grpc.stop, args=(self._grace,), daemon=True).start()


def _settle() -> None:
    """Keep the garbage collector from what is there for good.

    Measured: it walked 50,000 objects of modules and schemas in 24 ms now and then, in the middle
    of some request; frozen, in 0.2 ms.
    """
    gc.collect()
    gc.freeze()


def _on_stop_signal(act: Callable[[], None]) -> None:
    """Do something besides what the server does on SIGTERM and SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)

        def chained(
            signum: int,
            frame: FrameType | None,
            before: object = before,
        ) -> None:
            act()
            if callable(before):
                before(signum, frame)

        signal.signal(number, chained)


def _end_with_parent() -> None:
    """A worker whose supervisor was killed stops, where it would otherwise hold the ports."""
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None or int(parent) == os.getpid():
        return

    def watch() -> None:
        ended = threading.Event()
        while os.getppid() == int(parent):
            ended.wait(ORPHAN_SECONDS)
        rmtree(os.environ[FOLDER_VARIABLE], ignore_errors=True)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def free_port(host: str, port: int) -> int:
    """The port, if nothing listens there; 0 becomes a free one.

    Workers share their port with SO_REUSEPORT, under which a second service would start without a
    word and take half the calls: so the port is bound once without it first.

    Raises:
        OSError: Something listens there, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
        return int(probe.getsockname()[1])


def serve(settings: Settings) -> None:
    """Run until told to stop.

    Raises:
        OSError: A port is taken, the folder of losses cannot be read, or several workers have no
            temporary folder to count in.
        ParameterInvalid: Settings that exclude each other, or that let other machines in without
            asking who calls.
        BackendUnsupported: The backend or its device is not here, or what runs graphs is not.
        InvalidRequest: An expression of the settings is wrong.
    """
    if settings.shared_memory and settings.workers > 1:
        raise ParameterInvalid(
            "each worker would know other regions: take 1 worker", field="shared_memory"
        )
    check_address(settings, access_of(settings))
    secure = certificates_of(settings) is not None
    Backends(settings.backend, settings.device).of(None, None)
    take_expressions(settings.expressions)
    if settings.losses:
        runtime_version("losses")
        os.scandir(settings.losses).close()
    http_port = free_port(settings.host, settings.http_port)
    grpc_port = free_port(settings.host, settings.grpc_port)
    ready = settings.model_copy(update={"http_port": http_port, "grpc_port": grpc_port})
    # A secret has no flag: it is a variable already.
    for name, value in ready.model_dump(exclude={"jwt_secret"}).items():
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        os.environ[f"LOSSMETER_{name.upper()}"] = text
    os.environ[PARENT_VARIABLE] = str(os.getpid())
    # uvicorn raises the signal that stopped it once more when it is done: the calm end it is.
    signal.signal(signal.SIGINT, lambda *_: sys.exit(INTERRUPTED))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        APP,
        factory=True,
        host=ready.host,
        port=http_port,
        http=Connection,
        ssl_context_factory=_tls if secure else None,
        workers=ready.workers,
        log_level=ready.log_level,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(ready.grace_seconds),
        timeout_worker_healthcheck=HEALTH_SECONDS,
    )
    if ready.workers == 1:
        _serve_alone(config)
    else:
        _serve_together(config)


def _serve_alone(config: uvicorn.Config) -> None:
    server = uvicorn.Server(config)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _serve_together(config: uvicorn.Config) -> None:
    with TemporaryDirectory(prefix="lossmeter-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        logging.getLogger("uvicorn.error").info(
            "Uvicorn running on %s://%s:%d (Press CTRL+C to quit)",
            "https" if config.is_ssl else "http",
            config.host,
            config.port,
        )
        Workers(config, partial(forget, folder=folder)).run()
