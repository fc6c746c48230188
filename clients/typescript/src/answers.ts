import { toJson } from "@bufbuild/protobuf";

import {
  LossDescriptorSchema,
  type EvaluateResponse,
  type ExplainResponse,
  type ExplainResponse_DialectAnswer,
  type Group as GroupMessage,
  type LossDescriptor as LossMessage,
} from "./gen/lossmeter/v1/loss_service_pb.js";
import type { Tensor as TensorMessage } from "./gen/lossmeter/v1/tensor_pb.js";
import { mapped, stated } from "./requests.js";
import { tensorFrom, type Tensor } from "./tensors.js";

/** A number; a tensor where axes are kept; the value of each group, by label, under `by`. */
export type Value = number | Tensor | ReadonlyMap<string, number>;

/** One group's value and the sums behind it. */
export interface Group {
  readonly value: number;
  /** Number of kept entries. */
  readonly count: number;
  /** Sum of their weights. */
  readonly weight: number;
  /** What was divided by, if anything was. */
  readonly denominator?: number;
}

/** The answer for one loss. */
export class Answer {
  declare readonly value: Value;
  /** Canonical name. */
  declare readonly loss: string;
  /** Canonical name. */
  declare readonly reduction: string;
  /** Number of kept entries. */
  declare readonly count: number;
  /** Sum of their weights. */
  declare readonly weight: number;
  /** What computed the loss values. */
  declare readonly backend: string;
  /** Where. */
  declare readonly device: string;
  /** Dtype of the loss values. */
  declare readonly dtype: string;
  /** What was divided by, if one number was. */
  declare readonly denominator?: number;
  /** Position of the first sample with the extreme, for `min` and `max`. */
  declare readonly index?: number;
  /** The batch that `index` counts in, where several were merged. */
  declare readonly batchId?: string;
  /** Bound of the relative error of a quantile from a histogram; absent where it is exact. */
  declare readonly relativeError?: number;
  /** Number of entries left out by `nonfinite: "omit"`. */
  declare readonly omitted?: number;
  /** The sums behind each group's value. */
  declare readonly groups?: ReadonlyMap<string, Group>;
  /** Which entries the mask kept, under `none`. */
  declare readonly kept?: Tensor;
  /** The mergeable state, if asked for. */
  declare readonly state?: Uint8Array;
  /** SHA-256 of the state's specification and sums, in hexadecimal. */
  declare readonly stateHash?: string;
  /** What looks wrong but was computed. */
  declare readonly warnings: readonly string[];

  /** @param fields - What it says. */
  constructor(fields: AnswerFields) {
    Object.assign(this, fields);
  }

  /**
   * The value, where it is one number.
   *
   * @throws TypeError - It is a tensor or a mapping of groups.
   */
  get number(): number {
    if (typeof this.value !== "number") throw new TypeError("the answer is not one number");
    return this.value;
  }
}

/** What an {@link Answer} is made of. */
export type AnswerFields = Omit<Answer, "number">;

/** The answers for several losses over shared inputs. */
export interface Answers {
  /** The answer for each loss, before its weight. */
  readonly results: Readonly<Record<string, Answer>>;
  /** Sum of the values times their `lossWeight`; absent if a value is no single number. */
  readonly total?: number;
  /** Losses whose targets were absent. */
  readonly skipped: readonly string[];
}

/** One step of an evaluation. */
export interface Step {
  readonly step: string;
  /** What was done, in a sentence. */
  readonly says: string;
  /** The numbers of it. */
  readonly numbers: Readonly<Record<string, unknown>>;
}

/** What one framework says of the same data. */
export interface DialectAnswer {
  /** Its symbol, or the canonical name. */
  readonly symbol: string;
  /** The framework; empty for the canonical loss. */
  readonly framework: string;
  /** The version whose rule it is. */
  readonly version: string;
  /** Canonical name of the reduction. */
  readonly reduction: string;
  /** Its value; absent if it refuses. */
  readonly value?: Value;
  /** The weighted sum that was divided, if one was. */
  readonly numerator?: number;
  /** What it was divided by, if one number was. */
  readonly denominator?: number;
  /** The same in words. */
  readonly divisor: string;
  /** Whether it is the number that was asked for. */
  readonly agrees: boolean;
  /** A sentence for each difference. */
  readonly why: readonly string[];
  /** What was done so that it could be asked at all. */
  readonly note: string;
}

/** An answer, how it came about, and what other frameworks say. */
export interface Explanation {
  /** As `evaluate` gives it. */
  readonly answer: Answer;
  /** What the request named. */
  readonly symbol: string;
  /** The framework and its version; empty for a canonical loss. */
  readonly framework: string;
  /** What was done, in its order. */
  readonly steps: readonly Step[];
  /** What every other dialect that knows the loss says. */
  readonly dialects: readonly DialectAnswer[];
}

/** An input of a loss. */
export interface LossInput {
  readonly name: string;
  /** Its shape: `...` is any number of axes, the same in all inputs; a letter is one size. */
  readonly shape: string;
  /** Name of its domain. */
  readonly domain: string;
  /** Its admissible values, in words. */
  readonly values: string;
  readonly description: string;
}

