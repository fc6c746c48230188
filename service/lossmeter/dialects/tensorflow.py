"""TensorFlow 2.21.0: tf.nn and tf.compat.v1.losses.

tf.nn reduces nothing and has no weights. tf.compat.v1.losses takes weights of the values' own
rank, divides by the number of those that are not 0, and computes errors and hinges in float32;
a mean of nothing is 0.
"""

import math
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.reductions import Reduction
from lossmeter.dialects.symbols import (
    Arrays,
    Dialect,
    Rule,
    Settings,
    Variant,
    align_leading,
    declare_symbols,
    loss_named,
)
from lossmeter.errors import ShapeMismatch


def align_like_tf1(x: Array, shape: tuple[int, ...], name: str) -> Array:
    """Weights are one number, or have the values' rank with each axis 1 or equal.

    Raises:
        ShapeMismatch: Other weights.
    """
    if name != "sample_weight":
        return align_leading(x, shape, name)
    fits = x.ndim == len(shape) and all(a in (1, n) for a, n in zip(x.shape, shape, strict=True))
    if x.ndim and not fits:
        raise ShapeMismatch(
            f"{name} has shape {list(x.shape)}; TensorFlow 1 takes one number, or the rank of the "
            f"loss values' shape {list(shape)} with each axis equal or 1",
            field=f"inputs.{name}",
        )
    return np.broadcast_to(x, shape)


def squeeze_labels(variant: Variant, arrays: Arrays) -> Arrays:
    """Class indices may have an axis of 1 where the predictions have their classes."""
    y = arrays["targets"]
    indices = variant.loss.inputs[1].kind.domain.index
    if indices and y.ndim == arrays["predictions"].ndim and y.shape[-1:] == (1,):
        return {**arrays, "targets": y[..., 0]}
    return arrays


def align_samples(x: Array, shape: tuple[int, ...], name: str) -> Array:
    """One weight a sample, with or without axes of 1 after it."""
    return align_leading(x.reshape(shape) if x.size == math.prod(shape) else x, shape, name)


TF = Dialect(
    name="tensorflow",
    version="2.21.0",
    words=MappingProxyType(
        {
            "none": Reduction("none"),
            "weighted_sum": Reduction("sum"),
            "weighted_mean": Reduction("weighted_mean"),
            "weighted_sum_over_batch_size": Reduction("mean"),
            "weighted_sum_by_nonzero_weights": Reduction("nonzero_mean"),
        }
    ),
    empty=math.nan,
)
TF1 = replace(TF, empty=0.0, align=align_like_tf1, masked=0.0, squeeze=squeeze_labels)
BY_NONZERO = "weighted_sum_by_nonzero_weights"
# What a path counts that does not end with the labels.
LOG_ELSEWHERE = math.log(1e-307)


def _nn(name: str, loss: str, default: str = "none", **variant: Any) -> None:
    declare_symbols(TF, {f"tf.nn.{name}": default}, Variant(loss_named(loss), **variant))


def _v1(name: str, loss: str, **variant: Any) -> None:
    names = {f"tf.compat.v1.losses.{name}": BY_NONZERO}
    declare_symbols(TF1, names, Variant(loss_named(loss), **variant))


def steps_second(arrays: Arrays, settings: Settings) -> Arrays:
    """CTC's predictions with the samples first."""
    x = arrays["predictions"]
    turned = x.swapaxes(0, 1) if settings["logits_time_major"] and x.ndim > 1 else x
    return {**arrays, "predictions": turned}


_nn("l2_loss", "l2_penalty", "sum")
_nn("sigmoid_cross_entropy_with_logits", "binary_cross_entropy_with_logits")
_nn(
    "weighted_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits",
    keywords={"pos_weight": "pos_weight"},
    defaults={"pos_weight": ...},
    annotations={"pos_weight": float | list[float]},
)
_nn(
    "softmax_cross_entropy_with_logits",
    "softmax_cross_entropy",
    keywords={"axis": Rule.CLASS_AXIS},
)
_nn("sparse_softmax_cross_entropy_with_logits", "sparse_softmax_cross_entropy")
_nn(
    "log_poisson_loss",
    "poisson_nll",
    keywords={"compute_full_loss": "full"},
    fixed={"log_input": True},
)
# Computed in float32, where an impossible alignment is only unlikely; a blank below 0 counts from
# the last class.
_nn(
    "ctc_loss",
    "ctc",
    keywords={
        "blank_index": Rule.SETTLED,
        "logits_time_major": Rule.SETTLED,
        "unique": Rule.NO_EFFECT,
    },
    annotations={"blank_index": int | None},
    defaults={"blank_index": None, "logits_time_major": True},
    settle=lambda settings: {"blank": settings["blank_index"] or 0},
    fixed={"zero_infinity": False, "log_elsewhere": LOG_ELSEWHERE},
    aliases={"label_length": "target_lengths", "logit_length": "input_lengths"},
    arrange=steps_second,
    guards=(("log_probabilities", None),),
    narrow=True,
)

_v1("mean_squared_error", "squared_error", narrow=True)
_v1("absolute_difference", "absolute_error", narrow=True)
_v1("huber_loss", "huber", keywords={"delta": "delta"}, narrow=True)
_v1(
    "log_loss",
    "binary_cross_entropy",
    keywords={"epsilon": "log_add"},
    defaults={"epsilon": 1e-7},
    annotations={"epsilon": float},
    narrow=True,
)
_v1("hinge_loss", "hinge", narrow=True)
_v1(
    "sigmoid_cross_entropy",
    "binary_cross_entropy_with_logits",
    keywords={"label_smoothing": "label_smoothing"},
)
_v1(
    "softmax_cross_entropy",
    "softmax_cross_entropy",
    keywords={"label_smoothing": "label_smoothing"},
)
_v1("sparse_softmax_cross_entropy", "sparse_softmax_cross_entropy")
# The axis is required, and stays with size 1.
_v1(
    "cosine_distance",
    "cosine_distance",
    keywords={"axis": Rule.CLASS_AXIS},
    defaults={"axis": ...},
    spellings={"dim": "axis"},
    fixed={"normalize": False},
    keeps_axis=True,
    narrow=True,
)
# No reduction of its own: always the weighted sum.
declare_symbols(
    replace(TF1, align=align_samples),
    {"tf.compat.v1.losses.mean_pairwise_squared_error": "weighted_sum"},
    Variant(loss_named("mean_pairwise_squared_error"), counts_batch=True, narrow=True),
)
