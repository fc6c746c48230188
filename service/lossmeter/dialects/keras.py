"""Keras 3.15.1 on TensorFlow: keras.losses, classes and functions.

Elementwise losses average the last axis; weights and masks act on what remains, aligned from the
right after squeezing or adding one axis. A mean divides by the number of kept values, and a mean
of nothing is 0.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.reductions import Reduction
from lossmeter.dialects.symbols import Dialect, Rule, Variant, declare_symbols, loss_named
from lossmeter.errors import ShapeMismatch


def align_like_keras(x: Array, shape: tuple[int, ...], name: str) -> Array:
    """Keras's squeeze_or_expand_to_same_rank, then NumPy broadcasting from the right.

    Raises:
        ShapeMismatch: The shapes do not broadcast.
    """
    rank = len(shape)
    if x.ndim == rank + 1 and x.shape[-1] == 1 and rank != 1:
        x = x[..., 0]
    elif x.ndim == rank + 1 and x.shape[-1] == 1:
        shape = (*shape, 1)
    elif x.ndim + 1 == rank and shape[-1] == 1:
        x = x[..., None]
    try:
        return np.broadcast_to(x, np.broadcast_shapes(x.shape, shape))
    except ValueError:
        raise ShapeMismatch(
            f"{name} has shape {list(x.shape)}, which Keras cannot broadcast to the loss values' "
            f"shape {list(shape)}",
            field=f"inputs.{name}",
        ) from None


def zero_one_if_all_are(targets: Array, kept: Array) -> Array:
    """Keras's hinge labels: 0 and 1 mean −1 and +1 only if every label of the batch is 0 or 1.

    Labels under the mask have no say. Labels that are taken as they are become (y + 1)/2, which the
    hinge maps back to y.
    """
    if np.isin(kept, (0, 1)).all():
        return targets
    return (np.asarray(targets, dtype=np.result_type(targets, np.float32)) + 1) / 2


KERAS = Dialect(
    name="keras",
    version="3.15.1",
    words=MappingProxyType(
        {
            "none": Reduction("none"),
            "sum": Reduction("sum"),
            "mean": Reduction("mean"),
            "sum_over_batch_size": Reduction("mean"),
            "mean_with_sample_weight": Reduction("weighted_mean", own_weights=True),
        }
    ),
    empty=0.0,
    align=align_like_keras,
    masked=0.0,
    squeezes=True,
)

Keywords = Mapping[str, str | Rule]
EPSILON = 1e-7
CLIP = ("clip_epsilon", EPSILON)
RENORMALISE = ("renormalise", None)
SMOOTHED: Keywords = {"from_logits": Rule.SWITCH, "label_smoothing": "label_smoothing"}
SPARSE: Keywords = {
    "from_logits": Rule.SWITCH,
    "ignore_class": "ignore_index",
    "axis": Rule.CLASS_AXIS,
}


def _both(class_name: str, function: str) -> dict[str, str]:
    return {
        f"keras.losses.{class_name}": "sum_over_batch_size",
        f"keras.losses.{function}": "none",
    }


def _elementwise(class_name: str, function: str, loss: str, **variant: Any) -> None:
    declare_symbols(
        KERAS,
        _both(class_name, function),
        Variant(loss_named(loss), inner_mean=True, **variant),
    )


_elementwise("MeanSquaredError", "mean_squared_error", "squared_error")
_elementwise("MeanAbsoluteError", "mean_absolute_error", "absolute_error")
_elementwise(
    "MeanAbsolutePercentageError",
    "mean_absolute_percentage_error",
    "mean_absolute_percentage_error",
    fixed={"scale": 100.0, "epsilon": EPSILON},
)
_elementwise(
    "MeanSquaredLogarithmicError",
    "mean_squared_logarithmic_error",
    "squared_log_error",
    guards=(("clamp_low", EPSILON),),
)
# Keras takes any delta, also a negative one.
_elementwise("Huber", "huber", "huber", keywords={"delta": "delta"}, annotations={"delta": float})
# The constant is ln 2 rounded to float32, whatever the dtype.
_elementwise("LogCosh", "log_cosh", "log_cosh", fixed={"ln2": 0.6931471824645996})
_elementwise(
    "Poisson",
    "poisson",
    "poisson_nll",
    fixed={"log_input": False, "full": False, "epsilon": EPSILON},
)
_elementwise("Hinge", "hinge", "hinge", as_binary=zero_one_if_all_are)

declare_symbols(
    KERAS,
    {"keras.metrics.RootMeanSquaredError": "weighted_mean"},
    Variant(loss_named("root_mean_squared_error")),
)
declare_symbols(
    KERAS,
    _both("BinaryCrossentropy", "binary_crossentropy"),
    Variant(
        loss_named("binary_cross_entropy"),
        keywords={**SMOOTHED, "axis": Rule.MEAN_AXIS},
        guards=(CLIP,),
        when=("from_logits", False),
        inner_mean=True,
    ),
    Variant(
        loss_named("binary_cross_entropy_with_logits"),
        keywords={**SMOOTHED, "axis": Rule.MEAN_AXIS},
        when=("from_logits", True),
        inner_mean=True,
    ),
)
declare_symbols(
    KERAS,
    _both("CategoricalCrossentropy", "categorical_crossentropy"),
    Variant(
        loss_named("categorical_cross_entropy"),
        keywords={**SMOOTHED, "axis": Rule.CLASS_AXIS},
        guards=(RENORMALISE, CLIP),
        when=("from_logits", False),
    ),
    Variant(
        loss_named("softmax_cross_entropy"),
        keywords={**SMOOTHED, "axis": Rule.CLASS_AXIS},
        when=("from_logits", True),
    ),
)
declare_symbols(
    KERAS,
    _both("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"),
    Variant(
        loss_named("sparse_categorical_cross_entropy"),
        keywords=SPARSE,
        guards=(CLIP, RENORMALISE),
        when=("from_logits", False),
    ),
    Variant(
        loss_named("sparse_softmax_cross_entropy"),
        keywords=SPARSE,
        when=("from_logits", True),
    ),
)
declare_symbols(
    KERAS,
    _both("KLDivergence", "kl_divergence"),
    Variant(loss_named("kl_divergence"), guards=(("clip_range", (EPSILON, 1.0)),)),
)
