"""PyTorch 2.13.0: torch.nn and torch.nn.functional.

The class axis is 1. A mean divides by the number of values, unless a weight of its own divides;
a mean of nothing is NaN. torch has no sample weights or masks: here they act on the loss values.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt

from lossmeter.core.arrays import Array
from lossmeter.core.domains import NONNEGATIVE, PROBABILITY
from lossmeter.core.reductions import Reduction
from lossmeter.dialects.symbols import (
    Arrays,
    Dialect,
    Rule,
    Settings,
    Variant,
    declare_symbols,
    loss_named,
)
from lossmeter.errors import ShapeMismatch

TORCH = Dialect(
    name="torch",
    version="2.13.0",
    words=MappingProxyType(
        {
            "none": Reduction("none"),
            "sum": Reduction("sum"),
            "mean": Reduction("mean", own_divisor=True),
            "elementwise_mean": Reduction("mean", own_divisor=True),
        }
    ),
    empty=math.nan,
    masked=0.0,
)

Keywords = Mapping[str, str | Rule]
POSITIVE_MARGIN = Annotated[float, Gt(0)]
DISTANCES = Literal["euclidean", "squared_euclidean", "manhattan", "cosine"] | None


def _both(module: str, function: str, *variants: Variant, **words: Reduction) -> None:
    names = {f"torch.nn.{module}": "mean", f"torch.nn.functional.{function}": "mean"}
    declare_symbols(TORCH, names, *variants, **words)


def _alike(module: str, function: str, loss: str, **variant: Any) -> None:
    """A module and a function that take the same parameters."""
    _both(module, function, Variant(loss_named(loss), **variant))


def _weighable(
    module: str, function: str, loss: str, weight: Rule, keywords: Keywords | None = None
) -> None:
    """A module without a weight beside a function that takes one."""
    plain = keywords or {}
    declare_symbols(
        TORCH, {f"torch.nn.{module}": "mean"}, Variant(loss_named(loss), keywords=plain)
    )
    declare_symbols(
        TORCH,
        {f"torch.nn.functional.{function}": "mean"},
        Variant(
            loss_named(loss),
            keywords={**plain, "weight": weight},
            own="factor" if weight is Rule.WEIGHT else "",
        ),
    )


def has_class_axis(arrays: Mapping[str, Array]) -> bool:
    """Whether targets have the axis of the classes; class indices lack it."""
    return "targets" in arrays and arrays["targets"].ndim == arrays["predictions"].ndim


def named_distance(settings: Settings) -> Settings:
    """The default distance is torch's own, which adds to each difference."""
    name = settings["distance_function"]
    if name is None:
        return {"distance_function": "euclidean", "difference_add": 1e-6}
    return {"distance_function": name}


def steps_second(arrays: Arrays, _: Settings) -> Arrays:
    """CTC's way with axes: steps first, one sample without its axis, targets in one row.

    Raises:
        ShapeMismatch: The targets in one row are not as many as their lengths say.
    """
    x, y = arrays["predictions"], arrays["targets"]
    lengths = {name: np.atleast_1d(arrays[name]) for name in ("input_lengths", "target_lengths")}
    if x.ndim == UNBATCHED:
        x = x[:, None]
        y = y[None] if y.ndim == 1 else y
    elif y.ndim == 1:
        y = _in_rows(y, lengths["target_lengths"])
    return {"predictions": x.swapaxes(0, 1) if x.ndim > 1 else x, "targets": y, **lengths}


def _in_rows(labels: Array, lengths: Array) -> Array:
    """Labels of all samples in one axis, as a row for each sample."""
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or (lengths < 0).any():
        return labels
    if labels.size != lengths.sum():
        raise ShapeMismatch(
            f"targets hold {labels.size} labels in one axis; their lengths sum to another number",
            field="inputs.targets",
        )
    rows = np.zeros((lengths.size, int(lengths.max(initial=0))), labels.dtype)
    rows[np.arange(rows.shape[1]) < lengths[:, None]] = labels
    return rows


UNBATCHED = 2
INDEXED: dict[str, Any] = {
    "defaults": {"ignore_index": -100},
    "class_axis": 1,
    "own": "class_factor",
}

