"""Optax 0.2.8: optax.losses, and the same under optax.

Values are not reduced; a mean divides by their number. ``where`` takes entries out of the sums
and the softmax of the axis that is used up.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from lossmeter.core.arrays import NUMPY, Array
from lossmeter.core.domains import BINARY
from lossmeter.core.reductions import Reduction
from lossmeter.core.stable import sigmoid, softmax
from lossmeter.dialects.symbols import (
    Arrays,
    Dialect,
    Rule,
    Settings,
    Variant,
    declare_symbols,
    loss_named,
)
from lossmeter.errors import MissingInput, OutOfDomain, ShapeMismatch

OPTAX = Dialect(
    name="optax",
    version="0.2.8",
    words=MappingProxyType({"mean": Reduction("mean")}),
    empty=math.nan,
)
# So far below any logit that its exponential is 0, and yet 0 times it is 0.
FAR = -1e30
SUM_TOLERANCE = 1e-5
ALONG: Mapping[str, str | Rule] = {"axis": Rule.CLASS_AXIS, "where": Rule.WHERE}
OF_LOGITS: dict[str, Any] = {"keywords": ALONG, "fill": (FAR, 0.0)}
SIGNS = (("sign_labels", None),)


def _losses(name: str, *variants: Variant) -> None:
    declare_symbols(OPTAX, _both(name, "none"), *variants)


def _both(name: str, default: str) -> dict[str, str]:
    return {f"optax.losses.{name}": default, f"optax.{name}": default}


def _one(name: str, loss: str, **variant: Any) -> None:
    _losses(name, Variant(loss_named(loss), **variant))


def zero_targets(arrays: Arrays, _: Settings) -> Arrays:
    """Targets that are absent are 0."""
    return {"targets": np.zeros_like(arrays["predictions"]), **arrays}


OPTIONAL_TARGETS: dict[str, Any] = {"lacks": ("targets",), "arrange": zero_targets}


def overlapping_classes(arrays: Arrays, settings: Settings) -> Arrays:
    """Class probabilities of logits, one channel by its sigmoid; class 0 left out if asked.

    Raises:
        OutOfDomain: Probabilities that do not sum to 1.
    """
    p, y = _channelled(arrays["predictions"], arrays["targets"])
    if not p.ndim or not p.shape[-1]:
        raise ShapeMismatch(
            "predictions need an axis of classes, with at least one", field="inputs.predictions"
        )
    if settings["apply_softmax"]:
        p = sigmoid(NUMPY, _wide(p)) if p.shape[-1:] == (1,) else softmax(NUMPY, _wide(p))
    elif not np.allclose(p.sum(axis=-1), 1.0, rtol=SUM_TOLERANCE):
        raise OutOfDomain(
            "predictions must sum to 1 over the last axis, or be logits with apply_softmax true",
            field="inputs.predictions",
        )
    if settings.get("ignore_background") and p.shape[-1] > 1:
        p, y = p[..., 1:], y[..., 1:]
    return {"predictions": p, "targets": y}


def one_channel(arrays: Arrays, settings: Settings) -> Arrays:
    """Logits of a foreground, with or without an axis of one channel.

    Raises:
        OutOfDomain: Probabilities, which Optax takes only where they are all 1.
    """
    p, y = arrays["predictions"], arrays["targets"]
    if p.ndim == y.ndim and p.shape[-1:] != (1,):
        p, y = p[..., None], y[..., None]
    channels = {"predictions": p, "targets": y}
    return overlapping_classes(channels, {"apply_softmax": settings["apply_sigmoid"]})


def _channelled(p: Array, y: Array) -> tuple[Array, Array]:
    """A channel axis for the one of both that lacks it."""
    if p.ndim == y.ndim - 1:
        return p[..., None], y
    return p, y[..., None] if y.ndim == p.ndim - 1 else y


def _wide(x: Array) -> Array:
    return x.astype(np.result_type(x, np.float32))


def lengths_of_paddings(arrays: Arrays, _: Settings) -> Arrays:
    """Paddings, 1 past the end, in place of lengths.

    Raises:
        MissingInput: Neither are there.
        OutOfDomain: A padding that is not past the end.
        ShapeMismatch: A padding of another shape.
    """
    steps = arrays["predictions"].shape[:-1]
    found = {name: arrays[name] for name in ("predictions", "targets")}
    padded = {
        "input_lengths": ("logit_paddings", steps),
        "target_lengths": ("label_paddings", arrays["targets"].shape),
    }
    for lengths, (name, shape) in padded.items():
        if lengths in arrays:
            found[lengths] = arrays[lengths]
        elif name in arrays:
            found[lengths] = _length(arrays[name], shape, name)
        else:
            raise MissingInput(f"the input {name} is missing", field=f"inputs.{name}")
    return found


def _length(paddings: Array, shape: tuple[int, ...], name: str) -> Array:
    if paddings.shape != shape:
        raise ShapeMismatch(
            f"{name} has shape {list(paddings.shape)}; it must have {list(shape)}",
            field=f"inputs.{name}",
        )
    if not np.isin(paddings, (0, 1)).all() or (np.diff(paddings.astype(float)) < 0).any():
        raise OutOfDomain(f"{name} must be 0, then 1 past the end", field=f"inputs.{name}")
    return np.count_nonzero(paddings == 0, axis=-1)


_one("squared_error", "squared_error", **OPTIONAL_TARGETS)
_one("l2_loss", "half_squared_error", **OPTIONAL_TARGETS)
_one("huber_loss", "huber", keywords={"delta": "delta"}, **OPTIONAL_TARGETS)
_one("log_cosh", "log_cosh", **OPTIONAL_TARGETS)
_one(
    "cosine_similarity",
    "cosine_similarity_loss",
    keywords={"epsilon": "epsilon", **ALONG},
    fixed={"sign": 1.0},
    nothing=0.0,
)
_one(
    "cosine_distance",
    "cosine_distance",
    keywords={"epsilon": "epsilon", **ALONG},
    nothing=1.0,
)
_one("sigmoid_binary_cross_entropy", "binary_cross_entropy_with_logits")
_one(
    "sigmoid_focal_loss",
    "sigmoid_focal",
    keywords={"alpha": "alpha", "gamma": "gamma"},
)
_one("hinge_loss", "hinge", guards=SIGNS)
_one("perceptron_loss", "perceptron", guards=SIGNS)
# Optax reads any other label than 0 as 1, so those are refused.
_one("sparsemax_loss", "sparsemax_binary", domains={"targets": BINARY})
_one("softmax_cross_entropy", "softmax_cross_entropy", **OF_LOGITS)
_one("safe_softmax_cross_entropy", "safe_softmax_cross_entropy")
_one(
    "softmax_cross_entropy_with_integer_labels",
    "sparse_softmax_cross_entropy",
    wraps=True,
    nothing=0.0,
    **OF_LOGITS,
)
_one(
    "poly_loss_cross_entropy",
    "poly_cross_entropy",
    keywords={"epsilon": "epsilon", **ALONG},
    fill=(FAR, 0.0),
)
_one("multiclass_hinge_loss", "crammer_singer_hinge")
_one("multiclass_perceptron_loss", "multiclass_perceptron")
_one("multiclass_sparsemax_loss", "multiclass_sparsemax")
# A function in Optax, a name here.
_one(
    "make_fenchel_young_loss",
    "fenchel_young",
    keywords={"max_fun": "max_fun"},
    defaults={"max_fun": ...},
)
_one(
    "kl_divergence",
    "kl_divergence_log_input",
    keywords=ALONG,
    fixed={"log_target": False, "zero_products": True},
    inner="sum",
)
_one(
    "kl_divergence_with_log_targets",
    "kl_divergence_log_input",
    keywords=ALONG,
    fixed={"log_target": True, "zero_products": True},
    inner="sum",
)
for _name in ("generalized_kl_divergence", "convex_kl_divergence"):
    _one(_name, "generalized_kl_divergence", **OF_LOGITS, fixed={"zero_products": True})
_one(
    "triplet_margin_loss",
    "triplet_margin",
    keywords={
        "margin": "margin",
        "norm_degree": "p",
        "eps": "power_add",
        "axis": Rule.CLASS_AXIS,
    },
    defaults={"eps": 1e-6},
    annotations={"eps": float},
    fixed={"epsilon": 0.0, "swap": False, "signed_powers": True},
)
_one("ntxent", "ntxent", keywords={"temperature": "temperature"})

DICE: dict[str, str | Rule] = {
    "smooth": "smooth",
    "class_weights": Rule.INNER_FACTOR,
    "apply_softmax": Rule.SETTLED,
    "reduction": Rule.INNER,
    "ignore_background": Rule.DROP_FIRST,
    "axis": Rule.SUMMED_AXES,
}
BY_CLASS: dict[str, Any] = {
    "fixed": {"epsilon": 0.0},
    "arrange": overlapping_classes,
    "by_class": True,
    "inner": "mean",
    "sums_samples": True,
}
EVEN = {"alpha": 0.5, "beta": 0.5}
_losses(
    "dice_loss",
    Variant(
        loss_named("dice"),
        keywords={**DICE, "alpha": Rule.SWITCH, "beta": Rule.SWITCH},
        defaults={"smooth": 1.0, "apply_softmax": True, **EVEN},
        annotations={"alpha": float, "beta": float},
        when=EVEN,
        **BY_CLASS,
    ),
    Variant(
        loss_named("tversky"),
        keywords={**DICE, "alpha": "alpha", "beta": "beta"},
        defaults={"smooth": 1.0, "apply_softmax": True},
        **BY_CLASS,
    ),
)
_one(
    "binary_dice_loss",
    "dice",
    keywords={"smooth": "smooth", "apply_sigmoid": Rule.SETTLED},
    defaults={"smooth": 1.0, "apply_sigmoid": True},
    fixed={"epsilon": 0.0},
    arrange=one_channel,
    by_class=True,
    inner="mean",
)
_one(
    "multiclass_generalized_dice_loss",
    "generalized_dice",
    keywords={
        "smooth": "smooth",
        "apply_softmax": Rule.SOFTMAX,
        "ignore_background": Rule.DROP_FIRST,
    },
    defaults={"apply_softmax": True},
    settle=lambda settings: {"drops_first": settings["ignore_background"]},
)
# Lists without a valid item leave the mean, and the mean of none is 0.
declare_symbols(
    replace(
        OPTAX, empty=0.0, words=MappingProxyType({"mean": Reduction("mean", own_divisor=True)})
    ),
    _both("ranking_softmax_loss", "mean"),
    Variant(
        loss_named("ranking_softmax"),
        keywords={
            "where": Rule.WHERE,
            "weights": Rule.TARGET_FACTOR,
            "reduce_fn": Rule.REDUCTION,
        },
        fill=(FAR, 0.0),
        own="lists",
    ),
)
_one(
    "ctc_loss",
    "ctc",
    keywords={"blank_id": "blank", "log_epsilon": "log_zero"},
    defaults={"log_epsilon": -1e5},
    annotations={"log_epsilon": float},
    beside=("logit_paddings", "label_paddings"),
    lacks=("input_lengths", "target_lengths"),
    arrange=lengths_of_paddings,
    guards=(("log_probabilities", None),),
)
