import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, describe, expect, test } from "vitest";

import {
  Client,
  HttpClient,
  LossmeterError,
  mergeStates,
  State,
  tensor,
  type Answer,
  type Inputs,
  type Methods,
} from "../src/index.js";

const { LOSSMETER_GRPC, LOSSMETER_HTTP, LOSSMETER_COMMAND } = process.env;
const client = new Client(LOSSMETER_GRPC);
const pieces = new Client(LOSSMETER_GRPC, { unaryBytes: 1 });
const http = new HttpClient(LOSSMETER_HTTP);
afterAll(() => {
  client.close();
  pieces.close();
});

const wires: [string, Methods][] = [
  ["gRPC", client],
  ["REST", http],
];
const ROWS = 300_000;
const LARGE = {
  predictions: Float64Array.from({ length: ROWS }, (_, at) => Math.sin(at)),
  targets: Float64Array.from({ length: ROWS }, (_, at) => Math.cos(at)),
};

describe.skipIf(!LOSSMETER_GRPC)("the service that LOSSMETER_GRPC tells", () => {
  test("a large batch has the same bits whole and in pieces", async () => {
    const whole = new Client(LOSSMETER_GRPC, { unaryBytes: Infinity });
    const found = await client.evaluate("squared_error", LARGE);
    expect(found).toEqual(await whole.evaluate("squared_error", LARGE));
    expect(found.count).toBe(ROWS);
    whole.close();
  });

  test.each([
    ["needs all samples", "squared_error", { reduction: "median" }],
    ["has a number from a histogram otherwise", "median_absolute_error", {}],
    ["needs them for another reason", "dice", {}],
  ])("a batch that %s goes whole", async (_, loss, settings) => {
    const predictions = tensor([0.5, 0.25, 0.75, 1, 0.125, 0], [3, 2]);
    const inputs = { predictions, targets: tensor([0, 1, 1, 0, 1, 1], [3, 2]) };
    const found = await pieces.evaluate(loss, inputs, settings);
    expect(found).toEqual(await http.evaluate(loss, inputs, settings));
    expect(found.relativeError).toBeUndefined();
  });

  test("batches come from whatever can be iterated", async () => {
    const batches = [0, 1, 2].map((at) => ({ predictions: [at, 1], targets: [0, 0] }));
    const slowly = (async function* () {
      for (const batch of batches) {
        await sleep(1);
        yield batch;
      }
    })();
    const expected = await client.evaluate("absolute_error", {
      predictions: [0, 1, 1, 1, 2, 1],
      targets: [0, 0, 0, 0, 0, 0],
    });
    expect(await client.evaluateStream("absolute_error", batches)).toEqual(expected);
    expect(await client.evaluateStream("absolute_error", slowly)).toEqual(expected);
    const several = { losses: { l1: { loss: "absolute_error" }, l2: { loss: "squared_error" } } };
    const both = await client.evaluateStream(several, batches);
    expect(both.results.l1).toEqual(expected);
  });

  test("a refusal tells which chunk was wrong", async () => {
    const batches = [2, 2, 3].map((rows) => ({
      predictions: [1, 2],
      targets: Array(rows).fill(1),
    }));
    const refused = client.evaluateStream("huber", batches as Inputs[]);
    await expect(refused).rejects.toMatchObject({
      ...{ name: "LossmeterError", code: "INVALID_ARGUMENT", reason: "SHAPE_MISMATCH" },
      ...{ field: "inputs.targets", chunk: 2 },
    });
  });

  describe.each(wires)("over %s", (_, wire) => {
    test("groups are a map, in the order of their labels", async () => {
      const country = ["fr", "de", "fr"];
      const { value, groups } = await wire.evaluate(
        "absolute_error",
        { predictions: [1, 4, 2], targets: [0, 2, 0], country, mask: [1, 1, 0] },
        { reduction: { name: "mean", by: "country" } },
      );
      expect([...(value as Map<string, number>)]).toEqual([
        ["de", 2],
        ["fr", 1],
      ]);
      expect(groups?.get("fr")).toEqual({ value: 1, count: 1, weight: 1, denominator: 1 });
    });

    test("whole numbers name groups too", async () => {
      const inputs = { predictions: [1, 4], targets: [0, 2], decade: [1990, 2000] };
      const reduction = { name: "mean", by: "decade" };
      const { value } = await wire.evaluate("absolute_error", inputs, { reduction });
      expect(value).toEqual(new Map([["1990", 1], ["2000", 2]])); // prettier-ignore
    });

    test("parameters that are not finite go by name", async () => {
      const settings = { params: { delta: Infinity } };
      const wrong = wire.evaluate("huber", { predictions: [1], targets: [0] }, settings);
      await expect(wrong).rejects.toMatchObject({ field: "params.delta" });
    });

    test("states are merged here to the bytes that the service gives", async () => {
      const states = await Promise.all(
        ["a", "b", "c"].map(async (batchId, at) => {
          const inputs = { predictions: [at, 0.1, 1e300], targets: [0.3, 5, at] };
          const options = { state: ["max", "variance"], batchId };
          return (await wire.evaluate("squared_error", inputs, { options })).state as Uint8Array;
        }),
      );
      const there = await wire.mergeStates(states, { reduction: "max", options: { state: true } });
      expect(mergeStates(states)).toEqual(there.state);
      const { value, index, batchId } = there;
      expect(State.read(mergeStates(states)).finish("max")).toEqual({ value, index, batchId });
      const twice = wire.mergeStates([states[0], states[0]] as Uint8Array[]);
      await expect(twice).rejects.toMatchObject({
        ...{ code: "FAILED_PRECONDITION", reason: "DUPLICATE_BATCH" },
      });
    });

    test("losses are listed, described, explained and exported", async () => {
      const names = (await wire.listLosses({ framework: "torch", search: "huber" })).map(
        ({ name }) => name,
      );
      expect(names).toEqual(["huber", "smooth_l1"]);
      const huber = await wire.getLoss("torch.nn.HuberLoss");
      expect(huber).toMatchObject({ name: "huber", defaultReduction: "mean" });
      expect(huber.inputs.map(({ name }) => name)).toContain("predictions");
      expect(huber.params).toHaveProperty("properties.delta.default", 1);
      const inputs = { predictions: [3, NaN], targets: [1, 1] };
      const told = await wire.explain("torch.nn.SmoothL1Loss", inputs);
      expect(told.answer.number).toBeNaN();
      expect(told.steps[0]?.says).toContain("smooth_l1");
      expect(told.dialects.map(({ symbol }) => symbol)).toContain("smooth_l1");
      const settings = { params: { delta: 0.5 }, dtype: "float32", opset: 18 } as const;
      const graph = await wire.export("huber", settings);
      const text = new TextDecoder().decode(graph);
      expect(text).toContain("predictions");
      expect(graph).not.toEqual(await wire.export("huber"));
      expect(
        (await wire.export({ expression: "abs(predictions - targets)" })).length,
      ).toBeGreaterThan(99);
    });
  });

  test("both wires tell the same", async () => {
    const inputs = { predictions: [3, 1, 9], targets: [1, 0.5, 0], mask: [true, true, false] };
    for (const reduction of ["none", "mean", "max", "median"]) {
      const options = { state: reduction !== "none", batchId: "b" };
      const asked = [inputs, { reduction, options }] as const;
      expect(await http.evaluate("huber", ...asked)).toEqual(
        await client.evaluate("huber", ...asked),
      );
    }
    const asked = ["torch.nn.SmoothL1Loss", inputs] as const;
    expect(await http.explain(...asked)).toEqual(await client.explain(...asked));
    expect(await http.listLosses()).toEqual(await client.listLosses());
  });
});

