"""Keras 3.15.1 on TensorFlow: keras.losses, classes and functions.

Elementwise losses average the last axis; weights and masks act on what remains, aligned from the
right after squeezing or adding one axis. A mean divides by the number of kept values, and a mean
of nothing is 0.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.reductions import Reduction
from lossmeter.dialects.symbols import (
    SYMBOLS,
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


def align_like_metric(x: Array, shape: tuple[int, ...], name: str) -> Array:
    """Fewer axes than the values have are their first ones, which a metric averages the rest to.

    Raises:
        ShapeMismatch: The shapes do not broadcast.
    """
    return align_like_keras(x.reshape(x.shape + (1,) * (len(shape) - x.ndim)), shape, name)


def pair_like_keras(x: Array, y: Array) -> tuple[Array, Array]:
    """Keras's squeeze_or_expand_to_same_rank: an axis of 1 is added to a lone axis or dropped."""
    if x.ndim < y.ndim:
        y, x = pair_like_keras(y, x)
    elif x.ndim == y.ndim + 1 and x.shape[-1] == 1:
        x, y = (x, y[..., None]) if y.ndim == 1 else (x[..., 0], y)
    return x, y


def squeeze_like_keras(variant: Variant, arrays: Arrays) -> Arrays:
    """Drops or adds a last axis of 1 where one input has it and the other lacks it."""
    if set(arrays) != {"predictions", "targets"} or "..." in variant.loss.inputs[0].kind.core:
        return arrays
    p, y = arrays["predictions"], arrays["targets"]
    if variant.loss.inputs[1].kind.domain.integers:
        return {"predictions": p, "targets": y[..., 0] if _lacks_nothing(p, y) else y}
    p, y = pair_like_keras(p, y)
    return {"predictions": p, "targets": y}


def _lacks_nothing(p: Array, y: Array) -> bool:
    """Whether class indices have an axis of 1 where the predictions have their classes."""
    return bool(y.ndim == p.ndim and y.shape[-1:] == (1,))


def zero_one_if_all_are(inputs: Arrays, mask: Array | None, _: Settings) -> Arrays:
    """Keras's hinge labels: 0 and 1 mean −1 and +1 only if every label of the batch is 0 or 1.

    Labels under the mask have no say. Labels that are taken as they are become (y + 1)/2, which the
    hinge maps back to y.
    """
    targets = inputs["targets"]
    kept = targets if mask is None else targets[mask]
    if np.isin(kept, (0, 1)).all():
        return inputs
    wide = np.asarray(targets, dtype=np.result_type(targets, np.float32))
    return {**inputs, "targets": (wide + 1) / 2}


KERAS = Dialect(
    name="keras",
    version="3.15.1",
    words=MappingProxyType(
        {
            "none": Reduction("none"),
            "sum": Reduction("sum"),
            "mean": Reduction("mean"),
            "sum_over_batch_size": Reduction("mean"),
            # What Keras 2 called it.
            "auto": Reduction("mean"),
            "mean_with_sample_weight": Reduction("weighted_mean", own_weights=True),
            # The objective of Keras 0.3 to 2.2 is 0/0 of nothing.
            "keras2": Reduction("keras2", nothing=math.nan),
        }
    ),
    empty=0.0,
    align=align_like_keras,
    masked=0.0,
    squeeze=squeeze_like_keras,
    pair=pair_like_keras,
)

# Functions that leave the ranks of their inputs as they are: what they broadcast is refused.
UNSQUEEZED = replace(KERAS, squeeze=None)
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
FOCAL: Keywords = {
    **SMOOTHED,
    "apply_class_balancing": Rule.SETTLED,
    "alpha": "alpha",
    "gamma": "gamma",
    "axis": Rule.MEAN_AXIS,
}
# The axes of an overlap are counted with that of the samples, and none named is all of them.
OVERLAP: dict[str, Any] = {
    "fixed": {"smooth": 0.0, "epsilon": EPSILON},
    "sums_samples": True,
    "all_axes": True,
}
LABELS = Survey(zero_one_if_all_are, "the labels of the whole batch")
# What TensorFlow counts for a path that does not end with the labels.
LOG_ELSEWHERE = math.log(1e-307)


