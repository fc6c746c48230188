"""Inputs changed by a look at the whole batch, where a framework does so."""

from lossmeter.core.arrays import Array
from lossmeter.plan.batch import Batch


def surveyed(batch: Batch) -> dict[str, Array]:
    """The inputs after the framework's look at all entries that the mask keeps.

    Raises:
        OutOfDomain: Labels that the framework does not take.
    """
    inputs, survey = dict(batch.inputs), batch.candidate.variant.survey
    if survey is None:
        return inputs
    return survey.read(inputs, batch.mask, batch.candidate.settings)
