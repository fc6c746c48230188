"""The service that the clients call."""

from collections.abc import Iterator

import pytest

from tests.integration.servers import Service, serving

# Run in the clients' environments, by test_clients.py.
collect_ignore = ["clients"]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that takes shared memory, and has logged no fault of its own at the end."""
    log = tmp_path_factory.mktemp("service") / "log"
    with serving(log, shared_memory=True) as started:
        yield started
        assert started.faults() == []
