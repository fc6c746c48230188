import { invalid } from "./errors.js";
import { DataType } from "./gen/lossmeter/v1/tensor_pb.js";
import { stated } from "./requests.js";

/** The type of a tensor's elements. */
export type DType =
  | "bool"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "uint8"
  | "uint16"
  | "uint32"
  | "uint64"
  | "float16"
  | "bfloat16"
  | "float32"
  | "float64"
  | "string";

/** A typed array that a tensor's elements lie in. */
export type TypedArray =
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/**
 * A dense array, row-major. Elements that JavaScript has no array of lie in one of their bits:
 * `bool` in a `Uint8Array`, `float16` and `bfloat16` in a `Uint16Array`.
 */
export interface Tensor {
  readonly dtype: DType;
  /** Size of each axis; empty for a single number. */
  readonly shape: readonly number[];
  readonly data: TypedArray | readonly string[];
}

/** A number, boolean or string, or lists of such, all of one kind and of equal length. */
export type Nested<T> = T | readonly Nested<T>[];

/** Elements in a row, as {@link tensor} takes them. */
export type Elements =
  TypedArray | readonly number[] | readonly bigint[] | readonly boolean[] | readonly string[];

/** Elements with their shape, and their dtype where they do not tell it. */
export interface Shaped {
  readonly data: Elements;
  /** Size of each axis; one axis if absent. */
  readonly shape?: readonly number[];
  readonly dtype?: DType;
}

/**
 * What an input may be: typed arrays of one axis, lists of any depth, or elements with a shape.
 * Numbers are float64, bigints int64.
 */
export type Input =
  Shaped | TypedArray | Nested<number> | Nested<bigint> | Nested<boolean> | Nested<string>;

/** Inputs by name; those that are undefined are left out. */
export type Inputs = Readonly<Record<string, Input | undefined>>;

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

type ArrayType = new (buffer: ArrayBuffer) => TypedArray;
interface Kind {
  readonly code: DataType;
  readonly array: ArrayType;
  readonly from: (elements: Iterable<unknown>) => TypedArray;
}

const bits = (elements: Iterable<unknown>): TypedArray => Uint16Array.from(elements as number[]);
const KINDS: Readonly<Record<Exclude<DType, "string">, Kind>> = {
  bool: kind(DataType.BOOL, Uint8Array, (x) => Uint8Array.from(x as number[], Number)),
  int8: kind(DataType.INT8, Int8Array, (x) => Int8Array.from(x as number[])),
  int16: kind(DataType.INT16, Int16Array, (x) => Int16Array.from(x as number[])),
  int32: kind(DataType.INT32, Int32Array, (x) => Int32Array.from(x as number[])),
  int64: kind(DataType.INT64, BigInt64Array, (x) => BigInt64Array.from(x as bigint[], BigInt)),
  uint8: kind(DataType.UINT8, Uint8Array, (x) => Uint8Array.from(x as number[])),
  uint16: kind(DataType.UINT16, Uint16Array, (x) => Uint16Array.from(x as number[])),
  uint32: kind(DataType.UINT32, Uint32Array, (x) => Uint32Array.from(x as number[])),
  uint64: kind(DataType.UINT64, BigUint64Array, (x) => BigUint64Array.from(x as bigint[], BigInt)),
  float16: kind(DataType.FLOAT16, Uint16Array, bits),
  bfloat16: kind(DataType.BFLOAT16, Uint16Array, bits),
  float32: kind(DataType.FLOAT32, Float32Array, (x) => Float32Array.from(x as number[])),
  float64: kind(DataType.FLOAT64, Float64Array, (x) => Float64Array.from(x as number[])),
};
const NAMES = new Map(
  Object.entries(KINDS).map(([name, { code }]) => [code, name as keyof typeof KINDS]),
);

function kind(code: DataType, array: ArrayType, from: Kind["from"]): Kind {
  return { code, array, from };
}

/**
 * Elements with a shape.
 *
 * @param data - A typed array is taken as it is, without a copy. Plain numbers become float64,
 *   bigints int64, where no dtype is given.
 * @param shape - Size of each axis; one axis if absent, none for a single number.
 * @param dtype - Where `data` does not tell it: `bool` of a `Uint8Array`, `float16` and `bfloat16`
 *   of a `Uint16Array` with their bits, or what plain numbers are to be.
 * @throws {@link LossmeterError} The shape has not as many elements, or the dtype does not fit.
 */
export function tensor(data: Elements, shape?: readonly number[], dtype?: DType): Tensor {
  return checked({ data, ...stated({ shape, dtype }) }, "");
}

/** The inputs of a request as tensors; whole numbers in a mask or among the labels stay whole. */
export function tensorsOf(inputs: Inputs, labels: ReadonlySet<string>): Tensors {
  return Object.fromEntries(
    Object.entries(inputs)
      .filter(([, input]) => input !== undefined)
      .map(([name, input]) => {
        const whole = name === "mask" || labels.has(name);
        return [name, tensorOf(input as Input, `inputs.${name}`, whole)];
      }),
  );
}

