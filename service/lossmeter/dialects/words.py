"""What a symbol does besides the formula, as phrases that follow its name."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from lossmeter.dialects.symbols import Variant

Phrase = Callable[[Any], str]

# Of guards, and of parameters of a kernel that no request sets, by their setting.
GUARDED: Mapping[str, Phrase] = MappingProxyType(
    {
        "clip_epsilon": lambda e: f"clips predictions to [{e:g}, 1 − {e:g}]",
        "clip_machine_epsilon": lambda _: (
            "clips predictions to [ε, 1 − ε], ε that of the computing dtype"
        ),
        "clip_range": lambda r: f"clips predictions and targets to [{r[0]:g}, {r[1]:g}]",
        "clamp_low": lambda low: f"raises predictions and targets to at least {low:g}",
        "renormalise": lambda _: "divides predictions by their sum over the classes",
        "unit_sum": lambda _: "divides predictions and targets by their sums over the classes",
        "softmax": lambda _: "takes the softmax of predictions first",
        "sigmoid": lambda _: "takes the sigmoid of predictions first",
        "log_probabilities": lambda _: "takes the logarithm of the predictions' softmax first",
        "exponential": lambda _: "takes the exponential of both inputs first",
        "sign_labels": lambda _: "takes labels −1 and +1",
        "smooth_targets": lambda s: f"smooths targets by {s[0]:g}/{s[1]}, by the last axis",
    }
)
FIXED: Mapping[str, Phrase] = MappingProxyType(
    {
        "log_clamp": lambda low: f"raises each logarithm to at least {low:g}",
        "log_add": lambda e: f"adds {e:g} inside each logarithm",
        "log_clip": lambda e: f"clips probabilities to [{e:g}, 1 − {e:g}] inside the logarithms",
        "ln2": lambda c: f"subtracts {c!r} for ln 2",
        "naive": lambda _: "computes the exponentials themselves, which can overflow",
        "sign": lambda s: f"gives the cosine the sign {s:+g}",
        "power_add": lambda e: f"adds {e:g} to the sum of powers before the root",
        "signed_powers": lambda _: "takes powers of the differences with their sign",
        "difference_add": lambda e: f"adds {e:g} to each difference",
        "aspect_epsilon": lambda e: f"adds {e:g} to the denominator of the aspect term",
        "log_zero": lambda e: f"takes {e:g} for ln 0",
        "log_elsewhere": lambda e: f"counts paths that end with other labels by e^{e:.6g}",
        "elements": lambda n: f"counts {n} elements, those of the whole batch",
    }
)
INNER = MappingProxyType(
    {"mean": "averages the last axis first", "sum": "sums the last axis first"}
)
# Of what a variant is marked with.
MARKED: Mapping[str, str] = MappingProxyType(
    {
        "drops_zeros": "leaves values of 0 out of the mean",
        "keeps_axis": "keeps the axis used up, with size 1",
        "narrow": "computes in float32, whatever it is given",
        "wraps": "takes class indices below 0 from the last class",
        "all_axes": "sums all axes if none are named, that of the samples too",
    }
)
LENGTHS = "divides each loss value by its target length first"


def guarded(guard: str, setting: Any) -> str:
    """What a guard does."""
    return GUARDED[guard](setting)


def fixed(settings: Mapping[str, Any]) -> Mapping[str, str]:
    """What each parameter does that no request sets, where it does anything."""
    return {
        name: phrase(setting)
        for name, phrase in FIXED.items()
        if (setting := settings.get(name)) is not None and setting is not False and setting != 0
    }


def marks(variant: Variant) -> Iterator[str]:
    """What a variant does besides, whatever the data."""
    if variant.survey is not None:
        yield f"reads {variant.survey.why} first"
    for name, phrase in MARKED.items():
        if getattr(variant, name):
            yield phrase
