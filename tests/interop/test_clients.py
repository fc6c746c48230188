"""Clients of the Open Inference Protocol as they are published, each in its own environment."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.servers import HOST, Service
from tests.interop.environments import environment

CLIENTS = Path(__file__).parent / "clients"


@pytest.mark.parametrize("client", ["tritonclient", "kserve"])
def test_the_client_runs_unchanged(service: Service, client: str) -> None:
    folder = environment(client)
    addresses = {
        "LOSSMETER_HTTP": f"{HOST}:{service.http_port}",
        "LOSSMETER_GRPC": f"{HOST}:{service.grpc_port}",
    }
    done = subprocess.run(
        [folder / "bin" / "python", "-m", "pytest", "-v", CLIENTS / f"test_{client}.py"],
        env=os.environ | addresses,
        check=False,
    )
    assert done.returncode == 0
