"""What is counted of the requests, by loss and wire, summed over all workers.

Workers count in files of one folder, which prometheus-client sums at each scrape; the counts of a
worker that died stay in them. A request costs one observation of a histogram, from which the
counter of requests is derived: each count more would cost a microsecond.
"""

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from time import perf_counter

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from lossmeter import __version__
from lossmeter.errors import Code, LossmeterError
from lossmeter.plan.names import known

# Where workers count; prometheus-client reads it when it is imported.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
ANSWERED, CANCELLED = "OK", "CANCELLED"
OTHER = "other"
DURATION = "lossmeter_request_duration_seconds"
LABELS = ("wire", "loss", "code")
# Seconds: a small request takes less than the first, a gigabyte about the last but one.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was asked of one loss since the service started.

    Attributes:
        answered: Requests that were answered.
        answered_seconds: Time that they took together.
        refused: Requests that ended in an error, the caller's or ours.
        refused_seconds: Time that they took together.
    """

    answered: int = 0
    answered_seconds: float = 0.0
    refused: int = 0
    refused_seconds: float = 0.0


FIELDS = tuple(field.name for field in fields(Counted))


class Metrics(Collector):
    """Counts requests.

    Args:
        folder: Where all workers count; empty where one process is all of the service.
    """

    def __init__(self, folder: str = "") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._folder = folder
        self._registry = CollectorRegistry()
        self._duration = Histogram(
            DURATION,
            "Time from a request's headers to its answer.",
            LABELS,
            registry=self._registry,
            buckets=BUCKETS,
        )
        self._received = Counter(
            "lossmeter_received_bytes",
            "Bodies and messages of requests, as they were sent.",
            ("wire",),
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "lossmeter_requests_in_flight",
            "Requests that are not answered yet, as of the last half second.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        Gauge(
            "lossmeter_workers",
            "Processes that serve.",
            registry=self._registry,
            multiprocess_mode="livesum",
        ).set(1)
        self._source: Collector = self._registry
        if folder:
            self._source = MultiProcessCollector(None, folder)  # type: ignore[no-untyped-call]
        # Looking a child up by its labels costs as much as counting in it.
        self._durations: dict[tuple[str, str, str], Histogram] = {}
        self._bytes: dict[str, Counter] = {}
        self._running: set[object] = set()

    def begun(self, request: object) -> None:
        """A request came."""
        self._running.add(request)

    def ended(self, request: object) -> None:
        """It was answered, or its caller left."""
        self._running.discard(request)

    def observed(self, wire: str, loss: str, code: str, seconds: float, received: int = 0) -> None:
        """Count a request.

        Args:
            wire: The protocol: rest, grpc, oip_rest or oip_grpc.
            loss: The loss as it was asked for; empty where none was.
            code: The canonical code of the answer: OK, INVALID_ARGUMENT.
            seconds: How long it took.
            received: Bytes of its body or messages.
        """
        found = self._durations.get((wire, loss, code))
        if found is None:
            found = self._duration_of(wire, loss, code)
        found.observe(seconds)
        if received:
            self._bytes_of(wire).inc(received)

    @contextmanager
    def counting(self, wire: str, loss: str) -> Iterator[None]:
        """Count what is done as a request, by what it raises."""
        started, code = perf_counter(), ANSWERED
        try:
            yield
        except LossmeterError as error:
            code = error.code
            raise
        except Exception:
            code = Code.INTERNAL
            raise
        finally:
            self.observed(wire, loss, code, perf_counter() - started)

    def _duration_of(self, wire: str, loss: str, code: str) -> Histogram:
        name = known(loss) if loss else ""
        found = self._duration.labels(wire, OTHER if name is None else name, code)
        # Names are the caller's: only those of losses are kept.
        if name is not None:
            self._durations[wire, loss, code] = found
        return found

    def _bytes_of(self, wire: str) -> Counter:
        found = self._bytes.get(wire)
        if found is None:
            found = self._bytes[wire] = self._received.labels(wire)
        return found

    def publish(self) -> None:
        """Tell the other workers how many requests are in flight here."""
        self._in_flight.set(len(self._running))

    def leave(self) -> None:
        """Count this worker no more among those that serve."""
        if self._folder:
            forget(os.getpid(), self._folder)

    def text(self) -> bytes:
        """All of it, in the text format of Prometheus."""
        self.publish()
        return generate_latest(self)

    def of_losses(self) -> Mapping[str, Counted]:
        """What was asked of each loss, over all wires and workers; of no loss under no name."""
        found: dict[str, dict[str, float]] = {}
        for family in self._source.collect():
            for sample in family.samples if family.name == DURATION else ():
                field = _field(sample)
                if field is not None:
                    sums = found.setdefault(sample.labels["loss"], dict.fromkeys(FIELDS, 0.0))
                    sums[field] += sample.value
        return {loss: _counted(sums) for loss, sums in found.items()}

    def collect(self) -> Iterator[Metric]:
        """The families to show: those that are counted, and what is derived from them."""
        for family in self._source.collect():
            yield family
            if family.name == DURATION:
                yield _requests(family)
        versions = {"version": __version__, "python": platform.python_version()}
        versions["numpy"] = np.__version__
        yield InfoMetricFamily("lossmeter_build", "What the service is made of.", versions)


def forget(pid: int, folder: str) -> None:
    """Take what a worker that ended told of the moment out of the sums; its counts stay."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


def _field(sample: Sample) -> str | None:
    """Which of a loss's sums a sample belongs to; none for a bucket."""
    outcome = "answered" if sample.labels["code"] == ANSWERED else "refused"
    return {f"{DURATION}_count": outcome, f"{DURATION}_sum": f"{outcome}_seconds"}.get(sample.name)


def _counted(sums: Mapping[str, float]) -> Counted:
    return Counted(
        int(sums["answered"]),
        sums["answered_seconds"],
        int(sums["refused"]),
        sums["refused_seconds"],
    )


def _requests(durations: Metric) -> CounterMetricFamily:
    requests = CounterMetricFamily("lossmeter_requests", "Requests by their answer.", labels=LABELS)
    for sample in durations.samples:
        if sample.name == f"{DURATION}_count":
            requests.add_metric([sample.labels[name] for name in LABELS], sample.value)
    return requests
