"""A Prometheus that asks one service, with the configuration of deploy/."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.integration.servers import HOST, Service, free_ports, until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "lossmeter.json").read_text())
PROMETHEUS = shutil.which("prometheus")


def filled(expression: str, interval: str = "1m") -> str:
    """An expression of the dashboard, with what Grafana puts for its variables."""
    return expression.replace("$__rate_interval", interval).replace("$instance", ".*")


@contextmanager
def scraping(service: Service, folder: Path) -> Iterator[httpx.Client]:
    """Prometheus with the configuration of deploy/, but of one service, every second."""
    configuration = yaml.safe_load((RULES.parent / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = configuration["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [f"{HOST}:{service.http_port}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    shutil.copy(RULES, folder)
    port = free_ports()[0]
    flags = ["--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    flags += [f"--web.listen-address={HOST}:{port}", "--log.level=error"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([str(PROMETHEUS), *flags], cwd=folder, stderr=log) as process,
        httpx.Client(base_url=f"http://{HOST}:{port}", timeout=30.0) as client,
    ):
        try:
            assert until(lambda: scrapes(client)), (folder / "log").read_text()
            yield client
        finally:
            process.terminate()


def query(client: httpx.Client, expression: str) -> list[Any]:
    """What Prometheus says to an expression."""
    answer = client.get("/api/v1/query", params={"query": expression})
    found: list[Any] = answer.raise_for_status().json()["data"]["result"]
    return found


def scrapes(client: httpx.Client) -> bool:
    """Whether Prometheus answers, and the service it."""
    try:
        return client.get("/-/ready").is_success and bool(query(client, "up == 1"))
    except httpx.TransportError:
        return False
