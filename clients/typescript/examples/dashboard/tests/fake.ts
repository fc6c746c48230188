import { Answer, type Answers, type Inputs, type Limits, type Losses } from "lossmeter-client";

import type { Evaluator } from "../src/ask.js";
import { readPatients } from "../src/patients.js";

export const patients = readPatients(new URL("../data/diabetes.csv", import.meta.url));

/** What the fake service says: value and count of each group. */
export const GROUPS = { "30 and over": [50, 25], "under 25": [40, 100], "25 to 30": [60, 49] };

/** A client that says the same of every question, and remembers what it was asked. */
export class FakeClient implements Evaluator {
  losses: Losses["losses"] = {};
  inputs: Inputs = {};
  limits: Limits = {};
  /** What the next calls fail with. */
  failure: Error | undefined;
  /** What the next calls wait for. */
  pause: Promise<void> = Promise.resolve();

  async evaluate({ losses }: Losses, inputs: Inputs, limits: Limits): Promise<Answers> {
    Object.assign(this, { losses, inputs, limits });
    await this.pause;
    if (this.failure) throw this.failure;
    const results = Object.fromEntries(
      Object.entries(losses).map(([name, { reduction }]) => [name, said(reduction as object)]),
    );
    return { results, skipped: [] };
  }
}

function said(reduction: { by?: string; name?: string }): Answer {
  const deviation = reduction.name === "std" ? 10 : undefined;
  const groups = Object.entries(GROUPS).map(
    ([group, [value = 0, count = 0]]) =>
      [group, { value: deviation ?? value, count, weight: count }] as const,
  );
  const fields = { loss: "", reduction: "", count: 174, weight: 174, warnings: [] };
  const machine = { backend: "numpy", device: "cpu", dtype: "float64" };
  return reduction.by === undefined
    ? new Answer({ ...fields, ...machine, value: 48.5 })
    : new Answer({ ...fields, ...machine, value: new Map(), groups: new Map(groups) });
}
