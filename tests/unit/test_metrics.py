"""What the metrics make of what they are told."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lossmeter.transports.metrics import Counted, Metrics


@pytest.fixture
def metrics() -> Metrics:
    """One process's, empty."""
    return Metrics()


def test_what_was_asked_of_losses_is_summed_over_wires_and_codes(metrics: Metrics) -> None:
    for wire, loss, code, seconds in (
        ("rest", "huber", "OK", 0.5),
        ("oip_grpc", "huber", "OK", 1.0),
        ("grpc", "huber", "INVALID_ARGUMENT", 0.25),
        ("rest", "huber", "CANCELLED", 0.125),
        ("rest", "torch.nn.HuberLoss", "OK", 4.0),
        ("rest", "huberr", "NOT_FOUND", 2.0),
        ("rest", "", "OK", 8.0),
    ):
        metrics.observed(wire, loss, code, seconds)
    assert metrics.of_losses() == {
        "huber": Counted(2, 1.5, 2, 0.375),
        "torch.nn.HuberLoss": Counted(1, 4.0, 0, 0.0),
        "other": Counted(0, 0.0, 1, 2.0),
        "": Counted(1, 8.0, 0, 0.0),
    }


def test_nothing_asked_is_nothing_counted(metrics: Metrics) -> None:
    assert metrics.of_losses() == {}


def test_an_alias_is_counted_as_its_loss(metrics: Metrics) -> None:
    metrics.observed("rest", "mean_squared_error", "OK", 1.0)
    metrics.observed("rest", "squared_error", "OK", 1.0)
    assert metrics.of_losses() == {"squared_error": Counted(2, 2.0, 0, 0.0)}


def test_names_that_callers_make_up_take_no_memory(metrics: Metrics) -> None:
    metrics.observed("rest", "made_up", "NOT_FOUND", 1.0)
    before = len(metrics.text())
    for number in range(1000):
        metrics.observed("rest", f"made_up_{number}", "NOT_FOUND", 1.0)
    assert len(metrics.text()) - before < 100


def test_names_are_those_that_prometheus_asks_for(metrics: Metrics) -> None:
    metrics.observed("rest", "huber", "OK", 1.0, 100)
    families = {f.name: f.type for f in text_string_to_metric_families(metrics.text().decode())}
    assert families == {
        "lossmeter_request_duration_seconds": "histogram",
        "lossmeter_requests": "counter",
        "lossmeter_received_bytes": "counter",
        "lossmeter_requests_in_flight": "gauge",
        "lossmeter_workers": "gauge",
        "lossmeter_build_info": "gauge",
    }
