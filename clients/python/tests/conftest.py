"""One service for all tests of a process."""

from collections.abc import Iterator

import pytest

from tests.integration.servers import Service, serving


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the default settings."""
    with serving(tmp_path_factory.mktemp("service") / "log") as started:
        yield started
