import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

import { rowsOf, sizeOf, type Tensors } from "./tensors.js";
import { mapped } from "./requests.js";

/** A mebibyte. */
export const MIB = 2 ** 20;
// What is finished from sums, or is a minimum or maximum, has the same bits whole and in pieces.
// These do not: they need the samples, and a stream has a histogram at best.
const OF_SAMPLES = new Set(["none", "median", "quantile", "cvar"]);

/**
 * Whether a batch may go in pieces along axis 0.
 *
 * What a framework's own word or a loss's default means is not known here: the service refuses a
 * stream that needs all samples or has them along another axis, and says so of a number that comes
 * from a histogram.
 */
export function mayBeCut(settings: JsonObject, tensors: Tensors): boolean {
  const sizes = new Set(Object.values(tensors).map(({ shape }) => shape[0]));
  const [rows] = sizes;
  if (sizes.size !== 1 || rows === undefined) return false;
  return asked(settings).every(
    ({ params, reduction }) =>
      !OF_SAMPLES.has(wordOf(reduction)) && !(isObject(params) && isOfRows(params, rows)),
  );
}

function asked({ losses, ...one }: JsonObject): JsonObject[] {
  return isObject(losses) ? Object.values(losses).filter(isObject) : [one];
}

function wordOf(reduction: JsonValue | undefined): string {
  const word = isObject(reduction) ? reduction.name : reduction;
  return typeof word === "string" ? word : "";
}

/** Whether a parameter names an axis, or may hold something for each row. */
function isOfRows(params: JsonObject, rows: number): boolean {
  const lists = Object.values(params).filter(Array.isArray);
  return "axis" in params || "dim" in params || lists.some((x) => x.length === rows);
}

function isObject(x: JsonValue | undefined): x is JsonObject {
  return typeof x === "object" && x !== null && !Array.isArray(x);
}

/** Bytes of all tensors. */
export function bytesIn(tensors: Tensors): number {
  return Object.values(tensors).reduce((total, x) => total + sizeOf(x), 0);
}

/** Pieces along axis 0 of about a mebibyte, as views; single numbers are in every piece. */
export function* cut(tensors: Tensors): Generator<Tensors> {
  const sizes = Object.values(tensors).flatMap(({ shape }) => shape.slice(0, 1));
  const rows = Math.max(1, ...sizes);
  // Measured with gRPC: smaller messages and larger ones are slower.
  const step = Math.max(1, Math.floor((rows * MIB) / Math.max(bytesIn(tensors), 1)));
  if (step >= rows) {
    yield tensors;
    return;
  }
  for (let start = 0; start < rows; start += step)
    yield mapped(tensors, (x) => (x.shape.length ? rowsOf(x, start, start + step) : x));
}