def _both(class_name: str, function: str, *variants: Variant) -> None:
    names = {
        f"keras.losses.{class_name}": "sum_over_batch_size",
        f"keras.losses.{function}": "none",
    }
    declare_symbols(KERAS, names, *variants)


def _elementwise(class_name: str, function: str, loss: str, **variant: Any) -> None:
    _both(class_name, function, Variant(loss_named(loss), inner="mean", **variant))


def _unsqueezed(class_name: str, function: str, loss: str, **variant: Any) -> None:
    """A class that makes the ranks equal beside a function that does not."""
    _elementwise(class_name, function, loss, **variant)
    name = f"keras.losses.{function}"
    declare_symbols(UNSQUEEZED, {name: "none"}, *SYMBOLS[name].variants)


def _by_logits(class_name: str, function: str, of_p: Variant, of_logits: Variant) -> None:
    """Two losses that ``from_logits`` chooses between."""
    _both(
        class_name,
        function,
        replace(of_p, when={"from_logits": False}),
        replace(of_logits, when={"from_logits": True}),
    )


def balanced_alpha(settings: Settings) -> Settings:
    """The weight of the positive class counts only where balancing is asked for."""
    return {"alpha": settings["alpha"] if settings["apply_class_balancing"] else None}


def lengths_of_labels(arrays: Arrays, _: Settings) -> Arrays:
    """Keras has no lengths: every step counts, and every label that is not 0."""
    steps = arrays["predictions"].shape[1] if arrays["predictions"].ndim > 1 else 0
    labels = arrays["targets"]
    return {
        **arrays,
        "input_lengths": np.full(labels.shape[:1], steps),
        "target_lengths": np.count_nonzero(labels, axis=-1) if labels.ndim else labels,
    }


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
_unsqueezed(
    "Poisson",
    "poisson",
    "poisson_nll",
    fixed={"log_input": False, "full": False, "epsilon": EPSILON},
)
_unsqueezed("Hinge", "hinge", "hinge", survey=LABELS)
_unsqueezed("SquaredHinge", "squared_hinge", "squared_hinge", survey=LABELS)

