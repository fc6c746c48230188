import { LossmeterError } from "lossmeter-client";
import { ZodError } from "zod";

import type { Problem } from "./choices.js";

/** What became of a request; neither a stack nor an address is in it. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ZodError) return invalidQuery(error);
  if (error instanceof LossmeterError) return failedCall(error);
  return problem(500, "The dashboard failed", "INTERNAL", "What went wrong is in its log.");
}

/** A problem with an HTTP status. */
export function problem(status: number, title: string, reason: string, detail: string): Problem {
  return { type: "about:blank", title, status, detail, reason };
}

/** A viewer can only wait: what is asked of the service is the dashboard's own doing. */
function failedCall({ code, reason, detail, retryAfterMs }: LossmeterError): Problem {
  const word = reason || code;
  const later = retryAfterMs === undefined ? {} : { retryAfter: Math.ceil(retryAfterMs / 1000) };
  if (code === "UNAVAILABLE") {
    return {
      ...problem(503, "The service is away", word, "Lossmeter cannot be reached."),
      ...later,
    };
  }
  if (reason === "OVERLOADED") {
    return { ...problem(503, "The service is busy", word, "Lossmeter is at its limit."), ...later };
  }
  if (code === "DEADLINE_EXCEEDED") {
    return problem(504, "The service is slow", word, "Lossmeter did not answer in time.");
  }
  return problem(502, "The service refused", word, detail);
}

function invalidQuery({ issues: [issue] }: ZodError): Problem {
  const field = issue?.path.join(".") ?? "";
  return {
    ...problem(400, "The query is not valid", "INVALID_QUERY", issue?.message ?? ""),
    field,
  };
}
