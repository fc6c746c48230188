import { afterAll, describe, expect, test, vi } from "vitest";

import {
  Answer,
  Client,
  HttpClient,
  LossmeterError,
  tensor,
  type Answers,
  type DType,
  type Loss,
  type Losses,
  type LossSpec,
  type Methods,
  type Options,
  type Settings,
  type Tensor,
} from "../src/index.js";
import { bits, knownFailing, number, read } from "./golden.js";

interface CaseTensor {
  dtype: DType;
  shape: number[];
  data: (number | bigint | string | boolean)[];
}

interface CaseRequest {
  loss?: Loss;
  losses?: Record<string, Omit<LossSpec, "lossWeight"> & { loss_weight?: number }>;
  params?: Settings["params"];
  reduction?: Settings["reduction"];
  options?: Omit<Options, "batchId"> & { batch_id?: string };
  inputs: Record<string, CaseTensor>;
}

interface CaseAnswer {
  value?: { shape: number[]; bits: string[] };
  groups?: Record<string, string>;
  results?: Record<string, CaseAnswer>;
  total?: string;
  count?: number;
  weight?: string;
}

interface Expected {
  shape: number[];
  data: (number | string)[];
}

interface Case {
  id: string;
  request: CaseRequest;
  expected?: Expected | null;
  rtol: number;
  floor: number;
  answer: CaseAnswer;
}

interface Refusal {
  id: string;
  request: CaseRequest;
  reason: string;
  field: string | null;
}

const { LOSSMETER_CONFORMANCE, LOSSMETER_GRPC, LOSSMETER_HTTP } = process.env;
const { cases, errors } = (LOSSMETER_CONFORMANCE ? read(LOSSMETER_CONFORMANCE) : {}) as {
  cases: Case[];
  errors: Refusal[];
};
const grpc = new Client(LOSSMETER_GRPC);
const streaming = new Client(LOSSMETER_GRPC, { unaryBytes: 0 });
afterAll(() => {
  grpc.close();
  streaming.close();
});

// There are thousands of cases.
vi.setConfig({ testTimeout: 600_000 });
const wires: [string, Methods][] = [
  ["gRPC", grpc],
  ["streams", streaming],
  ["REST", new HttpClient(LOSSMETER_HTTP)],
];

describe.skipIf(!LOSSMETER_CONFORMANCE).each(wires)(
  "over %s (LOSSMETER_CONFORMANCE tells the cases)",
  (_, client) => {
    test("every case has the service's bits and the value it must have", async () => {
      await expectNone(cases, async (one) => {
        const found = told(await asked(client, one.request));
        expect(found).toEqual(one.answer);
        if (one.expected) expectNear(found, one, one.expected);
      });
    });

    test("every refusal has its reason and its place", async () => {
      await expectNone(errors, async ({ request, reason, field }) => {
        const error: unknown = await asked(client, request).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(LossmeterError);
        expect(error).toMatchObject({ reason, field: field ?? undefined });
      });
    });
  },
);

/** Check each case, and tell of all that fail at once; those known to fail must. */
async function expectNone<T extends { id: string }>(
  all: readonly T[],
  check: (one: T) => Promise<void>,
): Promise<void> {
  expect(all.length).toBeGreaterThan(0);
  const failing = new Map<string, string>();
  for (const one of all) {
    await check(one).catch((error: unknown) => failing.set(one.id, String(error)));
  }
  const known = knownFailing();
  const ids = all.map(({ id }) => id);
  expect({
    failing: [...failing].filter(([id]) => !known.has(id)),
    passing: [...known].filter((id) => ids.includes(id) && !failing.has(id)),
  }).toEqual({ failing: [], passing: [] });
}

function expectNear({ value }: CaseAnswer, { rtol, floor }: Case, expected: Expected): void {
  expect(value?.shape).toEqual(expected.shape);
  const wrong = expected.data.map(Number).filter((e, at) => {
    const x = number(value?.bits[at] ?? "");
    const near = Math.abs(x - e) <= rtol * Math.max(Math.abs(e), floor);
    return !near && !(x === e) && !(Number.isNaN(x) && Number.isNaN(e));
  });
  expect(wrong).toEqual([]);
}

function asked(client: Methods, request: CaseRequest): Promise<Answer | Answers> {
  const { loss, losses, inputs, options, ...settings } = request;
  const { batch_id, ...more } = options ?? {};
  const named = losses
    ? { ...(loss && { loss }), losses: Object.fromEntries(Object.entries(losses).map(spec)) }
    : loss;
  return client.evaluate(
    named as Loss & Losses,
    Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, given(x)])),
    { ...settings, options: { ...more, ...(batch_id !== undefined && { batchId: batch_id }) } },
  );
}

type Named<T> = [name: string, one: T];

function spec([name, one]: Named<NonNullable<CaseRequest["losses"]>[string]>): Named<LossSpec> {
  const { loss_weight, ...rest } = one;
  return [name, { ...rest, ...(loss_weight !== undefined && { lossWeight: loss_weight }) }];
}

function given({ dtype, shape, data }: CaseTensor): Tensor {
  if (dtype === "string") return tensor(data as string[], shape);
  if (dtype === "int64" || dtype === "uint64")
    return tensor((data as (number | bigint)[]).map(BigInt), shape, dtype);
  const numbers = data.map(Number);
  return dtype === "float16"
    ? tensor(Uint16Array.from(numbers, halfBits), shape, dtype)
    : tensor(numbers, shape, dtype);
}

/** The bits of a number that float16 holds. */
function halfBits(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.abs(x);
  if (Number.isNaN(x)) return 0x7e00;
  if (size === Infinity) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | (size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  return sign | ((exponent + 15) << 10) | ((size / 2 ** exponent - 1) * 1024);
}

/** An answer as the cases tell it. */
function told(answer: Answer | Answers): CaseAnswer {
  if (!(answer instanceof Answer)) {
    const results = Object.entries(answer.results).map(([name, one]) => [name, told(one)]);
    return {
      results: Object.fromEntries(results) as Record<string, CaseAnswer>,
      ...(answer.total !== undefined && { total: bits(answer.total) }),
    };
  }
  const { value, count, weight } = answer;
  const sums = { count, weight: bits(weight) };
  if (typeof value === "number") return { value: { shape: [], bits: [bits(value)] }, ...sums };
  if (value instanceof Map) {
    const groups = [...(value as Map<string, number>)].map(([label, x]) => [label, bits(x)]);
    return { groups: Object.fromEntries(groups) as Record<string, string>, ...sums };
  }
  const { shape, data } = value as Tensor;
  return { value: { shape: [...shape], bits: Array.from(data as Float64Array, bits) }, ...sums };
}
