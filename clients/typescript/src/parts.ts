import { create } from "@bufbuild/protobuf";

import { bitLength, ExactSum } from "./exact.js";
import {
  CellSchema,
  ExactSumSchema,
  type Cell,
  type ExactSum as SumMessage,
  type Exponentials as ExponentialsMessage,
  type Extreme as ExtremeMessage,
  type Histogram as HistogramMessage,
  type Linear as LinearMessage,
  type Moments as MomentsMessage,
} from "./gen/lossmeter/v1/state_pb.js";

const UNIT_BITS = 1074;
// The widest sum: 2^64 terms of the greatest float64.
const MOST_BITS = 2200;
/** How many bands are kept; the four highest of a union are among those of its members. */
const KEPT_BANDS = 4;
/** The bin of infinity. */
const LAST_BIN = 0x7ff << 7;

/** Sums over kept entries, and counts; ℓ are loss values, w weights. */
export interface Linear {
  /** Σwℓ. */
  readonly total: ExactSum;
  /** Σw. */
  readonly weight: ExactSum;
  /** Sum of a dialect's own divisor. */
  readonly divisor: ExactSum;
  /** Number of kept entries. */
  readonly count: bigint;
  /** Number of kept entries with w ≠ 0. */
  readonly nonzero: bigint;
  /** Number of entries, masked ones included. */
  readonly entries: bigint;
  /** Number of those with w ≠ 0. */
  readonly nonzeroEntries: bigint;
  /** Size of axis 0. */
  readonly rows: bigint;
  /** Number of weights before they were broadcast. */
  readonly weightEntries: bigint;
}

/** Sums of the exact products. */
export interface Moments {
  /** Σwℓ. */
  readonly first: ExactSum;
  /** Σwℓ². */
  readonly second: ExactSum;
  /** Σw². */
  readonly squaredWeight: ExactSum;
}

/** Σw·e^ℓ in bands of 512 binades, the four highest. */
interface Exponentials {
  readonly bands: ReadonlyMap<number, ExactSum>;
  readonly special: ExactSum;
}

/** An extreme loss value and the first sample that has it. */
export interface Extreme {
  /** The loss value; undefined if no entry was kept. */
  readonly value: number | undefined;
  /** The batch that holds it. */
  readonly batchId: string;
  /** Position of its sample in that batch. */
  readonly row: bigint;
}

/** Weights in bins of loss values. */
interface Histogram {
  readonly bins: ReadonlyMap<number, ExactSum>;
  readonly nan: bigint;
}

/** What a state keeps of one group. A part that was not asked for is undefined. */
export interface Parts {
  readonly linear?: Linear;
  readonly moments?: Moments;
  readonly logarithms?: ExactSum;
  readonly reciprocals?: ExactSum;
  readonly exponentials?: Exponentials;
  readonly least?: Extreme;
  readonly greatest?: Extreme;
  readonly histogram?: Histogram;
}

/** Names of the parts, in the order of their fields. */
export const PART_NAMES = [
  "linear",
  "moments",
  "logarithms",
  "reciprocals",
  "exponentials",
  "least",
  "greatest",
  "histogram",
] as const;
type PartName = (typeof PART_NAMES)[number];

/** A part as a message and back, and how two of them add up. */
interface Codec<Part, Message> {
  readonly read: (message: Message) => Part;
  readonly write: (part: Part) => object;
  readonly add: (a: Part, b: Part) => Part;
}

const CODECS: {
  readonly [N in PartName]: Codec<NonNullable<Parts[N]>, NonNullable<Cell[N]>>;
} = {
  linear: { read: readLinear, write: writeSums, add: addSums },
  moments: { read: readMoments, write: writeSums, add: addSums },
  logarithms: { read: readSum, write: writeSum, add: addSum },
  reciprocals: { read: readSum, write: writeSum, add: addSum },
  exponentials: { read: readExponentials, write: writeExponentials, add: addExponentials },
  least: { read: readExtreme, write: (part) => part, add: (a, b) => first(a, b, 1) },
  greatest: { read: readExtreme, write: (part) => part, add: (a, b) => first(a, b, -1) },
  histogram: { read: readHistogram, write: writeHistogram, add: addHistograms },
};

/**
 * The parts in a message.
 *
 * @throws RangeError - They are none.
 */
export function partsOf(cell: Cell): Parts {
  return eachPart((name) => {
    const message = cell[name];
    const { read } = CODECS[name] as Codec<unknown, unknown>;
    return message && read(message);
  });
}

/** A message that holds these parts. */
export function cellOf(parts: Parts): Cell {
  const init = eachPart((name) => {
    const { write } = CODECS[name] as Codec<unknown, unknown>;
    return parts[name] && write(parts[name]);
  });
  return create(CellSchema, init as object);
}

/** The parts of two batches as those of one. */
export function joined(a: Parts, b: Parts): Parts {
  return eachPart((name) => {
    const { add } = CODECS[name] as Codec<unknown, unknown>;
    return a[name] && b[name] ? add(a[name], b[name]) : (a[name] ?? b[name]);
  });
}

function eachPart(made: (name: PartName) => unknown): Parts {
  const pairs = PART_NAMES.map((name) => [name, made(name)] as const);
  return Object.fromEntries(pairs.filter(([, part]) => part !== undefined));
}

function readSum(message: SumMessage | undefined): ExactSum {
  if (!message) return new ExactSum();
  const { mantissa, exponent, nan, positiveInfinity, negativeInfinity } = message;
  const units = wholeOf(mantissa);
  const shift = units ? exponent + UNIT_BITS : 0;
  if (shift < 0 || bitLength(units) + shift > MOST_BITS)
    throw new RangeError("a sum beyond what float64 terms can reach");
  return new ExactSum(units << BigInt(shift), nan, positiveInfinity, negativeInfinity);
}

