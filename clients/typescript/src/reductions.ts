import { LossmeterError } from "./errors.js";
import { divide, ExactSum } from "./exact.js";
import type { Extreme, Linear, Parts } from "./parts.js";

/** A reduction that is finished from a state by arithmetic alone; the service finishes the rest. */
export type StateReduction =
  | "sum"
  | "mean"
  | "weighted_mean"
  | "nonzero_mean"
  | "batch_mean"
  | "rms"
  | "harmonic_mean"
  | "variance"
  | "std"
  | "min"
  | "max";

/** What a reduction makes of a group. */
export interface Finished {
  readonly value: number;
  /** Of `min` and `max`: position of the first sample that has the value. */
  readonly index?: number;
  /** The batch that `index` counts in. */
  readonly batchId?: string;
}

const RULES: Readonly<Record<StateReduction, (parts: Parts) => Finished>> = {
  sum: (parts) => ({ value: held(parts, "linear").total.toNumber() }),
  mean: mean(({ count }) => ExactSum.ofWhole(count)),
  weighted_mean: mean(({ weight }) => weight),
  nonzero_mean: mean(({ nonzero }) => ExactSum.ofWhole(nonzero)),
  batch_mean: mean(({ rows }) => ExactSum.ofWhole(rows)),
  rms: (parts) => {
    const { weight } = held(parts, "linear");
    return { value: root(ratio(held(parts, "moments").second, weight)) };
  },
  harmonic_mean: (parts) => ({ value: harmonicMean(parts) }),
  variance: (parts) => ({ value: variance(parts) }),
  std: (parts) => ({ value: root(variance(parts)) }),
  min: (parts) => located(held(parts, "least")),
  max: (parts) => located(held(parts, "greatest")),
};

/** A group's parts reduced to one number. */
export function finished(parts: Parts, reduction: StateReduction): Finished {
  return RULES[reduction](parts);
}

function held<N extends keyof Parts>(parts: Parts, name: N): NonNullable<Parts[N]> {
  const part = parts[name];
  if (!part)
    throw new LossmeterError("FAILED_PRECONDITION", `the state holds no ${name}`, {
      reason: "NOT_MERGEABLE",
      field: "reduction",
    });
  return part;
}

function empty(detail: string): LossmeterError {
  const told = { reason: "EMPTY_REDUCTION", field: "reduction" };
  return new LossmeterError("INVALID_ARGUMENT", detail, told);
}

function ratio(above: ExactSum, below: ExactSum): number {
  if (below.isZero) throw empty("a mean of nothing: no entry is kept, or the divisor is 0");
  return above.dividedBy(below);
}

function mean(divisor: (linear: Linear) => ExactSum): (parts: Parts) => Finished {
  return (parts) => {
    const linear = held(parts, "linear");
    if (!linear.count) throw empty("a mean of nothing: no entry is kept");
    return { value: ratio(linear.total, divisor(linear)) };
  };
}

/** The square root; NaN below zero, for −0 it is −0. */
function root(x: number): number {
  return x >= 0 ? Math.sqrt(x) : NaN;
}

function harmonicMean(parts: Parts): number {
  const { weight } = held(parts, "linear");
  const below = held(parts, "reciprocals");
  if (weight.isZero) throw empty("a mean of nothing: no entry is kept, or their weights cancel");
  if (below.isZero) return weight.toNumber() < 0 ? -Infinity : Infinity;
  return weight.dividedBy(below);
}

/** Σw(ℓ − μ)² / (Σw − Σw²/Σw) as one quotient of integers, in units of the sums. */
function variance(parts: Parts): number {
  const { weight } = held(parts, "linear");
  const { first, second, squaredWeight } = held(parts, "moments");
  const sums = [weight, first, second, squaredWeight];
  if (sums.some(({ special }) => special !== undefined)) return NaN;
  if (weight.isZero)
    throw empty("a variance of nothing: no entry is kept, or their weights cancel");
  const one = ExactSum.ofWhole(1n).units;
  const w = weight.units;
  const above = second.units * w - first.units * first.units;
  const below = w * w - squaredWeight.units * one;
  if (!below) throw empty("a variance needs more than one kept entry");
  return below < 0n ? divide(-above, -below) : divide(above, below);
}

function located({ value, row, batchId }: Extreme): Finished {
  if (value === undefined) throw empty("an extreme of nothing: no entry is kept");
  return { value, index: Number(row), batchId };
}