/** A framework's name for a loss. */
export interface LossSymbol {
  readonly symbol: string;
  readonly framework: string;
  /** The version whose rules are followed. */
  readonly version: string;
  /** Its reduction if a request names none. */
  readonly defaultReduction: string;
  /** Its parameters, as JSON Schema. */
  readonly params: Readonly<Record<string, unknown>>;
  /** The framework's own words for reductions; canonical ones are taken besides. */
  readonly reductions: readonly string[];
}

/** What is known of a loss. */
export interface LossDescriptor {
  /** Canonical name. */
  readonly name: string;
  /** Other names it answers to. */
  readonly names: readonly string[];
  /** Its family. */
  readonly kind: string;
  /** What it measures, in a line. */
  readonly summary: string;
  /** Its formula, in LaTeX. */
  readonly formula: string;
  /** What there is to say besides. */
  readonly notes: string;
  /** What it takes. */
  readonly inputs: readonly LossInput[];
  /** `elementwise`; `per_sample` where an axis is used up; `batch` where the batch defines it. */
  readonly output: string;
  /** Its reduction if a request names none. */
  readonly defaultReduction: string;
  /** Its parameters, as JSON Schema. */
  readonly params: Readonly<Record<string, unknown>>;
  /** The paper, or the framework whose rule it is. */
  readonly source: string;
  /** The frameworks' names for it. */
  readonly symbols: readonly LossSymbol[];
  /** Requests and their loss values. */
  readonly examples: readonly Readonly<Record<string, unknown>>[];
}

/** The answer in a message. */
export function answerOf(found: EvaluateResponse): Answer | Answers {
  // A protobuf map has no order of its own.
  const results = Object.entries(found.results).sort(([a], [b]) => (a < b ? -1 : 1));
  if (!results.length) return oneAnswerOf(found);
  return {
    results: mapped(Object.fromEntries(results), oneAnswerOf),
    ...stated({ total: found.total }),
    skipped: found.skipped,
  };
}

/** The answer for one loss in a message. */
export function oneAnswerOf(found: EvaluateResponse): Answer {
  return new Answer({
    ...shared(found),
    ...stated({
      batchId: found.batchId,
      relativeError: found.relativeError,
      kept: found.kept && tensorOf(found.kept),
      state: found.state.length ? found.state : undefined,
      stateHash: found.stateHash || undefined,
    }),
  });
}

/** The explanation in a message. */
export function explanationOf(found: ExplainResponse): Explanation {
  return {
    answer: new Answer(shared(found)),
    symbol: found.symbol,
    framework: found.framework,
    steps: found.steps.map(({ step, says, numbers }) => ({ step, says, numbers: numbers ?? {} })),
    dialects: found.dialects.map(dialectOf),
  };
}

/** The loss in a message. */
export function descriptorOf(found: LossMessage): LossDescriptor {
  return toJson(LossDescriptorSchema, found, {
    alwaysEmitImplicit: true,
  }) as unknown as LossDescriptor;
}

function shared(found: EvaluateResponse | ExplainResponse): AnswerFields {
  const { loss, reduction, weight, backend, device, dtype, warnings } = found;
  const groups = groupsOf(found.groups);
  return {
    // Of no rows there are no groups.
    value: found.value ? valueOf(found.value) : valuesOf(groups),
    ...{ loss, reduction, count: Number(found.count), weight, backend, device, dtype },
    ...stated({
      denominator: found.denominator,
      index: found.index === undefined ? undefined : Number(found.index),
      omitted: found.omitted === undefined ? undefined : Number(found.omitted),
      groups: groups.size ? groups : undefined,
    }),
    warnings,
  };
}

function dialectOf(found: ExplainResponse_DialectAnswer): DialectAnswer {
  const { symbol, framework, version, reduction, divisor, agrees, why, note } = found;
  const groups = groupsOf(found.groups);
  return {
    ...{ symbol, framework, version, reduction, divisor, agrees, why, note },
    ...stated({
      value: found.value ? valueOf(found.value) : groups.size ? valuesOf(groups) : undefined,
      numerator: found.numerator,
      denominator: found.denominator,
    }),
  };
}

function groupsOf(found: Readonly<Record<string, GroupMessage>>): ReadonlyMap<string, Group> {
  const made = mapped(found, ({ value, count, weight, denominator }) => ({
    ...{ value, count: Number(count), weight },
    ...stated({ denominator }),
  }));
  return new Map(Object.entries(made).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function valuesOf(groups: ReadonlyMap<string, Group>): ReadonlyMap<string, number> {
  return new Map([...groups].map(([label, { value }]) => [label, value]));
}

function tensorOf({ dtype, shape, data }: TensorMessage): Tensor {
  return tensorFrom(dtype, shape.map(Number), data);
}

function valueOf(found: TensorMessage): Value {
  const made = tensorOf(found);
  return made.shape.length ? made : Number(made.data[0]);
}
