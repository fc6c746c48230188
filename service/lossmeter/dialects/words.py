"""What a symbol does besides the formula, as phrases that follow its name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lossmeter.core.program import INNER_FACTOR, TARGET_FACTOR, WHERE

Phrase = Callable[[Any], str]

JOINED: Mapping[str, str] = MappingProxyType(
    {
        "uniform_average": "averages the scores of the outputs",
        "raw_values": "gives each output a score of its own",
    }
)
# Of guards, and of parameters of a kernel that no request of a canonical loss sets, by setting.
GUARDED: Mapping[str, Phrase] = MappingProxyType(
    {
        "clip_epsilon": lambda e: f"clips predictions to [{e:g}, 1 − {e:g}]",
        "clip_machine_epsilon": lambda e: (
            "clips predictions to [ε, 1 − ε], ε that of the computing dtype"
            + ("" if e is None else f", {e:.3g}")
        ),
        "clip_range": lambda r: f"clips predictions and targets to [{r[0]:g}, {r[1]:g}]",
        "clamp_low": lambda low: f"raises predictions and targets to at least {low:g}",
        "renormalise": lambda _: "divides predictions by their sum over the classes",
        "unit_sum": lambda _: "divides predictions and targets by their sums over the classes",
        "softmax": lambda _: "takes the softmax of predictions first",
        "log_probabilities": lambda _: "takes the logarithm of the predictions' softmax first",
        "exponential": lambda _: "takes the exponential of both inputs first",
        "sign_labels": lambda _: "takes labels −1 and +1",
        "smooth_targets": lambda s: (
            f"spreads {s[0]:g} of each target over {s[1]}, the size of the last axis"
        ),
    }
)
FIXED: Mapping[str, Phrase] = MappingProxyType(
    {
        "log_clamp": lambda low: f"raises each logarithm to at least {low:g}",
        "log_add": lambda e: f"adds {e:g} inside each logarithm",
        "log_clip": lambda e: f"clips probabilities to [{e:g}, 1 − {e:g}] inside the logarithms",
        "ln2": lambda c: f"subtracts {c!r} for ln 2",
        "naive": lambda _: "computes the exponential itself, which can overflow",
        "zero_products": lambda _: "multiplies where a target is 0 too, and 0 · ∞ is NaN",
        "least": lambda e: f"keeps the shares of the classes {e:.3g} from 0 and 1",
        "sign": lambda s: f"takes the {'cosine itself' if s > 0 else 'negative of the cosine'}",
        "power_add": lambda e: f"adds {e:g} to the sum of powers before the root",
        "signed_powers": lambda _: "takes powers of the differences with their sign",
        "difference_add": lambda e: f"adds {e:g} to each difference",
        "aspect_epsilon": lambda e: f"adds {e:g} to the denominator of the aspect term",
        "log_zero": lambda e: f"takes {e:g} for ln 0",
        "log_elsewhere": lambda e: f"counts paths that end with other labels by e^{e:.6g}",
        "elements": lambda n: f"counts {n} elements, those of the whole batch",
        "squared": lambda _: "squares each loss value",
        "drops_first": lambda _: "leaves class 0 out",
        "columns": lambda c: JOINED.get(str(c), "weighs the scores of the outputs"),
    }
)
# Numbers that a request of the symbol gives, and that act on more than the loss values.
GIVEN: Mapping[str, str] = MappingProxyType(
    {
        WHERE: "leaves out entries of the last axis",
        TARGET_FACTOR: "multiplies the targets by its weights",
        INNER_FACTOR: "weighs the values of the classes before it joins them",
        "class_factor": "weighs the term of each class",
    }
)
BY_CLASS = "weighs each loss value by its class"
INNER: Mapping[str, str] = MappingProxyType(
    {"mean": "averages the last axis first", "sum": "sums the last axis first"}
)
WEIGHED = "weighs the outputs"
APART = "reduces each output apart and averages the results"
# Of what a variant is marked with.
MARKED: Mapping[str, str] = MappingProxyType(
    {
        "drops_zeros": "leaves values of 0 out of the mean",
        "keeps_axis": "keeps the axis used up, with size 1",
        "narrow": "computes in float32, whatever it is given",
        "wraps": "counts class indices below 0 from the last class",
        "by_class": "gives each class a value of its own",
        "all_axes": "sums all axes if none are named, that of the samples too",
    }
)
# What is told otherwise by a guard of those that recode, as another symbol is given it.
RECODED: Mapping[str, str] = MappingProxyType(
    {
        "softmax": "the softmax of the predictions",
        "log_probabilities": "the logarithm of the predictions' softmax",
        "exponential": "the exponentials of the inputs",
        "sign_labels": "labels 0 and 1 for −1 and +1",
    }
)
SQUASHES = "makes probabilities of scores, as one of the batch lies outside [0, 1]"
REPEATS = "averages to fewer loss values than there are weights, and repeats them"
LENGTHS = "divides each loss value by its target length first"
# What each mean divides by.
DIVISORS: Mapping[str, str] = MappingProxyType(
    {
        "mean": "the number of loss values",
        "weighted_mean": "Σ of weights",
        "nonzero_mean": "the number of weights that are not 0",
        "batch_mean": "the size of the batch",
        "keras2": "the number of kept values · weights not 0 / number of values",
        "rms": "Σ of weights",
        "exp_mean": "Σ of weights",
        "geometric_mean": "Σ of weights",
        "harmonic_mean": "Σ of weight / loss value",
        "macro_mean": "the number of groups",
        "cvar": "the weight of the worst share",
    }
)
# What a mean divides by where the dialect has a divisor of its own.
OWN: Mapping[str, str] = MappingProxyType(
    {
        "class_factor": "Σ of class weights",
        "factor": "Σ of weight",
        "lists": "the number of lists with a valid item",
        "ratio": "Σ of weighted sizes of targets",
    }
)
# What is summed before that, where it is not the weighted loss values.
SUMMED: Mapping[str, str] = MappingProxyType(
    {
        "rms": "the weighted squares of the loss values",
        "geometric_mean": "the weighted logarithms of the loss values",
        "harmonic_mean": "the weights",
        "macro_mean": "the means of the groups",
        "cvar": "the weighted loss values of the worst share",
    }
)
# What is made of the quotient.
OUTER: Mapping[str, str] = MappingProxyType(
    {
        "rms": "the square root of the quotient",
        "exp_mean": "e to the power of the quotient",
        "geometric_mean": "e to the power of the quotient",
    }
)
ROOT = OUTER["rms"]


def guarded(guard: str, setting: Any) -> str:
    """What a guard does."""
    return GUARDED[guard](setting)


def fixed(settings: Mapping[str, Any]) -> Mapping[str, str]:
    """What each parameter does that only a dialect sets, where it does anything."""
    return {
        name: phrase(setting)
        for name, phrase in FIXED.items()
        if (setting := settings.get(name)) is not None and setting is not False and setting != 0
    }


def reads(why: str) -> str:
    """That something of the whole batch is looked at before a number is computed."""
    return f"reads {why} first"
