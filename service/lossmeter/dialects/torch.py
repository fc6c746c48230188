"""PyTorch 2.13.0: torch.nn and torch.nn.functional.

The class axis is 1. A mean divides by the number of values, unless a weight of its own divides;
a mean of nothing is NaN. torch has no sample weights or masks: here they act on the loss values.
"""

import math
from types import MappingProxyType
from typing import Annotated, Any

from annotated_types import Gt

from lossmeter.core.domains import NONNEGATIVE, PROBABILITY
from lossmeter.core.reductions import Reduction
from lossmeter.dialects.symbols import Dialect, Rule, Variant, declare_symbols, loss_named

TORCH = Dialect(
    name="torch",
    version="2.13.0",
    words=MappingProxyType(
        {
            "none": Reduction("none"),
            "sum": Reduction("sum"),
            "mean": Reduction("mean", own_divisor=True),
        }
    ),
    empty=math.nan,
    masked=0.0,
)


def _both(module: str, function: str, *variants: Variant, **words: Reduction) -> None:
    names = {f"torch.nn.{module}": "mean", f"torch.nn.functional.{function}": "mean"}
    declare_symbols(TORCH, names, *variants, **words)


def _module_and_function(
    module: str, function: str, variant: dict[str, Any], loss: str, weight: Rule
) -> None:
    """A module without a weight beside a function that takes one."""
    keywords = variant.pop("keywords", {})
    names = {f"torch.nn.{module}": "mean"}
    declare_symbols(TORCH, names, Variant(loss_named(loss), keywords=keywords, **variant))
    weighed = Variant(loss_named(loss), keywords={**keywords, "weight": weight}, **variant)
    declare_symbols(TORCH, {f"torch.nn.functional.{function}": "mean"}, weighed)


_module_and_function("MSELoss", "mse_loss", {}, "squared_error", Rule.WEIGHT)
_module_and_function("L1Loss", "l1_loss", {}, "absolute_error", Rule.WEIGHT)
# torch.nn.functional.huber_loss divides by the number of values even where it is weighed.
_module_and_function(
    "HuberLoss", "huber_loss", {"keywords": {"delta": "delta"}}, "huber", Rule.FACTOR
)
_both(
    "SmoothL1Loss",
    "smooth_l1_loss",
    Variant(loss_named("smooth_l1"), keywords={"beta": "beta"}),
)
_both(
    "PoissonNLLLoss",
    "poisson_nll_loss",
    Variant(
        loss_named("poisson_nll"),
        keywords={"log_input": "log_input", "full": "full", "eps": "epsilon"},
        defaults={"epsilon": 1e-8},
    ),
)
# A variance of 0 is floored, a negative one refused.
_both(
    "GaussianNLLLoss",
    "gaussian_nll_loss",
    Variant(
        loss_named("gaussian_nll"),
        keywords={"full": "full", "eps": "epsilon"},
        defaults={"epsilon": 1e-6},
        domains={"variance": NONNEGATIVE},
    ),
)
_both(
    "BCELoss",
    "binary_cross_entropy",
    Variant(
        loss_named("binary_cross_entropy"),
        keywords={"weight": Rule.FACTOR},
        fixed={"log_clamp": -100.0},
        domains={"predictions": PROBABILITY, "targets": PROBABILITY},
    ),
)
_both(
    "BCEWithLogitsLoss",
    "binary_cross_entropy_with_logits",
    Variant(
        loss_named("binary_cross_entropy_with_logits"),
        keywords={"weight": Rule.FACTOR, "pos_weight": "pos_weight"},
    ),
)
_both(
    "CrossEntropyLoss",
    "cross_entropy",
    Variant(
        loss_named("sparse_softmax_cross_entropy"),
        keywords={
            "weight": Rule.CLASS_FACTOR,
            "ignore_index": "ignore_index",
            "label_smoothing": "label_smoothing",
        },
        defaults={"ignore_index": -100},
        index_targets=True,
        class_axis=1,
    ),
    Variant(
        loss_named("softmax_cross_entropy"),
        keywords={
            "weight": Rule.CLASS_FACTOR,
            "ignore_index": Rule.ONLY_NEGATIVE,
            "label_smoothing": "label_smoothing",
        },
        index_targets=False,
        class_axis=1,
    ),
)
_both(
    "TripletMarginLoss",
    "triplet_margin_loss",
    Variant(
        loss_named("triplet_margin"),
        keywords={"margin": "margin", "p": "p", "eps": "epsilon", "swap": "swap"},
        defaults={"epsilon": 1e-6},
        annotations={"margin": Annotated[float, Gt(0)]},
    ),
)