declare_symbols(
    replace(KERAS, align=align_like_metric),
    {"keras.metrics.RootMeanSquaredError": "weighted_mean"},
    Variant(loss_named("root_mean_squared_error")),
)
_by_logits(
    "BinaryCrossentropy",
    "binary_crossentropy",
    Variant(
        loss_named("binary_cross_entropy"),
        keywords={**SMOOTHED, "axis": Rule.MEAN_AXIS},
        guards=(CLIP,),
        inner="mean",
    ),
    Variant(
        loss_named("binary_cross_entropy_with_logits"),
        keywords={**SMOOTHED, "axis": Rule.MEAN_AXIS},
        inner="mean",
    ),
)
# The clip acts inside the logarithm, not in the power that fades it.
_by_logits(
    "BinaryFocalCrossentropy",
    "binary_focal_crossentropy",
    Variant(
        loss_named("binary_focal_cross_entropy"),
        keywords=FOCAL,
        defaults={"alpha": 0.25},
        fixed={"log_clip": EPSILON},
        settle=balanced_alpha,
        inner="mean",
    ),
    Variant(
        loss_named("sigmoid_focal"),
        keywords=FOCAL,
        defaults={"alpha": 0.25},
        settle=balanced_alpha,
        inner="mean",
    ),
)
_by_logits(
    "CategoricalCrossentropy",
    "categorical_crossentropy",
    Variant(
        loss_named("categorical_cross_entropy"),
        keywords={**SMOOTHED, "axis": Rule.CLASS_AXIS},
        guards=(RENORMALISE, CLIP),
        smooths_by_last=True,
    ),
    Variant(
        loss_named("softmax_cross_entropy"),
        keywords={**SMOOTHED, "axis": Rule.CLASS_AXIS},
        smooths_by_last=True,
    ),
)
_by_logits(
    "SparseCategoricalCrossentropy",
    "sparse_categorical_crossentropy",
    Variant(
        loss_named("sparse_categorical_cross_entropy"),
        keywords=SPARSE,
        guards=(CLIP, RENORMALISE),
    ),
    Variant(loss_named("sparse_softmax_cross_entropy"), keywords=SPARSE),
)
# Clipped after the softmax too.
_both(
    "CategoricalFocalCrossentropy",
    "categorical_focal_crossentropy",
    Variant(
        loss_named("categorical_focal_cross_entropy"),
        keywords={
            "from_logits": Rule.SOFTMAX,
            "alpha": "alpha",
            "gamma": "gamma",
            "label_smoothing": "label_smoothing",
            "axis": Rule.CLASS_AXIS,
        },
        guards=(RENORMALISE, CLIP),
        smooths_by_last=True,
    ),
)
# The class keeps q between 0 and 1; the function needs it and checks nothing.
declare_symbols(
    KERAS,
    {"keras.losses.CategoricalGeneralizedCrossEntropy": "sum_over_batch_size"},
    Variant(loss_named("generalized_cross_entropy"), keywords={"q": "q"}),
)
declare_symbols(
    KERAS,
    {"keras.losses.categorical_generalized_cross_entropy": "none"},
    Variant(
        loss_named("generalized_cross_entropy"),
        keywords={"q": "q"},
        defaults={"q": ...},
        annotations={"q": float},
    ),
)
_both("CategoricalHinge", "categorical_hinge", Variant(loss_named("categorical_hinge")))
_both(
    "KLDivergence",
    "kl_divergence",
    Variant(loss_named("kl_divergence"), guards=(("clip_range", (EPSILON, 1.0)),)),
)
# One over the norm is capped at 1e7, which is a floor of 1e-14 under its square.
_both(
    "CosineSimilarity",
    "cosine_similarity",
    Variant(
        loss_named("cosine_similarity_loss"),
        keywords={"axis": Rule.CLASS_AXIS},
        fixed={"epsilon": 1e-14},
    ),
)
_both(
    "Dice",
    "dice",
    Variant(loss_named("dice"), keywords={"axis": Rule.SUMMED_AXES}, **OVERLAP),
)
# Up to 3.15.1 alpha weighs what is missed, and beta what is found in vain.
_both(
    "Tversky",
    "tversky",
    Variant(
        loss_named("tversky"),
        keywords={"alpha": "beta", "beta": "alpha", "axis": Rule.SUMMED_AXES},
        **OVERLAP,
    ),
)
CIRCLE: Keywords = {"gamma": "gamma", "margin": "margin", "remove_diagonal": "remove_diagonal"}
declare_symbols(
    KERAS,
    {"keras.losses.Circle": "sum_over_batch_size"},
    Variant(loss_named("circle"), keywords=CIRCLE, drops_zeros=True),
)
declare_symbols(
    KERAS,
    {"keras.losses.circle": "none"},
    Variant(
        loss_named("circle"),
        keywords={**CIRCLE, "ref_labels": Rule.ONLY_NULL, "ref_embeddings": Rule.ONLY_NULL},
    ),
)
_both(
    "CTC",
    "ctc",
    Variant(
        loss_named("ctc"),
        fixed={"blank": 0, "zero_infinity": False, "log_elsewhere": LOG_ELSEWHERE},
        lacks=("input_lengths", "target_lengths"),
        arrange=lengths_of_labels,
        guards=(("log_probabilities", None),),
        narrow=True,
    ),
)
