"""What each loss is tried with: its parameters, and numbers that are hard in a domain."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TypeAlias

import numpy as np

import lossmeter.core.losses  # noqa: F401 fills the registry
from lossmeter.core.declare import (
    AXIS,
    CLASS_WEIGHT,
    IGNORE_INDEX,
    REGISTRY,
    TEMPERATURE,
    InputSpec,
    Loss,
    Param,
    PerClass,
)
from lossmeter.core.domains import CLASS_FAMILIES, Domain

DType: TypeAlias = type[np.floating]
Params: TypeAlias = Mapping[str, object]
# A number, a class index or a vector for each input, in declared order; of a loss that the batch
# defines, whole batches.
Row: TypeAlias = tuple[object, ...]

LOSSES = [*REGISTRY.values()]
# What the plan does around a kernel.
AROUND = (TEMPERATURE, IGNORE_INDEX, CLASS_WEIGHT, AXIS)
CLASSES = 3
FACTOR = [0.5, 1.0, 2.0]
SAMPLES = 4
WEIGHTS = [0.3, 0.0, 2.0, 1.5]

PARAMS: dict[str, list[Params]] = {
    "mean_absolute_percentage_error": [{}, {"scale": 100.0, "epsilon": 1e-7}],
    "huber": [{}, {"delta": 0.3}, {"delta": 100.0}],
    "smooth_l1": [{}, {"beta": 0.0}, {"beta": 0.3}, {"beta": 100.0}],
    "log_cosh": [{}, {"ln2": 0.6931471824645996}, {"naive": True}],
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
        {"log_add": 1e-7},
        {"log_add": 0.01, "label_smoothing": 0.1},
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
        {"power_add": 1e-6},
        {"power_add": 1.0, "p": 3.0, "swap": True},
        {"signed_powers": True},
        {"signed_powers": True, "p": 3.0, "power_add": 1e-6},
    ],
    "soft_margin": [{}, {"naive": True}],
    "multilabel_soft_margin": [{}, {"output_weight": FACTOR}],
    "binary_focal_cross_entropy": [
        {},
        {"gamma": 0.0},
        {"gamma": 0.5, "alpha": 0.25},
        {"label_smoothing": 0.1, "alpha": 1.0},
        # A bound that is a float32, and its complement too.
        {"log_clip": 2.0**-23},
        {"log_clip": 0.25, "gamma": 0.5, "label_smoothing": 0.1},
    ],
    "sigmoid_focal": [
        {},
        {"gamma": 0.0},
        {"gamma": 0.5, "alpha": 0.25},
        {"label_smoothing": 0.1, "alpha": 1.0},
    ],
    "brier_score": [{}, {"scale_by_half": True}, {"scale_by_half": False}],
    "safe_softmax_cross_entropy": [{}, {"label_smoothing": 0.1}],
    "negative_log_likelihood": [{}, {"class_factor": [0.3, 1.0, 2.0]}],
    "linear_cross_entropy": [
        {},
        {"label_smoothing": 0.1},
        {"class_factor": FACTOR},
        {"label_smoothing": 0.1, "class_factor": [0.3, 0.0, 2.0]},
    ],
    "categorical_focal_cross_entropy": [
        {},
        {"gamma": 0.0, "alpha": FACTOR},
        {"gamma": 0.5, "alpha": 1.0, "label_smoothing": 0.1},
    ],
    "poly_cross_entropy": [{}, {"epsilon": -0.5, "label_smoothing": 0.1}],
    "generalized_cross_entropy": [{}, {"q": 0.01}, {"q": 0.7}],
    "crammer_singer_hinge": [{}, {"squared": True}],
    "multi_margin": [{}, {"p": 2}, {"margin": 0.1}],
    "fenchel_young": [{}, {"max_fun": "max"}, {"max_fun": "sparsemax"}],
    "kl_divergence_log_input": [
        {},
        {"log_target": True},
        {"zero_products": True},
        {"log_target": True, "zero_products": True},
    ],
    "generalized_kl_divergence": [{}, {"zero_products": True}],
    "symmetric_mean_absolute_percentage_error": [{}, {"epsilon": 1e-6}],
    "weighted_mean_absolute_percentage_error": [{}, {"epsilon": 1e-6}],
    "mean_pairwise_squared_error": [{}, {"elements": 6}, {"elements": 100}],
    "tweedie_deviance": [{"power": q} for q in (-1.0, 0.0, 1.0, 1.5, 2.0, 3.0)],
    "half_tweedie_nll_log": [{}, *({"power": q} for q in (0.0, 0.5, 1.0, 2.0, 3.0))],
    "cosine_similarity_loss": [{}, {"epsilon": 1e-6}, {"sign": 1.0}],
    "cosine_embedding": [{}, {"margin": 0.3}, {"margin": -0.5, "epsilon": 1e-12}],
    "margin_ranking": [{}, {"margin": 0.1}],
    "hinge_embedding": [{}, {"margin": 0.3}],
    "triplet_margin_with_distance": [
        {},
        {"distance_function": "squared_euclidean", "margin": 0.5},
        {"distance_function": "manhattan", "swap": True},
        {"distance_function": "cosine", "swap": True},
        {"difference_add": 1e-6},
    ],
    "circle": [{}, {"gamma": 2.0, "margin": 0.25}, {"remove_diagonal": False}],
    "ntxent": [{}, {"temperature": 1.0}],
    "dice": [{}, {"smooth": 1.0}, {"epsilon": 0.0}],
    "tversky": [{}, {"alpha": 0.3, "beta": 0.7, "smooth": 1.0}, {"epsilon": 0.0}],
    "generalized_dice": [
        {},
        {"smooth": 0.0},
        {"drops_first": True},
        {"drops_first": True, "smooth": 0.0},
    ],
    "generalized_box_iou": [{}, {"epsilon": 0.0}],
    "distance_box_iou": [{}, {"epsilon": 0.0}],
    "complete_box_iou": [
        {},
        {"epsilon": 0.0},
        {"aspect_epsilon": 1e-3},
        {"epsilon": 0.0, "aspect_epsilon": 1e-7},
    ],
    "ctc": [
        {},
        {"blank": 2},
        {"zero_infinity": True},
        {"log_zero": -1e5},
        {"log_zero": -30.0, "blank": 2},
        {"log_elsewhere": -706.8936235},
        {"log_elsewhere": -3.0, "blank": 2},
    ],
    "d2_score": [
        {},
        {"sample_weight": WEIGHTS},
        *({"power": q} for q in (1.0, 2.0, 3.0)),
        {"power": 1.5, "sample_weight": WEIGHTS},
        {"columns": "raw_values"},
        *({"family": "pinball", "quantile": q} for q in (0.0, 0.3, 0.75, 1.0)),
        {"family": "pinball", "quantile": 0.3, "sample_weight": WEIGHTS},
        {"family": "pinball", "columns": [0.5, 2.0], "sample_weight": WEIGHTS},
        {"family": "absolute_error"},
        {"family": "absolute_error", "quantile": 0.3},
        {"family": "absolute_error", "sample_weight": WEIGHTS, "columns": "raw_values"},
        {"family": "log_loss"},
        {"family": "log_loss", "least": 2.0**-10},
        {"family": "log_loss", "sample_weight": WEIGHTS},
        {"family": "brier"},
        {"family": "brier", "sample_weight": WEIGHTS},
    ],
}

EVEN = [-1.3862943611198906] * 4
SURE = [-0.001, -7.0, -8.0, -9.0]
SPIKE = [-1e3, 0.0, -1e3, -1e3]
MASK = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]
GUESS = [0.999, 1e-8, 0.0, 0.5, 1.0, 0.25]
NOTHING = [0.0] * 6
FEATURES = [[1.0, 0.0], [1e3, -1e3], [1e-8, 3.0]]
MATRIX = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]]
UNITS = [[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0], [1.0, 0.0], [0.0, -1.0]]
LABELS = [[0, 0, 1, 1, 2], [0, 0, 0, 0, 0], [0, 1, 2, 3, 4], [7, 7, -1, -1, 7]]
SHORES = [[[0.5, 0.5], [0.9, 0.1]], [[1.0, 0.0], [0.3, 0.7]]]
SHORES_SEEN = [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.5, 0.5]]]
BOXES = [
    [0.0, 0.0, 1.0, 1.0],
    [0.0, 0.0, 4.0, 1.0],
    [0.0, 0.0, 1.0, 4.0],
    [0.5, 0.5, 1.5, 1.25],
    [2.0, 3.0, 5.0, 7.0],
    [1e3, 1e3, 1001.0, 1002.0],
    [-1e-3, 0.0, 1.0, 1.001],
    [2.0, 2.0, 2.0, 5.0],
]
# Rows of losses whose inputs are tied to each other, or are more than vectors.
HARD: dict[str, list[Row]] = {
    "brier_score": [
        *((p, y) for p in (0.0, 1e-8, 0.5, 1.0) for y in (0, 1)),
        *(([0.999, 0.0005, 0.0005], y) for y in range(3)),
        *(([0.3, 0.7], y) for y in range(2)),
    ],
    "zero_one": [(1, 1), (1, 2), ([1, 0], [1, 0]), ([1, 0], [1, 1]), ([1], [0])],
    "hamming": [(1, 1), (1, 2), ([1, 0], [1, 0]), ([1, 0], [1, 1]), ([1], [0])],
    "mean_pairwise_squared_error": [(MASK, GUESS), (MASK, NOTHING), (GUESS, GUESS)],
    "dice": [(GUESS, MASK), (MASK, MASK), (NOTHING, NOTHING), (NOTHING, MASK), (GUESS, GUESS)],
    "tversky": [(GUESS, MASK), (MASK, MASK), (NOTHING, NOTHING), (NOTHING, MASK)],
    "generalized_dice": [(SHORES, SHORES_SEEN), (SHORES_SEEN, SHORES_SEEN), (SHORES, SHORES)],
    "circle": [(UNITS, labels) for labels in LABELS],
    "ntxent": [(UNITS, labels) for labels in LABELS],
    "linear_cross_entropy": [(x, MATRIX, y) for x in FEATURES for y in range(3)],
    "ctc": [
        (steps, labels, heard, said)
        for steps in ([EVEN] * 4, [SURE] * 4, [SPIKE, EVEN, SPIKE, SURE])
        for labels in ([1, 1], [1, 3], [3, 1], [1, 0])
        for heard, said in ((4, 2), (3, 2), (2, 2), (4, 1), (1, 0), (0, 0), (0, 1))
        # No label is the blank, but what pads the row may be.
        if 0 not in labels[:said]
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
    return [p for p in loss.params if p not in AROUND]


def domain_of(spec: InputSpec, loss: Loss, params: Params) -> Domain:
    """The domain of an input under these parameters."""
    defaults = {p.name: p.default for p in loss.params}
    return spec.kind.domain.under({**defaults, **params})


def classes_fixed(loss: Loss, params: Params) -> bool:
    """Whether a list of one number a class fixes how many there are."""
    return any(p.marked(PerClass) and isinstance(params.get(p.name), list) for p in loss.params)


def hard_rows(loss: Loss, params: Params, dtype: DType) -> list[Row]:
    """Every combination of hard values of the inputs."""
    if loss.name == "d2_score":
        return [*_hard_scores(params)]
    if loss.name in HARD:
        return HARD[loss.name]
    return list(product(*(_hard(spec, loss, params, dtype) for spec in loss.inputs)))


def _hard(spec: InputSpec, loss: Loss, params: Params, dtype: DType) -> list[object]:
    domain = domain_of(spec, loss, params)
    if spec.kind.core:
        return [*_hard_vectors(dtype)[domain.name]]
    if domain.index:
        return list(range(CLASSES))
    if domain.members:
        return list(domain.members)
    # Powers of these neither overflow nor vanish.
    numbers = POWERED if "power" in params else _hard_numbers(dtype)
    return [x for x in numbers if domain.interval.holds(np.asarray(x))]


def _hard_scores(params: Params) -> Iterator[Row]:
    """Batches of samples, one output and several."""
    if params.get("family") in CLASS_FAMILIES:
        yield from product(CHANCES, [[1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
        yield from product(CHANCES_OF_CLASSES, [[0, 1, 2, 1], [2, 2, 2, 2]])
        return
    power = params.get("power", 0.0)
    anything = [[-1e3, 1e-8, 0.0, 1e3]] if power == 0.0 else []
    with_zeros = [[0.0, 0.0, 1.0, 3.0]] if power in (0.0, 1.0, 1.5) else []
    predictions, targets = [*AMOUNTS, *anything], [*AMOUNTS, *anything, *with_zeros]
    if not isinstance(params.get("columns"), list):
        yield from product(predictions, targets)
    yield _beside(predictions[0], predictions[-1]), _beside(targets[-1], targets[0])
    if "sample_weight" not in params and "columns" not in params:
        # The mean of these is rounded; one sample has no score.
        yield from (([1.0, 2.0, 4.0], [0.1] * 3), ([0.1] * 3, [0.1] * 3), ([1.0], [2.0]))


def _beside(*outputs: Sequence[float]) -> list[list[float]]:
    return [[*row] for row in zip(*outputs, strict=True)]


AMOUNTS = [[1.0, 2.0, 3.0, 4.0], [0.7, 0.7, 0.7, 0.7], [1e-8, 0.5, 30.0, 1e3]]
CHANCES = [[0.999, 1e-8, 0.5, 1.0], [1.0, 0.0, 1.0, 1.0], [0.5, 0.25, 0.125, 0.0]]
CHANCES_OF_CLASSES = [
    [[0.999, 0.0005, 0.0005], [0.5, 0.5, 0.0], [0.25, 0.5, 0.25], [1e-8, 1.0, 0.0]],
    [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]],
]
POWERED = [0.0, 1e-8, 0.5, 0.999, 1.0, 3.0, 30.0, 1e3, -0.5, -1.0, -30.0]


def _hard_numbers(dtype: DType) -> list[float]:
    tiny, big = (1e-300, 1e154) if dtype is np.float64 else (1e-37, 1e18)
    sizes = [tiny, 1e-8, 0.5, 0.999, _below_one(dtype), 1.0, 30.0, 1e3, big]
    return [0.0, *sizes, *(-x for x in sizes)]


def _hard_vectors(dtype: DType) -> Mapping[str, Sequence[Sequence[float]]]:
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
        "log_probability": [
            [0.0, -1e3, -1e3],
            [-0.001, -7.0, -1e3],
            [-1e-8, -18.5, -30.0],
            [-1.0986122886681098, -1.0986122886681098, -1.0986122886681098],
            [-0.6931471805599453, -0.6931471805599453, -np.inf],
        ],
        "nonnegative": [
            [0.0, 0.0, 0.0],
            [1.0, 0.0, 1e-8],
            [0.999, 0.0005, 0.0005],
            [30.0, 1e3, 2.0],
        ],
        "binary": [[0.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]],
        "class_list": [[0, 1, 2], [2, -1, -1], [-1, 0, 1], [1, 0, -1], [0, 0, -1], [1, -1, 99]],
        "box_xyxy": BOXES,
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
