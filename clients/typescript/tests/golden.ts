/** What the suites of all languages share: the cases, and numbers by their bits. */

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { parse } from "lossless-json";

const GOLDEN = new URL("../../../tests/golden/", import.meta.url);

/** A path below tests/golden. */
export function golden(path: string): string {
  return fileURLToPath(new URL(path, GOLDEN));
}

/** A JSON file; whole numbers beyond 2^53 are bigints. */
export function read(path: string): unknown {
  const number = (text: string) =>
    /^-?\d+$/.test(text) && !Number.isSafeInteger(Number(text)) ? BigInt(text) : Number(text);
  return parse(readFileSync(path, "utf8"), undefined, number);
}

/** The ids of a file of those that must still fail. */
export function knownFailing(): Set<string> {
  const path = golden("known-failing/typescript.txt");
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
  return new Set(lines.map((line) => line.trim()).filter((line) => line && !line.startsWith("#")));
}

const view = new DataView(new ArrayBuffer(8));

/** A float64 as 16 hexadecimal digits, the most significant first. */
export function bits(x: number): string {
  view.setFloat64(0, x);
  // There is one NaN.
  return Number.isNaN(x) ? "7ff8000000000000" : view.getBigUint64(0).toString(16).padStart(16, "0");
}

/** The float64 of such digits. */
export function number(digits: string): number {
  view.setBigUint64(0, BigInt(`0x${digits}`));
  return view.getFloat64(0);
}
