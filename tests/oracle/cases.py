"""What each loss is tried with: its parameters, and numbers that are hard in a domain."""

from collections.abc import Mapping
from itertools import product
from typing import TypeAlias

import numpy as np

import lossmeter.core.losses  # noqa: F401 fills the registry
from lossmeter.core.declare import (
    CLASS_WEIGHT,
    IGNORE_INDEX,
    REGISTRY,
    TEMPERATURE,
    InputSpec,
    Loss,
    Param,
)
from lossmeter.core.domains import Interval

DType: TypeAlias = type[np.floating]
Params: TypeAlias = Mapping[str, object]
# A number, a class index or a vector for each input, in declared order.
Row: TypeAlias = tuple[object, ...]

LOSSES = [*REGISTRY.values()]
CLASSES = 3
FACTOR = [0.5, 1.0, 2.0]

PARAMS: dict[str, list[Params]] = {
    "mean_absolute_percentage_error": [{}, {"scale": 100.0, "epsilon": 1e-7}],
    "huber": [{}, {"delta": 0.3}, {"delta": 100.0}],
    "smooth_l1": [{}, {"beta": 0.0}, {"beta": 0.3}, {"beta": 100.0}],
    "log_cosh": [{}, {"ln2": 0.6931471824645996}],
    "pinball": [{}, {"quantile": 0.0}, {"quantile": 0.9}, {"quantile": 1.0}],
    "poisson_nll": [
        {},
        {"full": True},
        {"log_input": False},
        {"log_input": False, "epsilon": 1e-8, "full": True},
    ],
    "gaussian_nll": [{}, {"full": True}, {"epsilon": 1e-6}],
    "binary_cross_entropy": [
        {},
        {"label_smoothing": 0.1},
        {"label_smoothing": 1.0},
        {"log_clamp": -100.0},
    ],
    "binary_cross_entropy_with_logits": [
        {},
        {"pos_weight": 3.0},
        {"pos_weight": 0.0},
        {"label_smoothing": 0.1},
        {"label_smoothing": 1e-4, "pos_weight": 0.5},
    ],
    "categorical_cross_entropy": [{}, {"label_smoothing": 0.1}, {"label_smoothing": 1.0}],
    "softmax_cross_entropy": [
        {},
        {"label_smoothing": 0.1},
        {"label_smoothing": 0.1, "class_factor": FACTOR},
    ],
    "sparse_categorical_cross_entropy": [{}, {"label_smoothing": 0.1}, {"label_smoothing": 1.0}],
    "sparse_softmax_cross_entropy": [
        {},
        {"label_smoothing": 0.1},
        {"class_factor": FACTOR},
        {"label_smoothing": 0.1, "class_factor": FACTOR},
    ],
    "cosine_distance": [{}, {"epsilon": 1e-6}, {"normalize": False}],
    "triplet_margin": [
        {},
        {"margin": 0.5, "p": 1.0, "swap": True},
        {"margin": 0.0, "p": 3.0},
        {"epsilon": 1e-6},
    ],
}


def params_of(loss: Loss) -> list[Params]:
    """The parameters that a loss is tried with, defaults left out."""
    return PARAMS.get(loss.name, [{}])


def words(loss: Loss, params: Params) -> str:
    """A loss with its parameters, as a test names it."""
    settings = " and ".join(f"{name} {value}" for name, value in params.items())
    return f"{loss.name} with {settings or 'defaults'}"


def kernel_params(loss: Loss) -> list[Param]:
    """The parameters that the kernel itself takes."""
    return [p for p in loss.params if p not in (TEMPERATURE, IGNORE_INDEX, CLASS_WEIGHT)]


def interval(spec: InputSpec, loss: Loss, params: Params) -> Interval:
    """The bounds of an input."""
    domain = spec.kind.domain
    defaults = {p.name: p.default for p in loss.params}
    return domain.given({**defaults, **params}) if domain.given else domain.interval


def hard_rows(loss: Loss, params: Params, dtype: DType) -> list[Row]:
    """Every combination of hard values of the inputs."""
    return list(product(*(_hard(spec, loss, params, dtype) for spec in loss.inputs)))


def _hard(spec: InputSpec, loss: Loss, params: Params, dtype: DType) -> list[object]:
    domain = spec.kind.domain
    if domain.index:
        return list(range(CLASSES))
    if spec.kind.core:
        return [*_hard_vectors(dtype)[domain.name]]
    if domain.members:
        return list(domain.members)
    bounds = interval(spec, loss, params)
    return [x for x in _hard_numbers(dtype) if bounds.holds(np.asarray(x))]


def _hard_numbers(dtype: DType) -> list[float]:
    tiny, big = (1e-300, 1e154) if dtype is np.float64 else (1e-37, 1e18)
    sizes = [tiny, 1e-8, 0.5, 0.999, _below_one(dtype), 1.0, 30.0, 1e3, big]
    return [0.0, *sizes, *(-x for x in sizes)]


def _hard_vectors(dtype: DType) -> dict[str, list[list[float]]]:
    low, high = float(np.finfo(dtype).smallest_subnormal), _below_one(dtype)
    return {
        "logits": [
            [0.0, 0.0, 0.0],
            [1e-8, 0.0, -1e-8],
            [30.0, 0.0, -30.0],
            [30.0, 30.0, 30.0],
            [1e3, 0.0, -1e3],
            [-1e3, 1e3, 999.0],
        ],
        "distribution": [
            [1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.999, 0.0005, 0.0005],
            [0.5, 0.5, 0.0],
            [1 / 3, 1 / 3, 1 / 3],
            [high, 1.0 - high, 0.0],
            [low, 1.0, 0.0],
        ],
        "real": [
            [0.0, 0.0, 0.0],
            [1.0, 0.0, 0.0],
            [-1.0, 0.0, 0.0],
            [1.0, 1e-8, 0.0],
            [3.0, 4.0, 0.0],
            [1e3, -1e3, 1e-8],
            [0.3, 0.3, 0.3],
        ],
    }


def _below_one(dtype: DType) -> float:
    return float(np.nextafter(dtype(1.0), dtype(0.0)))
