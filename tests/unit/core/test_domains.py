"""What the domains admit, and how their shapes are written."""

import numpy as np
import pytest

from lossmeter.core.domains import (
    BOX,
    CLASS_INDEX,
    DISTRIBUTION_OR_LOG,
    LABEL,
    LENGTHS,
    POWER_MEAN,
    POWER_TARGET,
    RATE_OR_LOG,
    REAL,
    SIGN,
    Domain,
    Input,
)
from lossmeter.errors import OutOfDomain

NAN = float("nan")


@pytest.mark.parametrize(
    ("domain", "params", "good", "bad"),
    [
        pytest.param(SIGN, {}, [-1.0, 1.0, NAN], [0.0], id="signs"),
        pytest.param(LABEL, {}, [3.0, -1.0, NAN], [0.5], id="whole labels"),
        pytest.param(LABEL, {}, [3.0], [float("inf")], id="finite labels"),
        pytest.param(LENGTHS, {}, [0.0, 2.0], [-1.0], id="lengths from 0 on"),
        pytest.param(BOX, {}, [0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0], id="upright boxes"),
        pytest.param(BOX, {}, [NAN, 0.0, 0.0, 1.0], [NAN, 2.0, 0.0, 1.0], id="boxes with NaN"),
        pytest.param(POWER_MEAN, {"power": 1.5}, [1e-9], [0.0], id="means of a power"),
        pytest.param(POWER_TARGET, {"power": 1.0}, [0.0], [-1.0], id="counts"),
        pytest.param(POWER_TARGET, {"power": 2.0}, [1.0], [0.0], id="targets of gamma"),
        pytest.param(
            DISTRIBUTION_OR_LOG, {"log_target": True}, [-3.0, 0.0], [0.1], id="logarithms"
        ),
        pytest.param(
            DISTRIBUTION_OR_LOG, {"log_target": False}, [0.5, 0.5], [-0.5], id="probabilities"
        ),
        pytest.param(RATE_OR_LOG, {"log_input": False, "epsilon": 0.0}, [1e-9], [0.0], id="rates"),
    ],
)
def test_a_domain_admits(
    domain: Domain, params: dict[str, object], good: list[float], bad: list[float]
) -> None:
    domain = domain.under(params)
    domain.check(np.array(good), "targets")
    with pytest.raises(OutOfDomain, match="targets must be"):
        domain.check(np.array(bad), "targets")


@pytest.mark.parametrize(
    ("domain", "params"),
    [
        pytest.param(POWER_MEAN, {"power": 0.0}, id="means of power 0"),
        pytest.param(POWER_TARGET, {"power": -1.0}, id="targets of a power below 0"),
        pytest.param(RATE_OR_LOG, {"log_input": True, "epsilon": 0.0}, id="logarithms of rates"),
    ],
)
def test_a_domain_without_bounds(domain: Domain, params: dict[str, object]) -> None:
    domain.under(params).check(np.array([-1e300, 0.0, 1e300]), "targets")


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (Input(REAL), "(...)"),
        (Input(REAL, ("C",)), "(..., C)"),
        (Input(REAL, lead="N"), "(N,)"),
        (Input(REAL, ("...", "C"), lead="N"), "(N, ..., C)"),
        (Input(REAL, ("C", "F"), lead=""), "(C, F)"),
        (Input(REAL, ("C",), lead="N", optional=True), "(N,) | (N, C)"),
        (Input(REAL, ("C",), optional=True), "(...) | (..., C)"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_shape_in_words(kind: Input, shape: str) -> None:
    assert kind.shape == shape


@pytest.mark.parametrize(
    ("domain", "integers"), [(LABEL, True), (LENGTHS, True), (CLASS_INDEX, True), (SIGN, False)]
)
def test_what_a_kernel_takes_as_integers(domain: Domain, integers: bool) -> None:
    assert domain.integers is integers