describe.skipIf(!LOSSMETER_COMMAND)("a service that LOSSMETER_COMMAND starts", () => {
  test("killed in the middle of a stream, and back again", async () => {
    const ports = await freePorts();
    let service = await started(ports);
    const own = new Client(`127.0.0.1:${String(ports.grpc)}`);
    try {
      const endless = (async function* () {
        for (let sent = 0; ; sent++) {
          yield { predictions: new Float64Array(10_000), targets: new Float64Array(10_000) };
          if (sent === 20) service.kill("SIGKILL");
          await sleep(1);
        }
      })();
      const cut = own.evaluateStream("squared_error", endless, { timeoutMs: 50_000 });
      const error: unknown = await cut.catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(LossmeterError);
      expect(error).toMatchObject({ code: "UNAVAILABLE" });
      service = await started(ports);
      const found: Answer = await own.evaluate("huber", { predictions: [1.5, 5], targets: [1, 2] });
      expect(found.number).toBe(1.3125);
    } finally {
      own.close();
      service.kill("SIGKILL");
    }
  }, 180_000);
});

interface Ports {
  http: number;
  grpc: number;
}

/** Start a service and wait until it is ready. */
async function started(ports: Ports): Promise<ChildProcess> {
  const words = ["serve", "--http-port", String(ports.http), "--grpc-port", String(ports.grpc)];
  const service = spawn(LOSSMETER_COMMAND ?? "", [...words, "--workers", "1"], { stdio: "ignore" });
  const url = `http://127.0.0.1:${String(ports.http)}/readyz`;
  await expect
    .poll(
      () =>
        fetch(url).then(
          ({ ok }) => ok,
          () => false,
        ),
      { timeout: 60_000, interval: 200 },
    ) // prettier-ignore
    .toBe(true);
  return service;
}

async function freePorts(): Promise<Ports> {
  const servers = [createServer(), createServer()];
  const ports = servers.map(async (server) => {
    await once(server.listen(0, "127.0.0.1"), "listening");
    return (server.address() as AddressInfo).port;
  });
  const [http = 0, grpc = 0] = await Promise.all(ports);
  for (const server of servers) server.close();
  return { http, grpc };
}