_weighable("MSELoss", "mse_loss", "squared_error", Rule.WEIGHT)
_weighable("L1Loss", "l1_loss", "absolute_error", Rule.WEIGHT)
# torch.nn.functional.huber_loss divides by the number of values even where it is weighed.
_weighable("HuberLoss", "huber_loss", "huber", Rule.FACTOR, {"delta": "delta"})
_alike("SmoothL1Loss", "smooth_l1_loss", "smooth_l1", keywords={"beta": "beta"})
_alike(
    "PoissonNLLLoss",
    "poisson_nll_loss",
    "poisson_nll",
    keywords={"log_input": "log_input", "full": "full", "eps": "epsilon"},
    defaults={"eps": 1e-8},
)
# A variance of 0 is floored, a negative one refused.
_alike(
    "GaussianNLLLoss",
    "gaussian_nll_loss",
    "gaussian_nll",
    keywords={"full": "full", "eps": "epsilon"},
    defaults={"eps": 1e-6},
    domains={"variance": NONNEGATIVE},
)
_alike(
    "BCELoss",
    "binary_cross_entropy",
    "binary_cross_entropy",
    keywords={"weight": Rule.FACTOR},
    fixed={"log_clamp": -100.0},
    domains={"predictions": PROBABILITY, "targets": PROBABILITY},
)
_alike(
    "BCEWithLogitsLoss",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits",
    keywords={"weight": Rule.FACTOR, "pos_weight": "pos_weight"},
)
_alike(
    "MultiLabelSoftMarginLoss",
    "multilabel_soft_margin_loss",
    "multilabel_soft_margin",
    keywords={"weight": "output_weight"},
)
# Not stable in torch: infinite where the exponential overflows.
_alike(
    "SoftMarginLoss",
    "soft_margin_loss",
    "soft_margin",
    guards=(("sign_labels", None),),
    fixed={"naive": True},
)
_both(
    "CrossEntropyLoss",
    "cross_entropy",
    Variant(
        loss_named("softmax_cross_entropy"),
        keywords={
            "weight": Rule.CLASS_FACTOR,
            "ignore_index": Rule.ONLY_NEGATIVE,
            "label_smoothing": "label_smoothing",
        },
        fits=has_class_axis,
        class_axis=1,
    ),
    Variant(
        loss_named("sparse_softmax_cross_entropy"),
        keywords={
            "weight": Rule.CLASS_FACTOR,
            "ignore_index": "ignore_index",
            "label_smoothing": "label_smoothing",
        },
        **INDEXED,
    ),
)
NLL: dict[str, Any] = {
    **INDEXED,
    "keywords": {"weight": Rule.CLASS_FACTOR, "ignore_index": "ignore_index"},
}
_alike("NLLLoss", "nll_loss", "negative_log_likelihood", **NLL)
declare_symbols(
    TORCH,
    {"torch.nn.NLLLoss2d": "mean"},
    Variant(loss_named("negative_log_likelihood"), **NLL),
)
# Without ignore_index, −100 is the target left out.
declare_symbols(
    TORCH,
    {"torch.nn.functional.linear_cross_entropy": "mean"},
    Variant(
        loss_named("linear_cross_entropy"),
        keywords={
            "weight": Rule.CLASS_FACTOR,
            "ignore_index": Rule.SETTLED,
            "label_smoothing": "label_smoothing",
            "linear_bias": Rule.ONLY_NULL,
            "options": Rule.NO_EFFECT,
        },
        annotations={"ignore_index": int | None},
        defaults={"ignore_index": None},
        settle=lambda settings: {
            "ignore_index": -100 if settings["ignore_index"] is None else settings["ignore_index"]
        },
        aliases={"linear_weight": "weight_scores"},
        own="class_factor",
    ),
)
_alike(
    "MultiMarginLoss",
    "multi_margin_loss",
    "multi_margin",
    keywords={"p": "p", "margin": "margin", "weight": "class_weight"},
    annotations={"weight": list[float] | None},
)
_alike("MultiLabelMarginLoss", "multilabel_margin_loss", "multilabel_margin")
_both(
    "KLDivLoss",
    "kl_div",
    Variant(
        loss_named("kl_divergence_log_input"),
        keywords={"log_target": "log_target"},
        fixed={"zero_products": True},
    ),
    batchmean=Reduction("batch_mean"),
)
_alike("MarginRankingLoss", "margin_ranking_loss", "margin_ranking", keywords={"margin": "margin"})
_alike(
    "HingeEmbeddingLoss", "hinge_embedding_loss", "hinge_embedding", keywords={"margin": "margin"}
)
_alike(
    "CosineEmbeddingLoss",
    "cosine_embedding_loss",
    "cosine_embedding",
    keywords={"margin": "margin"},
    fixed={"epsilon": 1e-12},
)
_alike(
    "TripletMarginLoss",
    "triplet_margin_loss",
    "triplet_margin",
    keywords={"margin": "margin", "p": "p", "eps": "epsilon", "swap": "swap"},
    defaults={"eps": 1e-6},
    annotations={"margin": POSITIVE_MARGIN},
)
_alike(
    "TripletMarginWithDistanceLoss",
    "triplet_margin_with_distance_loss",
    "triplet_margin_with_distance",
    keywords={"distance_function": Rule.SETTLED, "margin": "margin", "swap": "swap"},
    annotations={"distance_function": DISTANCES},
    defaults={"distance_function": None},
    settle=named_distance,
)
_alike(
    "CTCLoss",
    "ctc_loss",
    "ctc",
    keywords={"blank": "blank", "zero_infinity": "zero_infinity"},
    arrange=steps_second,
    own="lengths",
)
