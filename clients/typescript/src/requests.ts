import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

import { tensorsOf, type Inputs, type Tensors } from "./tensors.js";

/** A loss by canonical name or framework symbol, or an expression over inputs and parameters. */
export type Loss = string | { readonly expression: string };

/** Parameters, in the names of the loss, of the symbol's framework or of the expression. */
export type Params = Readonly<Record<string, unknown>>;

/** A reduction's name, or its name with its settings. */
export type Reduction =
  | string
  | {
      readonly name: string;
      /** Input that names the group of each sample. */
      readonly by?: string;
      /** Axes of the loss values to reduce over; all if absent. */
      readonly axis?: number | readonly number[];
      /** Level of a quantile, in [0, 1]. */
      readonly q?: number;
      /** Share of the worst losses, in (0, 1]. */
      readonly alpha?: number;
      /** Delta degrees of freedom of a variance. */
      readonly ddof?: number;
      /** What a mean divides by, in place of the number of kept entries. */
      readonly divisor?: number;
    };

/** How a request is to be run. */
export interface Options {
  /** What computes. */
  readonly backend?: string;
  /** Where: `cpu`, `cuda` or `auto`. */
  readonly device?: string;
  /** What becomes of kept entries that are NaN or infinite. */
  readonly nonfinite?: "propagate" | "omit" | "error";
  /** Whether to answer with a mergeable state, or which reductions it is to serve besides sums. */
  readonly state?: boolean | readonly string[];
  /** Name of the batch, so that merging it twice is refused. */
  readonly batchId?: string;
  /** Of a merge: `any` merges states computed by different versions or machines. */
  readonly profiles?: "same" | "any";
}

/** One loss of a request with several. */
export interface LossSpec {
  readonly loss: Loss;
  readonly params?: Params;
  readonly reduction?: Reduction;
  /** Input of the loss to name of the shared input. */
  readonly inputs?: Readonly<Record<string, string>>;
  /** Its weight in the total; 1 if absent. */
  readonly lossWeight?: number;
}

/** Several losses over the same inputs, by names of the caller's. */
export interface Losses {
  readonly losses: Readonly<Record<string, LossSpec>>;
}

/** When a call is given up. */
export interface Limits {
  /** Milliseconds that the call may take, with all its attempts; the client's own if absent. */
  readonly timeoutMs?: number;
  /** Cancels the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What else a request says. */
export interface Settings extends Limits {
  readonly params?: Params;
  /** The default of the loss or symbol if absent. */
  readonly reduction?: Reduction;
  readonly options?: Options;
}

/** The form of an exported graph. */
export interface ExportSettings extends Limits {
  readonly params?: Params;
  readonly reduction?: Reduction;
  /** Dtype of the inputs that are values: `float32` or `float64`, the default. */
  readonly dtype?: "float32" | "float64";
  /** Version of the operators, 17 to 21. */
  readonly opset?: number;
  /** Version of the file format, 8 to 10. */
  readonly irVersion?: number;
  /** Sizes of axes that are to be fixed. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Number of axes of the loss values. */
  readonly rank?: number;
  /** Canonical loss, of a symbol whose inputs choose between several. */
  readonly standsFor?: string;
}

/** What is asked, before any wire has spelt it. */
export interface Evaluation {
  /** The request without its inputs, by the names of the JSON. */
  readonly settings: JsonObject;
  readonly tensors: Tensors;
}

type Asked = Pick<LossSpec, "reduction" | "inputs">;

/** The request without its inputs, as it was asked and by the names of the JSON. */
export class Specification {
  readonly settings: JsonObject;
  private readonly labels: ReadonlySet<string>;

  constructor(loss: Loss | Losses, { params, reduction, options }: Settings) {
    const { losses, ...named } = typeof loss === "object" && "losses" in loss ? loss : { loss };
    const asked: readonly Asked[] = losses ? Object.values(losses) : [{ ...stated({ reduction }) }];
    this.labels = new Set(asked.flatMap(labels));
    this.settings = json({
      ...named,
      losses: losses && mapped(losses, spelt),
      params,
      reduction,
      options: options && spelt(options),
    });
  }

  /** The same with inputs. */
  on(inputs: Inputs): Evaluation {
    return { settings: this.settings, tensors: this.batch(inputs) };
  }

  /** The next rows of a stream as tensors. */
  batch(inputs: Inputs): Tensors {
    return tensorsOf(inputs, this.labels);
  }
}

/** The inputs that name groups, by the names of the shared ones. */
function labels({ reduction, inputs }: Asked): string[] {
  const by = typeof reduction === "object" ? reduction.by : undefined;
  return by === undefined ? [] : [inputs?.[by] ?? by];
}

/** The same with the names that the JSON has. */
export function spelt(x: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(x).map(([name, inner]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      inner as unknown,
    ]),
  );
}

/**
 * Settings as JSON has them: without what is undefined, typed arrays as lists, and numbers that are
 * not finite by name.
 */
export function json(x: Readonly<Record<string, unknown>>): JsonObject {
  return Object.fromEntries(
    Object.entries(x)
      .filter(([, inner]) => inner !== undefined)
      .map(([name, inner]) => [name, plain(inner)]),
  );
}

function plain(x: unknown): JsonValue {
  if (ArrayBuffer.isView(x)) return Array.from(x as Float64Array, plain);
  if (Array.isArray(x)) return x.map(plain);
  if (typeof x === "bigint") return Number(x);
  if (typeof x === "number" && !Number.isFinite(x)) return String(x);
  if (typeof x === "object" && x !== null) return json(x as Record<string, unknown>);
  return x as JsonValue;
}

/** The fields that are not undefined. */
export function stated<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, x]) => x !== undefined),
  ) as ReturnType<typeof stated<T>>;
}

/** An object with each of its values changed. */
export function mapped<T, U>(
  object: Readonly<Record<string, T>>,
  change: (x: T) => U,
): Record<string, U> {
  return Object.fromEntries(Object.entries(object).map(([name, x]) => [name, change(x)]));
}
