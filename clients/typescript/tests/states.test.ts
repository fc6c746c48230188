import { describe, expect, test } from "vitest";

import {
  ExactSum,
  LossmeterError,
  mergeStates,
  State,
  type Finished,
  type GroupKey,
  type StateReduction,
} from "../src/browser.js";
import { bits, golden, number, read } from "./golden.js";

interface Sum {
  exponent: number;
  mantissa: string;
  nan: number;
  positive_infinity: number;
  negative_infinity: number;
}

interface Merge {
  name: string;
  states: string[];
  any_profile: boolean;
}

interface Vectors {
  sums: { terms: string[]; sum: Sum; value: string }[];
  ratios: { above: Sum; below: Sum; value: string | null }[];
  merges: (Merge & {
    merged: string;
    cells: { key: GroupKey; finished: Record<string, string | number> }[];
  })[];
  refused: (Merge & { reason: string })[];
}

const vectors = read(process.env.LOSSMETER_STATES ?? golden("states/vectors.json")) as Vectors;
const REDUCTIONS: readonly StateReduction[] = [
  ...(["sum", "mean", "weighted_mean", "nonzero_mean", "batch_mean", "rms"] as const),
  ...(["harmonic_mean", "variance", "std", "min", "max"] as const),
];

describe("sums", () => {
  test.each(vectors.sums)("of $terms", ({ terms, sum, value }) => {
    const found = ExactSum.of(terms.map(number));
    expect(found).toEqual(exactSum(sum));
    expect(bits(found.toNumber())).toBe(value);
  });

  test("are the same in any order and any split", () => {
    const [first, ...rest] = [1e308, 5e-324, -1e308, 0.1, NaN, Infinity, -0];
    const split = ExactSum.of(rest.reverse()).plus(ExactSum.of([first]));
    expect(split).toEqual(ExactSum.of([first, ...rest]));
  });
});

test("ratios are rounded once", () => {
  const found = vectors.ratios.map(({ above, below }) => quotient(above, below));
  expect(found).toEqual(vectors.ratios.map(({ value }) => value));
});

describe("states", () => {
  test.each(vectors.merges)("$name: merged to the service's bytes", ({ merged, ...merge }) => {
    expect(base64(mergeStates(...given(merge)))).toBe(merged);
  });

  test.each(vectors.merges)("$name: finished to the service's bits", ({ merged, cells }) => {
    const state = State.read(bytes(merged));
    expect(state.groups).toEqual(cells.map(({ key }) => key));
    expect(cells.map(({ key }) => allOf(state, key))).toEqual(
      cells.map(({ finished }) => finished),
    );
  });

  test.each(vectors.merges)("$name: the order of states does not count", ({ merged, ...merge }) => {
    const [states, settings] = given(merge);
    const other = mergeStates([...states].reverse(), settings);
    if (!merge.any_profile) expect(base64(other)).toBe(merged);
    else expect(State.read(other).batches).toEqual(State.read(bytes(merged)).batches);
  });

  test.each(vectors.refused)("$name: refused", ({ reason, ...merge }) => {
    expect(thrown(() => mergeStates(...given(merge)))).toMatchObject({ reason, field: "states" });
  });

  test("no group, no number", () => {
    const state = State.read(bytes(vectors.merges[0]?.merged ?? ""));
    expect(() => state.finish("mean", "nowhere")).toThrow(RangeError);
  });
});

function exactSum({ exponent, mantissa, ...special }: Sum): ExactSum {
  const digits = [...bytes(mantissa)].reverse().map((byte) => byte.toString(16).padStart(2, "0"));
  const units = BigInt.asIntN(8 * digits.length, BigInt(`0x0${digits.join("")}`));
  return new ExactSum(
    units && units << BigInt(exponent + 1074),
    BigInt(special.nan),
    BigInt(special.positive_infinity),
    BigInt(special.negative_infinity),
  );
}

function quotient(above: Sum, below: Sum): string | null {
  try {
    return bits(exactSum(above).dividedBy(exactSum(below)));
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    return null;
  }
}

function given({ states, any_profile }: Merge): Parameters<typeof mergeStates> {
  return [states.map(bytes), { profiles: any_profile ? "any" : "same" }];
}

/** All that a group can be finished to, as the vectors tell it. */
function allOf(state: State, key: GroupKey): Record<string, string | number> {
  const pairs = REDUCTIONS.flatMap((name) => {
    const found = finished(state, name, key);
    if (!found) return [];
    const { value, index, batchId } = found;
    const place = index === undefined ? [] : [[`index_of_${name}`, index] as const];
    const batch = batchId === undefined ? [] : [[`batch_of_${name}`, batchId] as const];
    return [[name, bits(value)] as const, ...place, ...batch];
  });
  return Object.fromEntries<string | number>(pairs);
}

function finished(state: State, name: StateReduction, key: GroupKey): Finished | undefined {
  try {
    return state.finish(name, key);
  } catch (error) {
    expect(error).toBeInstanceOf(LossmeterError);
    expect(["EMPTY_REDUCTION", "NOT_MERGEABLE"]).toContain((error as LossmeterError).reason);
    return undefined;
  }
}

function thrown(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error;
  }
}

function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}

function base64(found: Uint8Array): string {
  return Buffer.from(found).toString("base64");
}
