/** A loss that a viewer may choose. */
export interface LossChoice {
  readonly title: string;
  readonly unit: string;
  /** What it says of one patient, in words. */
  readonly meaning: string;
  readonly params?: Readonly<Record<string, number>>;
}

/** A way to make one number of a group's losses. */
export interface ReductionChoice {
  readonly title: string;
  /** What comes before the name of the loss in a heading. */
  readonly prefix: string;
  readonly reduction: Readonly<Record<string, string | number>>;
}

/** Bands of a column of the data, in their order; a band ends below `below`. */
export interface GroupingChoice {
  readonly title: string;
  readonly unit: string;
  readonly bands: readonly { readonly label: string; readonly below: number }[];
}

/** By the names that Lossmeter has for them. */
export const LOSSES = {
  absolute_error: {
    title: "Absolute error",
    unit: "points",
    meaning: "The size of the gap between prediction and outcome.",
  },
  squared_error: {
    title: "Squared error",
    unit: "points²",
    meaning: "The square of the gap, so that few large gaps weigh more than many small ones.",
  },
  pinball: {
    title: "Pinball loss at 0.9",
    unit: "points",
    meaning: "A point predicted too low costs 0.9, a point too high 0.1.",
    params: { quantile: 0.9 },
  },
  mean_absolute_percentage_error: {
    title: "Percentage error",
    unit: "% of the outcome",
    meaning: "The size of the gap as a share of the outcome.",
    params: { scale: 100 },
  },
} as const satisfies Record<string, LossChoice>;

/** By names of our own, as two of them may be one reduction with different settings. */
export const REDUCTIONS = {
  mean: { title: "Mean", prefix: "Mean", reduction: { name: "mean" } },
  median: { title: "Median", prefix: "Median", reduction: { name: "median" } },
  p90: {
    title: "90th percentile",
    prefix: "90th percentile of",
    reduction: { name: "quantile", q: 0.9 },
  },
  max: { title: "Largest", prefix: "Largest", reduction: { name: "max" } },
} as const satisfies Record<string, ReductionChoice>;

/** By the column of the data. */
export const GROUPINGS = {
  bmi: {
    title: "Body mass index",
    unit: "kg/m²",
    bands: [
      { label: "under 25", below: 25 },
      { label: "25 to 30", below: 30 },
      { label: "30 and over", below: Infinity },
    ],
  },
  age: {
    title: "Age",
    unit: "years",
    bands: [
      { label: "under 40", below: 40 },
      { label: "40 to 59", below: 60 },
      { label: "60 and over", below: Infinity },
    ],
  },
} as const satisfies Record<string, GroupingChoice>;

/** What a viewer asks: one choice of each list. */
export interface Question {
  readonly loss: keyof typeof LOSSES;
  readonly reduction: keyof typeof REDUCTIONS;
  readonly by: keyof typeof GROUPINGS;
}

/** One group's loss, in the unit of the loss. */
export interface GroupLoss {
  readonly group: string;
  readonly value: number;
  /** Number of patients behind the value. */
  readonly count: number;
  /** Of a mean: its 95% confidence interval. */
  readonly interval?: readonly [number, number];
}

/** What the back end answers: the groups in the order of their bands, and all patients together. */
export interface LossByGroup {
  readonly overall: { readonly value: number; readonly count: number };
  readonly groups: readonly GroupLoss[];
}

/** A problem document (RFC 9457). */
export interface Problem {
  readonly type: "about:blank";
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly reason: string;
  readonly field?: string;
  /** Seconds after which to try again, where the service says so. */
  readonly retryAfter?: number;
}
