import { describe, expect, test } from "vitest";

import { tensor, type Input, type Inputs } from "../src/browser.js";
import { cut, mayBeCut } from "../src/chunks.js";
import { base64Of } from "../src/documents.js";
import { json } from "../src/requests.js";
import { bytesOf, tensorsOf, type Tensor } from "../src/tensors.js";

function one(input: Input, name = "predictions", labels: string[] = []): Tensor | undefined {
  return tensorsOf({ [name]: input }, new Set(labels))[name];
}

describe("an input", () => {
  test.each<[string, Input, Tensor]>([
    ["numbers", [1, 0.5], { dtype: "float64", shape: [2], data: Float64Array.of(1, 0.5) }],
    ["a number", 3, { dtype: "float64", shape: [], data: Float64Array.of(3) }],
    ["nothing", [], { dtype: "float64", shape: [0], data: new Float64Array() }],
    ["rows of nothing", [[], []], { dtype: "float64", shape: [2, 0], data: new Float64Array() }],
    ["lists of lists", [[1, 2], [3, 4]], { dtype: "float64", shape: [2, 2], data: Float64Array.of(1, 2, 3, 4) }],
    ["bigints", [2n ** 62n], { dtype: "int64", shape: [1], data: BigInt64Array.of(2n ** 62n) }],
    ["booleans", [true, false], { dtype: "bool", shape: [2], data: Uint8Array.of(1, 0) }],
    ["strings", ["de", "fr"], { dtype: "string", shape: [2], data: ["de", "fr"] }],
    ["floats", Float32Array.of(1), { dtype: "float32", shape: [1], data: Float32Array.of(1) }],
    ["bytes", Uint8ClampedArray.of(1), { dtype: "uint8", shape: [1], data: Uint8ClampedArray.of(1) }],
    ["a buffer", Buffer.of(1), { dtype: "uint8", shape: [1], data: Buffer.of(1) }],
    ["long integers", BigUint64Array.of(1n), { dtype: "uint64", shape: [1], data: BigUint64Array.of(1n) }],
    ["a shape", { data: Int8Array.of(1, 2), shape: [2, 1] }, { dtype: "int8", shape: [2, 1], data: Int8Array.of(1, 2) }],
    ["a dtype", { data: [1, 2], dtype: "float32" }, { dtype: "float32", shape: [2], data: Float32Array.of(1, 2) }],
    ["bits", { data: Uint16Array.of(15360), dtype: "float16" }, { dtype: "float16", shape: [1], data: Uint16Array.of(15360) }],
  ])("of %s", (_, input, expected) => {
    expect(one(input)).toEqual(expected);
  }); // prettier-ignore

  test("is not copied where it is a typed array", () => {
    const data = Float64Array.of(1, 2, 3).subarray(1);
    const made = tensor(data, [2, 1]);
    expect(made.data).toBe(data);
    expect(bytesOf(made).buffer).toBe(data.buffer);
    expect(bytesOf(made)).toEqual(new Uint8Array(Float64Array.of(2, 3).buffer));
  });

  test("of whole numbers stays whole as a mask and as labels, and nowhere else", () => {
    expect(one([1, 0], "mask")?.dtype).toBe("int64");
    expect(one([1990], "decade", ["decade"])?.dtype).toBe("int64");
    expect(one([1990], "decade")?.dtype).toBe("float64");
    expect(one([0.5], "mask")?.dtype).toBe("float64");
  });

  test("that is undefined is left out", () => {
    expect(tensorsOf({ mask: undefined }, new Set())).toEqual({});
  });

  test.each<[string, unknown, string]>([
    ["of lists of other lengths", [[1, 2], [3]], "SHAPE_MISMATCH"],
    ["of lists beside numbers", [[1], 2], "SHAPE_MISMATCH"],
    ["of numbers beside lists", [1, [2]], "SHAPE_MISMATCH"],
    ["of a shape that does not fit", { data: [1, 2, 3], shape: [2] }, "SHAPE_MISMATCH"],
    ["of numbers beside strings", [1, "2"], "DTYPE_UNSUPPORTED"],
    ["of nulls", [null], "DTYPE_UNSUPPORTED"],
    ["of another dtype than its array", { data: Int8Array.of(1), dtype: "float32" }, "DTYPE_UNSUPPORTED"],
  ])("%s is refused", (_, input, reason) => {
    const call = () => one(input as Input);
    expect(call).toThrow(expect.objectContaining({ reason, field: "inputs.predictions" }));
  }); // prettier-ignore

  test("of strings goes as UTF-8, each after its length", () => {
    const bytes = bytesOf(tensor(["ø", "", "ab"]));
    expect([...bytes]).toEqual([2, 0, 0, 0, 0xc3, 0xb8, 0, 0, 0, 0, 2, 0, 0, 0, 97, 98]);
  });

  test("goes in base64 whatever its length", () => {
    const bytes = Uint8Array.from({ length: 100_001 }, (_, at) => at % 251);
    expect(base64Of(bytes)).toBe(Buffer.from(bytes).toString("base64"));
  });
});

