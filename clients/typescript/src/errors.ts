/** The codes of google.rpc. */
export type Code =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** What a {@link LossmeterError} tells beside its sentence. */
export interface Told {
  /** The word for programs, such as `SHAPE_MISMATCH`; empty where it was not the service that refused. */
  reason?: string;
  /** Where, as a dotted path such as `inputs.targets`. */
  field?: string | undefined;
  /** Numbers beside the sentence, such as `limit` and `actual`. */
  facts?: Readonly<Record<string, number>>;
  /** Milliseconds after which the service asks to be tried again. */
  retryAfterMs?: number | undefined;
  /** Position in a stream of the chunk that was wrong, counted from 0. */
  chunk?: number | undefined;
}

/**
 * Everything that can go wrong with a call, but for what the caller did: an `AbortSignal` rejects
 * with its own reason, and what a stream's batches throw comes through.
 */
export class LossmeterError extends Error {
  override readonly name = "LossmeterError";
  /** The code of google.rpc. */
  readonly code: Code;
  /** What was wrong and what would be right. */
  readonly detail: string;
  /** The same in one word, such as `SHAPE_MISMATCH`; empty where it was not the service that refused. */
  readonly reason: string;
  /** Where, as a dotted path such as `inputs.targets`; undefined if no one place is wrong. */
  readonly field: string | undefined;
  /** Numbers beside the sentence, such as `limit` and `actual`. */
  readonly facts: Readonly<Record<string, number>>;
  /** Milliseconds after which the service asks to be tried again, if it does. */
  readonly retryAfterMs: number | undefined;
  /** Position in a stream of the chunk that was wrong, counted from 0. */
  readonly chunk: number | undefined;

  /**
   * @param code - The code of google.rpc.
   * @param detail - What was wrong and what would be right.
   * @param told - What is told beside it.
   */
  constructor(code: Code, detail: string, told: Told = {}) {
    const place = told.field ? ` at ${told.field}` : "";
    const { reason = "" } = told;
    super(`${reason === "" ? code : reason}${place}: ${detail}`);
    this.code = code;
    this.detail = detail;
    this.reason = reason;
    this.field = told.field;
    this.facts = told.facts ?? {};
    this.retryAfterMs = told.retryAfterMs;
    this.chunk = told.chunk;
  }
}

/** What is found wrong before anything is sent. */
export function invalid(reason: string, field: string, detail: string): LossmeterError {
  return new LossmeterError("INVALID_ARGUMENT", detail, { reason, field });
}

/** The error that the service's own words stand for, whatever wire brought them. */
export function refusal(
  code: Code,
  detail: string,
  told: Readonly<Record<string, unknown>>,
  retryAfterMs: number | undefined,
): LossmeterError {
  const facts = Object.fromEntries(
    ["limit", "actual"].filter((name) => name in told).map((name) => [name, Number(told[name])]),
  );
  return new LossmeterError(code, detail, {
    reason: typeof told.reason === "string" ? told.reason : "",
    field: typeof told.field === "string" ? told.field : undefined,
    facts,
    retryAfterMs,
    chunk: told.chunk === undefined ? undefined : Number(told.chunk),
  });
}
