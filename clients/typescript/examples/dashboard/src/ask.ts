import type { Answer, Answers, Inputs, Limits, Losses } from "lossmeter-client";

import {
  GROUPINGS,
  type GroupLoss,
  type LossByGroup,
  type LossChoice,
  LOSSES,
  type Question,
  REDUCTIONS,
} from "./choices.js";
import type { Patients } from "./patients.js";

/** Milliseconds that the service may take, with all attempts of the client. */
const DEADLINE_MS = 5000;

/** Standard errors to each side of a mean that make an interval of 95%. */
const NORMAL_95 = 1.96;

/** The part of a Lossmeter client that is used here. */
export interface Evaluator {
  evaluate(losses: Losses, inputs: Inputs, limits: Limits): Promise<Answers>;
}

/** The loss of each group and of all patients, in one call. */
export async function ask(
  client: Evaluator,
  { predictions, targets, groups }: Patients,
  question: Question,
  signal: AbortSignal,
): Promise<LossByGroup> {
  const { results } = await client.evaluate(
    losses(question),
    { predictions, targets, group: groups[question.by] },
    { signal, timeoutMs: DEADLINE_MS },
  );
  const { overall, groups: byGroup, spread } = results;
  if (!overall || !byGroup) throw new TypeError("the service left a loss out");
  return {
    overall: { value: overall.number, count: overall.count },
    groups: GROUPINGS[question.by].bands.flatMap(({ label }) => groupLoss(label, byGroup, spread)),
  };
}

/** Of a mean, the standard deviation too: its interval is made of it. */
function losses({ loss, reduction }: Question): Losses {
  const { params = {} }: LossChoice = LOSSES[loss];
  const whole = REDUCTIONS[reduction].reduction;
  const overall = { loss, params, reduction: whole };
  const groups = { loss, params, reduction: { ...whole, by: "group" } };
  const spread = { loss, params, reduction: { name: "std", by: "group" } };
  return { losses: reduction === "mean" ? { overall, groups, spread } : { overall, groups } };
}

/** None, where no patient is in the band. */
function groupLoss(group: string, byGroup: Answer, spread: Answer | undefined): GroupLoss[] {
  const found = byGroup.groups?.get(group);
  if (!found) return [];
  const { value, count } = found;
  const deviation = spread?.groups?.get(group)?.value;
  if (deviation === undefined) return [{ group, value, count }];
  const half = (NORMAL_95 * deviation) / Math.sqrt(count);
  return [{ group, value, count, interval: [value - half, value + half] }];
}