describe("a batch", () => {
  const rows = 300_000;
  const inputs: Inputs = {
    predictions: { data: new Float64Array(rows * 2), shape: [rows, 2] },
    sample_weight: new Float32Array(rows).map((_, at) => at),
    country: Array<string>(rows).fill("de"),
  };
  const tensors = tensorsOf(inputs, new Set());

  test("in pieces is about a mebibyte each, and all of it", () => {
    const pieces = [...cut(tensors)];
    expect(pieces.length).toBe(Math.ceil((rows * 22) / 2 ** 20));
    const weights = pieces.flatMap(({ sample_weight }) => [...(sample_weight?.data ?? [])]);
    expect(weights).toEqual(Array.from({ length: rows }, (_, at) => at));
    expect(pieces.map(({ predictions }) => predictions?.shape[1])).toEqual(pieces.map(() => 2));
    const lengths = pieces.map(({ predictions, country }) => [
      predictions?.shape[0],
      country?.data.length,
    ]);
    expect(lengths.every(([a, b]) => a === b)).toBe(true);
  });

  test("of inputs of other lengths loses none of their rows", () => {
    const uneven = { ...tensors, country: tensor(["fr"]) };
    const pieces = [...cut(uneven)];
    expect(pieces.map(({ country }) => country?.shape)).toEqual([
      [1],
      ...pieces.slice(1).map(() => [0]),
    ]);
  });

  test("that is small is one piece, and single numbers are in every one", () => {
    const small = { predictions: tensor([1, 2]), factor: tensor([3], []) };
    expect([...cut(small)]).toEqual([small]);
    const large = { ...tensors, factor: tensor([3], []) };
    expect([...cut(large)].every(({ factor }) => factor?.shape.length === 0)).toBe(true);
  });

  test.each<[string, Record<string, unknown>, boolean]>([
    ["a mean", { reduction: "mean" }, true],
    ["nothing", {}, true],
    ["a mean by group", { reduction: { name: "mean", by: "country" } }, true],
    ["single values", { reduction: "none" }, false],
    ["a quantile", { reduction: { name: "quantile", q: 0.5 } }, false],
    ["an axis of a framework", { params: { axis: 1 } }, false],
    ["a parameter of each row", { params: { weight: Array(rows).fill(1) } }, false],
    ["a parameter of each class", { params: { weight: [1, 2] } }, true],
    ["several, one of them a median", { losses: { a: {}, b: { reduction: "median" } } }, false],
    ["several means", { losses: { a: {}, b: { reduction: "mean" } } }, true],
  ])("asked for %s goes in pieces: %s", (_, settings, expected) => {
    expect(mayBeCut(json(settings), tensors)).toBe(expected);
  });

  test("of inputs without one axis 0 goes whole", () => {
    expect(mayBeCut({}, { ...tensors, mask: tensor([true]) })).toBe(false);
    expect(mayBeCut({}, { ...tensors, factor: tensor([3], []) })).toBe(false);
    expect(mayBeCut({}, {})).toBe(false);
  });
});
