"""ONNX, opset 13 of ai.onnx: the two operators that are losses.

The class axis is 1; a mean divides by the sum of the kept targets' class weights, and is NaN of
nothing.
"""

import math
from types import MappingProxyType

from lossmeter.core.reductions import Reduction
from lossmeter.dialects.symbols import Dialect, Rule, Variant, declare_symbols, loss_named

ONNX = Dialect(
    name="onnx",
    version="opset 13",
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
for _name, _loss, _weights in (
    ("SoftmaxCrossEntropyLoss", "sparse_softmax_cross_entropy", "weights"),
    ("NegativeLogLikelihoodLoss", "negative_log_likelihood", "weight"),
):
    declare_symbols(
        ONNX,
        {f"ai.onnx.{_name}": "mean"},
        Variant(
            loss_named(_loss),
            keywords={_weights: Rule.CLASS_FACTOR, "ignore_index": "ignore_index"},
            class_axis=1,
            own="class_factor",
        ),
    )
