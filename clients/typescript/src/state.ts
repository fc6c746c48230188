import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { sha256 } from "@noble/hashes/sha2.js";

import { LossmeterError } from "./errors.js";
import {
  SpecificationSchema,
  StateSchema,
  type Cell,
  type Specification as SpecificationMessage,
} from "./gen/lossmeter/v1/state_pb.js";
import { byCodePoint, cellOf, joined, PART_NAMES, partsOf, type Parts } from "./parts.js";
import { finished, type Finished, type StateReduction } from "./reductions.js";

const FORMAT = 1;
const MOST_AXES = 32;
const MOST_GROUPS = 2n ** 24n;
/** What a count may be in a message. */
const MOST_COUNTED = 2n ** 64n - 1n;
/** How an axis of outputs that are joined is told in a specification. */
const OUTPUTS = '["outputs"';
// In the order that the hash of a specification has.
const FIELDS = ["loss", "params", "dtype", "nonfinite", "by", "axis", "profile"] as const;

/** Which group of a state: a label, a position in the kept axes, or null where there is one. */
export type GroupKey = string | number | null;

/** What was computed; states of different specifications are never merged. */
export interface Specification {
  /** Canonical name or symbol, as asked for. */
  readonly loss: string;
  /** Parameters in force, as JSON with sorted keys. */
  readonly params: string;
  /** Dtype of the loss values: `float32` or `float64`. */
  readonly dtype: string;
  /** What was done with entries that are not finite. */
  readonly nonfinite: string;
  /** Input that named the groups; empty if none did. */
  readonly by: string;
  /** Axes reduced and the number of axes there were, as JSON; empty if none were named. */
  readonly axis: string;
  /** What computed the loss values: library versions, instruction set, device. */
  readonly profile: string;
}

/** How states are merged. */
export interface MergeSettings {
  /** `any` merges states computed by different versions or machines; `same` is the default. */
  readonly profiles?: "same" | "any";
}

interface Content {
  readonly specification: Specification;
  readonly batches: ReadonlyMap<string, bigint>;
  readonly cells: ReadonlyMap<GroupKey, Parts>;
  readonly shape: readonly bigint[];
}

/**
 * Merge states without the service, to the bytes that it would answer.
 *
 * @param states - What `evaluate` answered as `state`.
 * @throws {@link LossmeterError} `MALFORMED_REQUEST` where one is no state or none is given,
 *   `STATE_MISMATCH` where they do not belong together, `DUPLICATE_BATCH` where they share a batch.
 */
export function mergeStates(
  states: readonly Uint8Array[],
  settings: MergeSettings = {},
): Uint8Array {
  const [first, ...others] = states.map((bytes) => State.read(bytes));
  if (!first) throw malformed("give at least one state");
  return others.reduce((merged, state) => merged.merge(state, settings), first).toBytes();
}

/**
 * What is kept of batches so that they can be merged and finished, exactly. It cannot be changed.
 *
 * Finishing is arithmetic on the sums of a state, in the canonical meaning of each reduction; what
 * a framework's symbol means by its own `mean` is the service's business.
 */
export class State {
  /** What was computed. */
  readonly specification: Specification;
  /** Number of rows of each batch held, by its id. */
  readonly batches: ReadonlyMap<string, bigint>;
  /** Shape of the answer where axes are kept; the groups are its positions. */
  readonly shape: readonly number[];
  private readonly content: Content;

  private constructor(content: Content) {
    this.specification = content.specification;
    this.batches = content.batches;
    this.shape = content.shape.map(Number);
    this.content = content;
  }

  /**
   * The state in these bytes.
   *
   * @throws {@link LossmeterError} `MALFORMED_REQUEST` where they are no state, are not in canonical
   *   form or contradict themselves.
   */
  static read(bytes: Uint8Array): State {
    let content: Content;
    try {
      content = contentOf(bytes);
    } catch {
      throw malformed("not a state: the bytes are foreign, damaged or inconsistent");
    }
    return new State(content);
  }

  /** The groups, in order. */
  get groups(): readonly GroupKey[] {
    return [...this.content.cells.keys()];
  }

