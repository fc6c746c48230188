"""torchvision 0.28.0: torchvision.ops. Nothing is reduced, and the mean of no boxes is 0."""

import math
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Literal

from annotated_types import Ge, Le

from lossmeter.core.reductions import Reduction
from lossmeter.dialects.symbols import Dialect, Rule, Settings, Variant, declare_symbols, loss_named

TORCHVISION = Dialect(
    name="torchvision",
    version="0.28.0",
    words=MappingProxyType({name: Reduction(name) for name in ("none", "mean", "sum")}),
    empty=math.nan,
)
BOXES = replace(TORCHVISION, empty=0.0)


def minus_one_is_none(settings: Settings) -> Settings:
    """An alpha of −1 balances nothing."""
    return {"alpha": None if settings["alpha"] == -1 else settings["alpha"]}


declare_symbols(
    TORCHVISION,
    {"torchvision.ops.sigmoid_focal_loss": "none"},
    Variant(
        loss_named("sigmoid_focal"),
        keywords={"alpha": Rule.SETTLED, "gamma": "gamma"},
        defaults={"alpha": 0.25},
        annotations={"alpha": Annotated[float, Ge(0), Le(1)] | Literal[-1]},
        settle=minus_one_is_none,
    ),
)
for _loss in ("generalized_box_iou", "distance_box_iou"):
    declare_symbols(
        BOXES,
        {f"torchvision.ops.{_loss}_loss": "none"},
        Variant(loss_named(_loss), keywords={"eps": "epsilon"}),
    )
# Its eps reaches the aspect term alone.
declare_symbols(
    BOXES,
    {"torchvision.ops.complete_box_iou_loss": "none"},
    Variant(
        loss_named("complete_box_iou"),
        keywords={"eps": "aspect_epsilon"},
        defaults={"eps": 1e-7},
        annotations={"eps": Annotated[float, Ge(0)]},
        fixed={"epsilon": 1e-7},
    ),
)
