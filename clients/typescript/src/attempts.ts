import { LossmeterError } from "./errors.js";

const MOST_ATTEMPTS = 5;
const FIRST_PAUSE_MS = 100;
const PAUSE_FACTOR = 3;

/** When one attempt at a call is given up. */
export interface Until {
  /** Milliseconds left; undefined for no end. */
  readonly leftMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Try a call until it succeeds, at most five times, with pauses as the service asks or ever longer.
 *
 * @param attempt - The call, made once.
 * @param passes - Whether the cause of an error may pass by itself.
 * @param timeoutMs - Milliseconds for all attempts; undefined for no end.
 * @param signal - Ends the pauses too.
 */
export async function tried<T>(
  attempt: (until: Until) => Promise<T>,
  passes: (error: LossmeterError) => boolean,
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined,
): Promise<T> {
  const end = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
  const leftMs = () =>
    end === Infinity ? undefined : Math.max(0, Math.ceil(end - performance.now()));
  for (let made = 1; ; made++) {
    try {
      signal?.throwIfAborted();
      return await attempt({ leftMs: leftMs(), signal });
    } catch (error) {
      if (!(error instanceof LossmeterError) || made === MOST_ATTEMPTS || !passes(error))
        throw error;
      const pause = error.retryAfterMs ?? FIRST_PAUSE_MS * PAUSE_FACTOR ** (made - 1);
      if (pause >= (leftMs() ?? Infinity)) throw error;
      await slept(pause, signal);
    }
  }
}

/** Wait; an aborted signal rejects with its reason. */
function slept(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
