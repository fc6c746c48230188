"""TorchMetrics 1.9.0: torchmetrics.functional. One number over the whole input, no weights."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from lossmeter.core.arrays import NUMPY, Array
from lossmeter.core.reductions import Reduction
from lossmeter.core.stable import sigmoid, softmax
from lossmeter.dialects.symbols import (
    Arrays,
    Dialect,
    Rule,
    Settings,
    Survey,
    Variant,
    declare_symbols,
    loss_named,
)
from lossmeter.errors import ShapeMismatch

TORCHMETRICS = Dialect(
    name="torchmetrics",
    version="1.9.0",
    words=MappingProxyType({name: Reduction(name) for name in ("none", "mean", "sum")}),
    empty=math.nan,
)
FLOOR = 1.17e-6
ROWS = 2


def _metric(name: str, *variants: Variant, default: str = "mean", **words: Reduction) -> None:
    names = {f"torchmetrics.functional.{name}": default}
    declare_symbols(TORCHMETRICS, names, *variants, **words)


def squashed(inputs: Arrays, mask: Array | None, _: Settings) -> Arrays:
    """The sigmoid of scores, or their softmax, if any of them lies outside [0, 1]."""
    scores = inputs["predictions"]
    kept = scores if mask is None else scores[mask]
    if not ((kept < 0.0) | (kept > 1.0)).any():
        return inputs
    scores = scores.astype(np.result_type(scores, np.float32))
    by_class = scores.ndim > inputs["targets"].ndim
    return {**inputs, "predictions": softmax(NUMPY, scores) if by_class else sigmoid(NUMPY, scores)}


def has_columns(arrays: Mapping[str, Array]) -> bool:
    """Whether predictions are rows of more than one number."""
    x = arrays["predictions"]
    return bool(x.ndim == ROWS and x.shape[-1] > 1)


def as_many_classes(arrays: Arrays, settings: Settings) -> Arrays:
    """Scores of ``num_classes`` classes.

    Raises:
        ShapeMismatch: The class axis has another size.
    """
    scores, classes = arrays["predictions"], settings["num_classes"]
    if scores.ndim < 2 or scores.shape[1] != classes:
        raise ShapeMismatch(
            "predictions need as many classes on axis 1 as num_classes says",
            field="inputs.predictions",
        )
    return arrays


SQUASHED = Survey(squashed, "whether any score of the batch lies outside [0, 1]")
HINGE: dict[str, str | Rule] = {
    "task": Rule.SWITCH,
    "num_classes": Rule.NO_EFFECT,
    "ignore_index": Rule.IGNORE_INDEX,
    "validate_args": Rule.NO_EFFECT,
}
TASK: dict[str, Any] = {
    "task": Literal["binary", "multiclass"],
    "multiclass_mode": Literal["crammer-singer"],
    "num_classes": int | None,
    "validate_args": bool,
}


_metric(
    "mean_squared_error",
    *(
        Variant(
            loss_named(loss),
            keywords={"squared": Rule.SWITCH, "num_outputs": Rule.OUTPUTS},
            defaults={"squared": True},
            when={"squared": squared},
        )
        for loss, squared in (("squared_error", True), ("root_mean_squared_error", False))
    ),
)
_metric(
    "mean_absolute_error",
    Variant(loss_named("absolute_error"), keywords={"num_outputs": Rule.OUTPUTS}),
)
_metric(
    "mean_absolute_percentage_error",
    Variant(loss_named("mean_absolute_percentage_error"), fixed={"scale": 1.0, "epsilon": FLOOR}),
)
_metric(
    "symmetric_mean_absolute_percentage_error",
    Variant(loss_named("symmetric_mean_absolute_percentage_error"), fixed={"epsilon": FLOOR}),
)
# Always one number, a ratio of sums.
_metric(
    "weighted_mean_absolute_percentage_error",
    Variant(
        loss_named("weighted_mean_absolute_percentage_error"),
        fixed={"epsilon": FLOOR},
        own="ratio",
    ),
    default="none",
    none=Reduction("weighted_mean", own_divisor=True),
)
_metric("mean_squared_log_error", Variant(loss_named("squared_log_error")))
# A naive cosh, infinite beyond about 88 in float32.
# Rows have a value for each of their columns.
_metric(
    "log_cosh_error",
    Variant(loss_named("log_cosh"), fixed={"naive": True}, fits=has_columns, by_column=True),
    Variant(loss_named("log_cosh"), fixed={"naive": True}),
)
_metric(
    "tweedie_deviance_score",
    Variant(loss_named("tweedie_deviance"), keywords={"power": "power"}),
)
_metric(
    "cosine_similarity",
    Variant(loss_named("cosine_similarity_loss"), fixed={"sign": 1.0}, narrow=True),
    default="sum",
)
# Both are rescaled to sum to 1, unless they are logarithms.
_metric(
    "kl_divergence",
    Variant(
        loss_named("kl_divergence"),
        keywords={"log_prob": Rule.SWITCH},
        when={"log_prob": False},
        guards=(("unit_sum", None),),
    ),
    Variant(
        loss_named("kl_divergence"),
        keywords={"log_prob": Rule.SWITCH},
        when={"log_prob": True},
        guards=(("exponential", None),),
    ),
)
_metric(
    "hinge_loss",
    *(
        Variant(
            loss_named(loss),
            keywords={
                **HINGE,
                "squared": Rule.SWITCH,
                "multiclass_mode": Rule.NO_EFFECT,
            },
            defaults={"task": ..., "multiclass_mode": "crammer-singer", "validate_args": True},
            annotations=TASK,
            when={"task": "binary", "squared": squared},
            survey=SQUASHED,
        )
        for loss, squared in (("hinge", False), ("squared_hinge", True))
    ),
    Variant(
        loss_named("crammer_singer_hinge"),
        keywords={
            **HINGE,
            "num_classes": Rule.SETTLED,
            "squared": "squared",
            "multiclass_mode": Rule.NO_EFFECT,
        },
        defaults={
            "task": ...,
            "num_classes": ...,
            "squared": False,
            "multiclass_mode": "crammer-singer",
            "validate_args": True,
        },
        annotations={**TASK, "num_classes": int, "squared": bool},
        when={"task": "multiclass"},
        class_axis=1,
        arrange=as_many_classes,
        survey=SQUASHED,
    ),
)