  /**
   * Both states as one; neither is changed.
   *
   * @throws {@link LossmeterError} `STATE_MISMATCH` where they do not belong together,
   *   `DUPLICATE_BATCH` where a batch is in both, `MALFORMED_REQUEST` where they count more than
   *   there can be.
   */
  merge(other: State, { profiles = "same" }: MergeSettings = {}): State {
    checkTogether(this, other, profiles === "any");
    const cells = new Map(this.content.cells);
    if (!holdTheSame([...cells.values(), ...other.content.cells.values()]))
      throw mismatch("the states hold different parts; all must hold the same");
    for (const [key, parts] of other.content.cells)
      cells.set(key, joined(cells.get(key) ?? {}, parts));
    const merged = {
      ...this.content,
      batches: new Map([...this.batches, ...other.batches]),
      cells: new Map([...cells].sort(([a], [b]) => byKey(a, b))),
    };
    if (countsOf(merged).some((count) => count > MOST_COUNTED))
      throw malformed("the states count more than 2^64 entries");
    return new State(merged);
  }

  /** The canonical bytes: equal states have equal bytes. */
  toBytes(): Uint8Array {
    return bytesOf(this.content);
  }

  /**
   * One group reduced to one number.
   *
   * @param reduction - What to make of its sums.
   * @param group - Which of the groups.
   * @throws {@link LossmeterError} `EMPTY_REDUCTION` where nothing is kept or the divisor is 0,
   *   `NOT_MERGEABLE` where the state was made without what the reduction reads.
   * @throws RangeError - There is no such group.
   */
  finish(reduction: StateReduction, group: GroupKey = null): Finished {
    const parts = this.content.cells.get(group);
    if (!parts) throw new RangeError("the state has no such group");
    return finished(parts, reduction);
  }
}

function checkTogether(mine: State, other: State, anyProfile: boolean): void {
  const different = FIELDS.filter(
    (name) =>
      mine.specification[name] !== other.specification[name] && !(anyProfile && name === "profile"),
  );
  if (different.length) throw mismatch(`the states differ in ${different.join(", ")}`);
  if (mine.shape.length !== other.shape.length || mine.shape.some((n, i) => n !== other.shape[i]))
    throw mismatch("the states keep axes of different sizes");
  if ([...other.batches.keys()].some((id) => mine.batches.has(id)))
    throw new LossmeterError(
      "FAILED_PRECONDITION",
      "a batch is in two of the states; merge each batch once",
      { reason: "DUPLICATE_BATCH", field: "states" },
    );
}

function mismatch(detail: string): LossmeterError {
  return new LossmeterError("FAILED_PRECONDITION", detail, {
    reason: "STATE_MISMATCH",
    field: "states",
  });
}

function malformed(detail: string): LossmeterError {
  return new LossmeterError("INVALID_ARGUMENT", detail, {
    reason: "MALFORMED_REQUEST",
    field: "states",
  });
}

/** @throws Error - The bytes are no state. */
function contentOf(bytes: Uint8Array): Content {
  const message = fromBinary(StateSchema, bytes);
  const { loss, params, dtype, nonfinite, by, axis, profile } = known(message.specification);
  const content = {
    specification: { loss, params, dtype, nonfinite, by, axis, profile },
    batches: new Map(message.batches.map(({ id, rows }) => [id, rows])),
    cells: new Map(message.cells.map((cell) => [keyOf(cell), partsOf(cell)])),
    shape: message.shape,
  };
  check(message.format === FORMAT && content.cells.size === message.cells.length);
  checkSpecification(content.specification);
  checkGroups(content);
  for (const parts of content.cells.values()) checkParts(parts, content);
  // What would not be written so is refused, hashes included.
  const again = bytesOf(content);
  check(again.length === bytes.length && again.every((byte, at) => byte === bytes[at]));
  return content;
}

function check(good: boolean): asserts good {
  if (!good) throw new RangeError("no state");
}

function known<T>(x: T | undefined): T {
  check(x !== undefined);
  return x;
}

