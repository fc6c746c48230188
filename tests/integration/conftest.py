"""One server for all tests of a process, and the proof that none of them hurt it."""

from collections.abc import Iterator

import pytest

from tests.integration.servers import Service, serving


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with the default settings, which still answers after the last test."""
    with serving(tmp_path_factory.mktemp("service") / "log") as started:
        yield started
        assert started.answers()
