import { expect, test } from "vitest";

import { ExactSum } from "../src/browser.js";
import { byCodePoint, joined, type Extreme, type Linear, type Parts } from "../src/parts.js";
import { finished } from "../src/reductions.js";

const ONE = ExactSum.of([1]);
const LINEAR: Linear = {
  ...{ total: ONE, weight: ONE, divisor: ONE },
  ...{ count: 1n, nonzero: 1n, entries: 1n, nonzeroEntries: 1n, rows: 1n, weightEntries: 1n },
};

function extreme(value: number | undefined, batchId = "b", row = 0n): Extreme {
  return { value, batchId, row };
}

test.each([
  ["NaN goes before all numbers", extreme(1, "a"), extreme(NaN, "b")],
  ["of two NaN the first batch", extreme(NaN, "b"), extreme(NaN, "a")],
  ["of equal values the first row", extreme(1, "a", 2n), extreme(1, "a", 1n)],
  ["of nothing and something the latter", extreme(undefined), extreme(7)],
])("an extreme: %s", (_, a, b) => {
  for (const name of ["least", "greatest"] as const) {
    expect(joined({ [name]: a }, { [name]: b })).toEqual({ [name]: b });
    expect(joined({ [name]: b }, { [name]: a })).toEqual({ [name]: b });
  }
});

test("the greatest and the least are not mistaken", () => {
  const [low, high] = [extreme(-1), extreme(1)];
  const both = joined({ least: low, greatest: low }, { least: high, greatest: high });
  expect(both).toEqual({ least: low, greatest: high });
});

test("the four highest bands are kept, and those that cancel are not", () => {
  const exponentials = (...bands: [number, ExactSum][]): Parts => ({
    exponentials: { bands: new Map(bands), special: new ExactSum() },
  });
  const a = exponentials([-3, ONE], [0, ONE], [2, ExactSum.of([-1])]);
  const b = exponentials([1, ONE], [2, ONE], [10, ONE], [11, ONE]);
  const expected = exponentials([0, ONE], [1, ONE], [10, ONE], [11, ONE]);
  expect(joined(a, b)).toEqual(expected);
});

test("strings are in the order of their code points", () => {
  const ordered = ["", "a", "aa", "b", "\uffff", "\u{10000}", "\u{10000}a"];
  expect([...ordered].reverse().sort(byCodePoint)).toEqual(ordered);
});

test.each([
  [1, Infinity],
  [-1, -Infinity],
])("a harmonic mean of reciprocals that cancel, of weight %d", (weight, expected) => {
  const linear = { ...LINEAR, weight: ExactSum.of([weight]) };
  const parts = { linear, reciprocals: ExactSum.of([1, -1]) };
  expect(finished(parts, "harmonic_mean").value).toBe(expected);
});

test("a variance of nothing but its mean is 0, whatever the sign of its divisor", () => {
  // One entry of weight 2 and loss 3, but for Σw², which makes the divisor 2 − 6/2.
  const [first, second, squaredWeight] = [[6], [18], [6]].map((x) => ExactSum.of(x));
  const linear = { ...LINEAR, weight: ExactSum.of([2]) };
  const moments = { first, second, squaredWeight } as NonNullable<Parts["moments"]>;
  expect(finished({ linear, moments }, "variance").value).toBe(0);
});