function checkSpecification({ params, dtype, nonfinite, axis }: Specification): void {
  const told = JSON.parse(params) as { loss?: unknown } | null;
  check(typeof told?.loss === "string");
  check(["float32", "float64"].includes(dtype));
  check(["propagate", "omit", "error"].includes(nonfinite));
  if (!axis) return;
  const [axes, rank] = JSON.parse(axis) as [unknown, number];
  const named = Array.isArray(axes) ? (axes as number[]) : [0];
  const ascending = named.every((one, at) => !at || one > Number(named[at - 1]));
  check(axis.startsWith(OUTPUTS) || (Array.isArray(axes) && ascending));
  check(named.every((one) => 0 <= one && one < rank));
}

function holdTheSame(cells: readonly Parts[]): boolean {
  return new Set(cells.map((parts) => PART_NAMES.filter((name) => name in parts).join())).size < 2;
}

/** The rows, and every count over all groups. */
function countsOf({ batches, cells }: Content): bigint[] {
  const linears = [...cells.values()].map(({ linear }): Parts => (linear ? { linear } : {}));
  const { linear } = linears.reduce(joined, {});
  const counts = Object.values(linear ?? {}).filter((x): x is bigint => typeof x === "bigint");
  return [...counts, [...batches.values()].reduce((sum, rows) => sum + rows, 0n)];
}

function checkGroups({ specification, batches, cells, shape }: Content): void {
  const grouped = specification.by !== "" || shape.length > 0;
  check(batches.size > 0 && grouped !== cells.has(null));
  check(holdTheSame([...cells.values()]));
  if (!shape.length) return;
  // Counted, not listed: the shape is not to be believed.
  const size = shape.reduce((product, axis) => product * axis, 1n);
  const places = shape.reduce((product, axis) => product * (axis || 1n), 1n);
  check(shape.length <= MOST_AXES && places <= MOST_GROUPS && BigInt(cells.size) === size);
  check([...cells.keys()].every((key) => typeof key === "number" && key < size));
}

function checkParts(parts: Parts, { batches, cells }: Content): void {
  const { count, nonzero, entries, nonzeroEntries, rows } = known(parts.linear);
  const all = [...batches.values()].reduce((sum, batch) => sum + batch, 0n);
  check(nonzero <= count && count <= entries);
  check(nonzero <= nonzeroEntries && nonzeroEntries <= entries);
  check(cells.has(null) ? rows === all : rows <= all);
  for (const extreme of [parts.least, parts.greatest])
    check(extreme?.value === undefined || extreme.row < (batches.get(extreme.batchId) ?? 0n));
}

function keyOf({ key }: Cell): GroupKey {
  return key.case === "position" ? Number(key.value) : (key.value ?? null);
}

function byKey(a: GroupKey, b: GroupKey): number {
  const [x, y] = [a, b].map((key) => (typeof key === "string" ? key : ""));
  return byCodePoint(x as string, y as string) || Number(a) - Number(b);
}

function bytesOf({ specification, batches, cells, shape }: Content): Uint8Array {
  const fields = create(SpecificationSchema, specification);
  const keys = [...cells.keys()].sort(byKey);
  const message = create(StateSchema, {
    format: FORMAT,
    specification: fields,
    specificationHash: hashOf(fields),
    batches: [...batches].sort(([a], [b]) => byCodePoint(a, b)).map(([id, rows]) => ({ id, rows })),
    cells: keys.map((key) => cellWith(key, cells.get(key) ?? {})),
    shape: [...shape],
  });
  message.checksum = sha256(toBinary(StateSchema, message));
  return toBinary(StateSchema, message);
}

function cellWith(key: GroupKey, parts: Parts): Cell {
  const cell = cellOf(parts);
  if (typeof key === "string") cell.key = { case: "label", value: key };
  else if (key !== null) cell.key = { case: "position", value: BigInt(key) };
  return cell;
}

/** SHA-256 over the fields in order, each after its length. */
function hashOf(specification: SpecificationMessage): Uint8Array {
  const digest = sha256.create();
  for (const name of FIELDS) {
    const text = new TextEncoder().encode(specification[name]);
    const length = new DataView(new ArrayBuffer(4));
    length.setUint32(0, text.length, true);
    digest.update(new Uint8Array(length.buffer)).update(text);
  }
  return digest.digest();
}