function writeSum({ units, nan, positiveInfinity, negativeInfinity }: ExactSum): SumMessage {
  const zeros = units ? bitLength(units & -units) - 1 : 0;
  return create(ExactSumSchema, {
    exponent: units ? zeros - UNIT_BITS : 0,
    mantissa: bytesOfWhole(units >> BigInt(zeros)),
    ...{ nan, positiveInfinity, negativeInfinity },
  });
}

function addSum(a: ExactSum, b: ExactSum): ExactSum {
  return a.plus(b);
}

/** The whole number in two's complement, little-endian. */
function wholeOf(bytes: Uint8Array): bigint {
  if (!bytes.length) return 0n;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).reverse();
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${digits.join("")}`));
}

/** The shortest two's complement of a whole number, little-endian; empty for zero. */
function bytesOfWhole(x: bigint): Uint8Array {
  const size = x ? (bitLength(x < 0n ? ~x : x) >> 3) + 1 : 0;
  return Uint8Array.from({ length: size }, (_, at) => Number((x >> BigInt(8 * at)) & 0xffn));
}

type Sums = Readonly<Record<string, ExactSum | bigint>>;

/** Sums and counts, one by one. */
function addSums<T extends object>(a: T, b: T): T {
  const pairs = Object.entries(a as Sums).map(([name, x]) => {
    const y = (b as Sums)[name];
    return [name, x instanceof ExactSum ? x.plus(y as ExactSum) : x + (y as bigint)];
  });
  return Object.fromEntries(pairs) as T;
}

function writeSums(part: object): object {
  const pairs = Object.entries(part as Sums);
  return Object.fromEntries(
    pairs.map(([name, x]) => [name, x instanceof ExactSum ? writeSum(x) : x]),
  );
}

function readLinear({ total, weight, divisor, ...counts }: LinearMessage): Linear {
  const { count, nonzero, entries, nonzeroEntries, rows, weightEntries } = counts;
  return {
    ...{ total: readSum(total), weight: readSum(weight), divisor: readSum(divisor) },
    ...{ count, nonzero, entries, nonzeroEntries, rows, weightEntries },
  };
}

function readMoments({ first, second, squaredWeight }: MomentsMessage): Moments {
  return {
    first: readSum(first),
    second: readSum(second),
    squaredWeight: readSum(squaredWeight),
  };
}

function readExponentials({ bands, special }: ExponentialsMessage): Exponentials {
  if (bands.length > KEPT_BANDS) throw new RangeError("more bands than are kept");
  const pairs = bands.map(({ number, total }) => [number, readSum(total)] as const);
  if (!pairs.every(([number]) => Number.isInteger(number)))
    throw new RangeError("a band without a whole number");
  return { bands: new Map(pairs), special: readSum(special) };
}

function writeExponentials({ bands, special }: Exponentials): object {
  return {
    bands: byNumber(bands).map(([number, total]) => ({ number, total: writeSum(total) })),
    special: writeSum(special),
  };
}

function addExponentials(a: Exponentials, b: Exponentials): Exponentials {
  const all = byNumber(addBins(a.bands, b.bands));
  const highest = all.filter(([, total]) => !total.isZero).slice(-KEPT_BANDS);
  return { bands: new Map(highest), special: a.special.plus(b.special) };
}

function readExtreme({ value, batchId, row }: ExtremeMessage): Extreme {
  return { value, batchId, row };
}

/** NaN before all numbers; of equal ones the first batch and row. */
function first(a: Extreme, b: Extreme, sign: 1 | -1): Extreme {
  if (a.value === undefined || b.value === undefined) return a.value === undefined ? b : a;
  const [x, y] = [sign * a.value, sign * b.value];
  const rank =
    Number(Number.isNaN(y)) - Number(Number.isNaN(x)) ||
    Number(x > y) - Number(x < y) ||
    byCodePoint(a.batchId, b.batchId) ||
    Number(a.row - b.row);
  return rank <= 0 ? a : b;
}

function readHistogram({ numbers, weights, nan }: HistogramMessage): Histogram {
  const good = numbers.every((number) => ~LAST_BIN <= number && number <= LAST_BIN);
  if (!good || numbers.length !== weights.length)
    throw new RangeError("a bin that no number falls into");
  return { bins: new Map(numbers.map((number, at) => [number, readSum(weights[at])])), nan };
}

function writeHistogram({ bins, nan }: Histogram): object {
  const all = byNumber(bins);
  // Of a weight only its units are kept.
  const weights = all.map(([, { units }]) => writeSum(new ExactSum(units)));
  return { numbers: all.map(([number]) => number), weights, nan };
}

function addHistograms(a: Histogram, b: Histogram): Histogram {
  return { bins: addBins(a.bins, b.bins), nan: a.nan + b.nan };
}

type Bins = ReadonlyMap<number, ExactSum>;

function addBins(a: Bins, b: Bins): Bins {
  const made = new Map(a);
  for (const [number, sum] of b) made.set(number, made.get(number)?.plus(sum) ?? sum);
  return made;
}

function byNumber(bins: Bins): (readonly [number, ExactSum])[] {
  return [...bins].sort(([a], [b]) => a - b);
}

/** The order of strings everywhere but in JavaScript, which compares halves of characters. */
export function byCodePoint(a: string, b: string): number {
  const [x, y] = [Array.from(a), Array.from(b)];
  const at = x.findIndex((character, index) => character !== y[index]);
  if (at < 0) return x.length - y.length;
  return (x[at]?.codePointAt(0) ?? 0) - (y[at]?.codePointAt(0) ?? -1);
}
