"""scikit-learn 1.9.1: sklearn.metrics.

Weights are one a sample, the answer is Σwℓ/Σw; several outputs are reduced one by one and then
joined. NaN, infinities, nothing to average and weights that sum to 0 are errors.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from lossmeter.core.arrays import Array
from lossmeter.core.reductions import Reduction
from lossmeter.dialects.symbols import (
    Arrays,
    Dialect,
    Rule,
    Settings,
    Survey,
    Variant,
    align_leading,
    declare_symbols,
    loss_named,
)
from lossmeter.errors import OutOfDomain, ParameterInvalid, ShapeMismatch


def align_samples(x: Array, shape: tuple[int, ...], name: str) -> Array:
    """Weights are one number a sample.

    Raises:
        ShapeMismatch: Other weights.
    """
    if name == "sample_weight" and x.shape != shape[:1]:
        raise ShapeMismatch(
            f"{name} has shape {list(x.shape)}; scikit-learn takes one number for each sample, "
            f"{list(shape[:1])}",
            field=f"inputs.{name}",
        )
    return align_leading(x, shape, name)


def squeeze_columns(_: Variant, arrays: Arrays) -> Arrays:
    """A last axis of 1 that the other input lacks is dropped."""
    ranks = [x.ndim for x in arrays.values()]
    return {
        name: x[..., 0] if x.ndim > min(ranks) and x.shape[-1] == 1 else x
        for name, x in arrays.items()
    }


SKLEARN = Dialect(
    name="sklearn",
    version="1.9.1",
    words=MappingProxyType({}),
    align=align_samples,
    squeeze=squeeze_columns,
    checks=True,
    finite=True,
)
Joining = Literal["uniform_average", "raw_values"] | list[float]
OUTPUTS: Mapping[str, str | Rule] = {"multioutput": Rule.COLUMNS}
FEWEST, MANY = 2, 3
# Of the constant prediction, which scikit-learn has in float64 whatever it is given.
MACHINE_EPSILON = 2.0**-52
WHY = "the labels of the whole batch"


def _metric(name: str, *variants: Variant, default: str = "weighted_mean", **words: Any) -> None:
    declare_symbols(SKLEARN, {f"sklearn.metrics.{name}": default}, *variants, **words)


def _of_values(name: str, loss: str, **keywords: str | Rule) -> None:
    _metric(name, Variant(loss_named(loss), keywords={**keywords, **OUTPUTS}))


def _of_roots(name: str, loss: str) -> None:
    """The root of each output's mean, under the word that scikit-learn's name has here."""
    variant = Variant(loss_named(loss), keywords=OUTPUTS)
    _metric(name, variant, default="rms", rms=Reduction("weighted_mean"))


def has_columns(arrays: Mapping[str, Array]) -> bool:
    """Whether predictions are rows of more than one number."""
    x = arrays["predictions"]
    return bool(x.ndim > 1 and x.shape[-1] > 1)


def has_rows(arrays: Mapping[str, Array]) -> bool:
    """Whether predictions are rows, be they of one number."""
    return bool(arrays["predictions"].ndim > 1)


def _kept(inputs: Arrays, mask: Array | None) -> Array:
    targets = inputs["targets"]
    return targets if mask is None else targets[mask]


def _classes(inputs: Arrays, mask: Array | None, settings: Settings) -> Array:
    """The classes in their order: those named, or those of the batch.

    Raises:
        OutOfDomain: A label of the batch is not among those named.
    """
    kept, named = _kept(inputs, mask), settings.get("labels")
    if named is None:
        return np.unique(kept)
    classes = np.unique(np.asarray(named))
    if not np.isin(kept, classes).all():
        raise OutOfDomain("targets must be among the labels named", field="inputs.targets")
    return classes


def as_columns(inputs: Arrays, mask: Array | None, settings: Settings) -> Arrays:
    """Labels as numbers of the columns, which are the classes in sorted order.

    Raises:
        OutOfDomain: There are not as many classes as columns.
    """
    classes = _classes(inputs, mask, settings)
    columns = inputs["predictions"].shape[-1]
    if classes.size != columns:
        raise OutOfDomain(
            f"targets have {classes.size} classes and predictions {columns} columns; "
            "name all classes by labels",
            field="inputs.targets",
        )
    # What lies under the mask may be no label at all.
    place = np.searchsorted(classes, inputs["targets"]).clip(0, classes.size - 1)
    return {**inputs, "targets": place}


def larger_is_one(inputs: Arrays, mask: Array | None, settings: Settings) -> Arrays:
    """The larger of two labels as 1, the other as 0.

    Raises:
        OutOfDomain: There are not two labels.
    """
    classes = _classes(inputs, mask, settings)
    if classes.size != FEWEST:
        raise OutOfDomain(
            f"targets have {classes.size} labels where one probability needs two; "
            "name both by labels",
            field="inputs.targets",
        )
    return _is(inputs, classes[-1])


def larger_is_positive(inputs: Arrays, mask: Array | None, _: Settings) -> Arrays:
    """The larger of two labels as 1; one label alone counts as the smaller, as in scikit-learn.

    Raises:
        OutOfDomain: There are more than two labels.
    """
    classes = np.unique(_kept(inputs, mask))
    if classes.size > FEWEST:
        raise OutOfDomain(
            f"targets have {classes.size} labels where one score decides between two",
            field="inputs.targets",
        )
    if classes.size < FEWEST:
        return {**inputs, "targets": np.zeros(inputs["targets"].shape)}
    return _is(inputs, classes[-1])


def named_is_one(inputs: Arrays, mask: Array | None, settings: Settings) -> Arrays:
    """``pos_label`` as 1; without it 1 of labels 0, 1 or −1, 1, else the larger.

    Raises:
        OutOfDomain: There are more than two labels.
        ParameterInvalid: No label is the one named.
    """
    classes = np.unique(_kept(inputs, mask))
    if classes.size > FEWEST:
        raise OutOfDomain(
            f"targets have {classes.size} labels where one probability needs two",
            field="inputs.targets",
        )
    named = settings["pos_label"]
    if named is None:
        signs = any(np.isin(classes, pair).all() for pair in ((0, 1), (-1, 1)))
        return _is(inputs, 1 if signs else classes[-1])
    if classes.size == FEWEST and named not in classes.tolist():
        raise ParameterInvalid("pos_label must be one of the labels", field="params.pos_label")
    return _is(inputs, named)


def _is(inputs: Arrays, label: Any) -> Arrays:
    return {**inputs, "targets": (inputs["targets"] == label).astype(np.int64)}


def one_output(arrays: Arrays, _: Settings) -> Arrays:
    """Predictions of one output.

    Raises:
        ShapeMismatch: There are several.
    """
    if has_columns(arrays):
        raise ShapeMismatch("this score is of one output, shape (N,)", field="inputs.predictions")
    return arrays


def three_classes(arrays: Arrays, _: Settings) -> Arrays:
    """Scores of three classes or more; of two there is one score a sample.

    Raises:
        ShapeMismatch: There are two.
    """
    if arrays["predictions"].shape[-1] < MANY:
        raise ShapeMismatch(
            "predictions need one score a sample where there are two classes",
            field="inputs.predictions",
        )
    return arrays


COLUMNS = Survey(as_columns, WHY, settled_by="labels")
LARGER = Survey(larger_is_one, WHY, settled_by="labels")
POSITIVE = Survey(named_is_one, WHY)
EPS = (("clip_machine_epsilon", None),)
LABELS: Mapping[str, str | Rule] = {"labels": Rule.LABELS}
NORMALIZED: Mapping[str, str | Rule] = {"normalize": Rule.NORMALIZE}

_of_values("mean_squared_error", "squared_error")
_of_values("mean_absolute_error", "absolute_error")
_of_values("mean_absolute_percentage_error", "mean_absolute_percentage_error")
_of_values("mean_squared_log_error", "squared_log_error")
_of_values("mean_pinball_loss", "pinball", alpha="quantile")
_of_roots("root_mean_squared_error", "root_mean_squared_error")
_of_roots("root_mean_squared_log_error", "root_mean_squared_log_error")
_metric(
    "median_absolute_error",
    Variant(loss_named("median_absolute_error"), keywords=OUTPUTS),
    default="median",
)
_metric("max_error", Variant(loss_named("max_error"), arrange=one_output), default="max")
_metric(
    "mean_tweedie_deviance",
    Variant(loss_named("tweedie_deviance"), keywords={"power": "power"}, arrange=one_output),
)
_metric("mean_poisson_deviance", Variant(loss_named("poisson_deviance"), arrange=one_output))
_metric("mean_gamma_deviance", Variant(loss_named("gamma_deviance"), arrange=one_output))
_metric(
    "log_loss",
    Variant(
        loss_named("multiclass_log_loss"),
        keywords={**NORMALIZED, **LABELS},
        guards=EPS,
        survey=COLUMNS,
        fits=has_columns,
    ),
    Variant(
        loss_named("binary_cross_entropy"),
        keywords={**NORMALIZED, **LABELS},
        guards=EPS,
        survey=LARGER,
    ),
)
BRIER: Mapping[str, str | Rule] = {
    "scale_by_half": Rule.SETTLED,
    "pos_label": Rule.POSITIVE,
    **LABELS,
}
HALVED: dict[str, Any] = {
    "keywords": BRIER,
    "defaults": {"scale_by_half": "auto"},
    "annotations": {"scale_by_half": bool | Literal["auto"]},
    "settle": lambda settings: {
        "scale_by_half": None if settings["scale_by_half"] == "auto" else settings["scale_by_half"]
    },
}
_metric(
    "brier_score_loss",
    Variant(loss_named("brier_score"), survey=COLUMNS, fits=has_columns, **HALVED),
    Variant(loss_named("brier_score"), survey=POSITIVE, **HALVED),
)
_metric(
    "hinge_loss",
    Variant(
        loss_named("crammer_singer_hinge"),
        keywords=LABELS,
        survey=COLUMNS,
        fits=has_columns,
        arrange=three_classes,
    ),
    Variant(loss_named("hinge"), keywords=LABELS, survey=Survey(larger_is_positive, WHY)),
)
_metric("zero_one_loss", Variant(loss_named("zero_one"), keywords=NORMALIZED))
_metric(
    "hamming_loss",
    Variant(loss_named("hamming"), inner="mean", fits=has_rows),
    Variant(loss_named("hamming")),
)


def _score(name: str, family: str, *variants: dict[str, Any], **fixed: float) -> None:
    loss = loss_named("d2_score")
    made = (Variant(loss, fixed={"family": family, **fixed}, **variant) for variant in variants)
    _metric(name, *made, default="none")


JOINED: dict[str, Any] = {
    "annotations": {"multioutput": Joining},
    "defaults": {"multioutput": "uniform_average"},
    "settle": lambda settings: {"columns": settings["multioutput"]},
}
_score("d2_tweedie_score", "tweedie", {"keywords": {"power": "power"}, "arrange": one_output})
_score(
    "d2_pinball_score",
    "pinball",
    {"keywords": {"alpha": "quantile", "multioutput": Rule.SETTLED}, **JOINED},
)
_score(
    "d2_absolute_error_score",
    "absolute_error",
    {"keywords": {"multioutput": Rule.SETTLED}, **JOINED},
)
_score(
    "d2_log_loss_score",
    "log_loss",
    {"keywords": LABELS, "guards": EPS, "survey": COLUMNS, "fits": has_columns},
    {"keywords": LABELS, "guards": EPS, "survey": LARGER},
    least=MACHINE_EPSILON,
)
D2_BRIER: Mapping[str, str | Rule] = {"pos_label": Rule.POSITIVE, **LABELS}
_score(
    "d2_brier_score",
    "brier",
    {"keywords": D2_BRIER, "survey": COLUMNS, "fits": has_columns},
    {"keywords": D2_BRIER, "survey": POSITIVE},
)