function tensorOf(input: Input, field: string, whole: boolean): Tensor {
  if (isTyped(input)) return checked({ data: input }, field);
  if (isShaped(input)) return checked(input, field);
  const shape = shapeOf(input);
  const leaves: unknown[] = [];
  flatten(input, shape, 0, leaves, field);
  const wholes = whole && leaves.every(Number.isInteger);
  return checked({ data: leaves as number[], shape, ...(wholes && { dtype: "int64" }) }, field);
}

function isTyped(x: unknown): x is TypedArray {
  return ArrayBuffer.isView(x) && !(x instanceof DataView);
}

function isShaped(x: Input): x is Shaped {
  return x instanceof Object && "data" in x;
}

function shapeOf(x: unknown): number[] {
  return Array.isArray(x) ? [x.length, ...(x.length ? shapeOf(x[0]) : [])] : [];
}

function flatten(x: unknown, shape: number[], axis: number, out: unknown[], field: string): void {
  if (axis === shape.length) {
    if (Array.isArray(x)) throw ragged(field);
    out.push(x);
    return;
  }
  if (!Array.isArray(x) || x.length !== shape[axis]) throw ragged(field);
  for (const inner of x) flatten(inner, shape, axis + 1, out, field);
}

function ragged(field: string): Error {
  return invalid("SHAPE_MISMATCH", field, "lists must be of equal length");
}

function checked({ data, shape = [data.length], dtype }: Shaped, field: string): Tensor {
  const made = elementsOf(data, dtype, field);
  const size = shape.reduce((product, axis) => product * axis, 1);
  if (made.data.length !== size)
    throw invalid("SHAPE_MISMATCH", field, "the shape has not as many elements as the data");
  return { ...made, shape };
}

function elementsOf(
  data: Elements,
  dtype: DType | undefined,
  field: string,
): Pick<Tensor, "dtype" | "data"> {
  if (isTyped(data)) {
    const own = dtypeOf(data);
    const known = dtype ?? own;
    if (known === undefined || (known !== own && BITS_IN[known] !== own))
      throw invalid("DTYPE_UNSUPPORTED", field, "the array does not hold elements of the dtype");
    return { dtype: known, data };
  }
  const known = dtype ?? KIND_OF[typeof data[0]];
  const kinds = new Set((data as readonly unknown[]).map((x) => typeof x));
  if (known === undefined || kinds.size > 1)
    throw invalid("DTYPE_UNSUPPORTED", field, "it holds no numbers, booleans or strings alone");
  if (known === "string") return { dtype: known, data: data as readonly string[] };
  return { dtype: known, data: KINDS[known].from(data) };
}

const KIND_OF: Readonly<Record<string, DType>> = {
  number: "float64",
  undefined: "float64", // an empty list
  bigint: "int64",
  boolean: "bool",
  string: "string",
};

function dtypeOf(data: TypedArray): DType | undefined {
  const name = data[Symbol.toStringTag].replace(/Big|Clamped|Array/g, "").toLowerCase();
  return name in KINDS ? (name as DType) : undefined;
}

/** Where the bits of elements lie that JavaScript has no array of. */
const BITS_IN: Readonly<Partial<Record<DType, DType>>> = {
  bool: "uint8",
  float16: "uint16",
  bfloat16: "uint16",
};

/** The bytes of a tensor: little-endian, as a view where that is possible; strings after lengths. */
export function bytesOf({ data }: Tensor): Uint8Array {
  if (isTyped(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const texts = data.map((text) => new TextEncoder().encode(text));
  const size = texts.reduce((total, text) => total + 4 + text.length, 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const text of texts) {
    view.setUint32(at, text.length, true);
    bytes.set(text, at + 4);
    at += 4 + text.length;
  }
  return bytes;
}

/** The number that stands for a dtype in messages. */
export function codeOf(dtype: DType): DataType {
  return dtype === "string" ? DataType.STRING : KINDS[dtype].code;
}

/** The tensor in the bytes of an answer, which holds no strings. */
export function tensorFrom(code: DataType, shape: readonly number[], bytes: Uint8Array): Tensor {
  const dtype = NAMES.get(code) ?? "float64";
  // A copy, since a typed array must begin at a multiple of its element's size.
  return { dtype, shape, data: new KINDS[dtype].array(bytes.slice().buffer) };
}

/** Bytes that a tensor takes, strings by their characters. */
export function sizeOf({ data }: Tensor): number {
  return isTyped(data) ? data.byteLength : data.reduce((total, text) => total + text.length, 0);
}

/** Some rows of a tensor, as a view of it. */
export function rowsOf({ dtype, shape, data }: Tensor, start: number, end: number): Tensor {
  const [rows = 1, ...rest] = shape;
  const width = rest.reduce((product, axis) => product * axis, 1);
  const last = Math.max(start, Math.min(end, rows));
  const taken = isTyped(data)
    ? data.subarray(start * width, last * width)
    : data.slice(start * width, last * width);
  return { dtype, shape: [last - start, ...rest], data: taken };
}
