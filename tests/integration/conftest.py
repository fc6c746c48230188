"""One server for all tests of a process, and the proof that none of them hurt it."""

from collections.abc import Iterator

import pytest

from tests.integration.servers import Service, serving
from tests.integration.wires import over_grpc, over_rest

GOOD = {"loss": "huber", "inputs": {"predictions": [1.5, 5.0], "targets": [1.0, 2.0]}}


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with the default settings."""
    with serving(tmp_path_factory.mktemp("service") / "log") as started:
        yield started


@pytest.fixture(scope="module")
def unharmed(service: Service) -> Iterator[None]:
    """After all of a module the server still answers, and has logged no fault of its own."""
    before = service.faults()
    yield
    found = [ask(service, GOOD).bits for ask in (over_rest, over_grpc)]
    assert found == [(1.3125).hex()] * 2
    assert service.faults() == before
