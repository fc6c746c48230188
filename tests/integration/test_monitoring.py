"""Rules and dashboard, beside a service that runs and the Prometheus that would ask it."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from math import isnan
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.conftest import GOOD
from tests.integration.forms import body
from tests.integration.prometheus import (
    DASHBOARD,
    PROMETHEUS,
    RULES,
    filled,
    query,
    scraping,
)
from tests.integration.servers import Service, serving
from tests.integration.wires import over_grpc, over_rest, post
from tools.dashboard import draw

PROMTOOL = shutil.which("promtool")
SCRAPES = 4


class Asked(NamedTuple):
    """An expression, and whether it gives a number while all is well."""

    where: str
    expression: str
    answers: bool = True


def expressions() -> Iterator[Asked]:
    """All of them."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            named = rule.get("record") or rule["alert"]
            yield Asked(named, rule["expr"], "record" in rule)
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield Asked(f"{panel['title']} {target['refId']}", filled(target["expr"]))


ALL = list(expressions())
RECORDED = {asked.where for asked in ALL if ":" in asked.where}
each = pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.where)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that has been asked something right and something wrong."""
    with serving(tmp_path_factory.mktemp("used") / "log") as started:
        use(started)
        yield started


def use(service: Service) -> None:
    for ask in (over_rest, over_grpc):
        ask(service, GOOD)
    assert post(service, "/v1/evaluate", body({**GOOD, "params": {"delta": -1}})).is_client_error


@pytest.fixture(scope="module")
def shown(used: Service) -> dict[str, set[str]]:
    """The labels of what /metrics shows, by the names of samples."""
    found: dict[str, set[str]] = {"up": set()}
    for family in text_string_to_metric_families(used.http.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@each
def test_it_asks_for_metrics_and_labels_that_there_are(
    asked: Asked, shown: dict[str, set[str]]
) -> None:
    named = re.findall(r"\b(?:job:)?lossmeter_\w+(?::\w+)?|\bup\b", asked.expression)
    assert named
    assert {*named} <= {*shown} | RECORDED
    labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)\s*\"", asked.expression))
    by = ",".join(re.findall(r"\b(?:by|on) \(([^)]*)\)", asked.expression))
    given = {"job", "instance"}.union(*(shown.get(name, {"code"}) for name in named))
    assert labels | {label.strip() for label in by.split(",") if label.strip()} <= given


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool is installed")
@pytest.mark.parametrize("command", ["check config prometheus.yml", "test rules rules_test.yml"])
def test_promtool_finds_nothing_wrong(command: str) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *command.split()],
        cwd=RULES.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    alerts = [rule for rule in rules if "alert" in rule]
    tested = [
        test["alertname"]
        for group in yaml.safe_load((RULES.parent / "rules_test.yml").read_text())["tests"]
        for test in group["alert_rule_test"]
        if "exp_alerts" in test
    ]
    assert {rule["alert"] for rule in alerts} == {*tested}
    for rule in alerts:
        assert {*rule["annotations"]} == {"summary", "action"}


@pytest.fixture(scope="module")
def prometheus(used: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A Prometheus that has asked the service a few times."""
    if PROMETHEUS is None:
        pytest.skip("no prometheus is installed")
    with scraping(used, tmp_path_factory.mktemp("prometheus")) as client:
        for _ in range(SCRAPES):
            use(used)
            time.sleep(1.0)
        yield client


@each
def test_it_gives_numbers_while_the_service_runs(asked: Asked, prometheus: httpx.Client) -> None:
    values = [float(found["value"][1]) for found in query(prometheus, asked.expression)]
    # An alert gives something only where something is wrong.
    assert any(not isnan(value) for value in values) == asked.answers


def test_every_panel_can_be_drawn(prometheus: httpx.Client, tmp_path: Path) -> None:
    draw(prometheus, tmp_path / "dashboard.svg")
    drawn = (tmp_path / "dashboard.svg").read_text()
    for panel in DASHBOARD["panels"]:
        assert f">{panel['title']}</text>" in drawn
    for told in (">huber</text>", ">rest</text>", ">INVALID_ARGUMENT</text>", ">99 of 100</text>"):
        assert told in drawn
