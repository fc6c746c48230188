import { setTimeout as sleep } from "node:timers/promises";

import { ServerCredentials, status } from "@grpc/grpc-js";
import { generate } from "selfsigned";
import { afterEach, describe, expect, test } from "vitest";

import { Client, type ClientOptions, type Inputs } from "../src/index.js";
import { bare, refused, StandIn, type Behaviour } from "./server.js";

const INPUTS: Inputs = { predictions: [1.5, 5], targets: [1, 2] };
const NEVER: Behaviour = () => "silence";
const ending: (() => void)[] = [];
afterEach(() => {
  for (const end of ending.splice(0)) end();
});

interface Setting {
  server: StandIn;
  client: Client;
}

async function serving(
  behaviour?: Behaviour,
  options: ClientOptions = {},
  credentials?: ServerCredentials,
): Promise<Setting> {
  const server = new StandIn(behaviour);
  const client = new Client(await server.start(credentials), options);
  ending.push(
    () => {
      client.close();
    },
    () => {
      server.stop();
    },
  );
  return { server, client };
}

/** So many refusals, then an answer. */
function first(times: number, refusal: ReturnType<Behaviour>): Behaviour {
  return (attempt) => (attempt <= times ? refusal : "answer");
}

describe("TLS", () => {
  const altNames = [{ type: 2 as const, value: "localhost" }];
  const pems = generate([{ name: "commonName", value: "localhost" }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [{ name: "subjectAltName", altNames }],
  });

  async function secured(options: ClientOptions, client?: string): Promise<Setting> {
    const { private: key, cert } = await pems;
    const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(cert) };
    const roots = client === undefined ? null : Buffer.from(client);
    return serving(
      undefined,
      options,
      ServerCredentials.createSsl(roots, [pair], client !== undefined),
    );
  }

  test("with an authority of one's own", async () => {
    const { client } = await secured({ tls: { ca: (await pems).cert } });
    expect(await client.evaluate("huber", INPUTS)).toMatchObject({ loss: "huber" });
  });

  test("the usual authorities do not vouch for it", async () => {
    const { server, client } = await secured({ tls: true, timeoutMs: 20_000 });
    await expect(client.evaluate("huber", INPUTS)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(server.calls).toHaveLength(0);
  });

  test("with a certificate of the client's", async () => {
    const { cert: ca, private: key } = await pems;
    const { client } = await secured({ tls: { ca, cert: Buffer.from(ca), key } }, ca);
    expect(await client.evaluate("huber", INPUTS)).toMatchObject({ loss: "huber" });
  });

  test("a client without one is not let in", async () => {
    const { cert: ca } = await pems;
    const { client } = await secured({ tls: { ca }, timeoutMs: 20_000 }, ca);
    await expect(client.evaluate("huber", INPUTS)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

test("the token goes with every call", async () => {
  const { server, client } = await serving(undefined, { token: "opener" });
  await client.evaluate("huber", INPUTS);
  await client.evaluateStream("huber", [INPUTS]);
  const sent = server.calls.map((metadata) => metadata.get("authorization"));
  expect(sent).toEqual([["Bearer opener"], ["Bearer opener"]]);
});

describe("attempts", () => {
  test("where nobody answers, until somebody does", async () => {
    const { server, client } = await serving(first(2, bare(status.UNAVAILABLE)));
    await client.evaluate("huber", INPUTS);
    expect(server.calls).toHaveLength(3);
  });

  test("at most five", async () => {
    const { server, client } = await serving(first(9, bare(status.UNAVAILABLE)));
    await expect(client.evaluate("huber", INPUTS)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(server.calls).toHaveLength(5);
  });

  test("after the pause that an overloaded service asks for", async () => {
    const refusal = refused(status.RESOURCE_EXHAUSTED, "OVERLOADED", {}, 700);
    const { server, client } = await serving(first(1, refusal));
    await client.evaluate("huber", INPUTS);
    const [one = 0, two = 0] = server.times;
    expect(two - one).toBeGreaterThanOrEqual(690);
  });

  test("not where the pause is longer than the time left", async () => {
    const refusal = refused(status.RESOURCE_EXHAUSTED, "OVERLOADED", {}, 60_000);
    const { server, client } = await serving(first(1, refusal), { timeoutMs: 30_000 });
    const refusing = client.evaluate("huber", INPUTS);
    await expect(refusing).rejects.toMatchObject({ reason: "OVERLOADED", retryAfterMs: 60_000 });
    expect(server.calls).toHaveLength(1);
  });

  test("one, where a request is too large", async () => {
    const facts = { limit: "5", actual: "7", field: "inputs" };
    const refusal = refused(status.RESOURCE_EXHAUSTED, "TOO_LARGE", facts);
    const { server, client } = await serving(first(9, refusal));
    await expect(client.evaluate("huber", INPUTS)).rejects.toMatchObject({
      ...{ name: "LossmeterError", code: "RESOURCE_EXHAUSTED", reason: "TOO_LARGE" },
      ...{ field: "inputs", facts: { limit: 5, actual: 7 }, detail: "in a sentence" },
      message: "TOO_LARGE at inputs: in a sentence",
    });
    expect(server.calls).toHaveLength(1);
  });

  test("of a batch that goes in pieces by itself", async () => {
    const { server, client } = await serving(
      first(1, refused(status.RESOURCE_EXHAUSTED, "OVERLOADED", {}, 1)),
      { unaryBytes: 1 },
    );
    expect(await client.evaluate("huber", INPUTS)).toMatchObject({ count: 2 });
    expect(server.calls).toHaveLength(2);
  });
});

test.each(["NOT_STREAMABLE", "SHAPE_MISMATCH"])(
  "a batch goes whole where its pieces are refused with %s",
  async (reason) => {
    const refusal = refused(status.INVALID_ARGUMENT, reason);
    const { server, client } = await serving(first(1, refusal), { unaryBytes: 1 });
    expect(await client.evaluate("huber", INPUTS)).toMatchObject({ loss: "huber" });
    expect(server.calls).toHaveLength(2);
  },
);

test("a client that was closed makes no calls", async () => {
  const { server, client } = await serving();
  client.close();
  const closed = { name: "LossmeterError", code: "CANCELLED" };
  await expect(client.evaluate("huber", INPUTS)).rejects.toMatchObject(closed);
  await expect(client.evaluateStream("huber", [INPUTS])).rejects.toMatchObject(closed);
  expect(server.calls).toHaveLength(0);
});

describe("time", () => {
  test.each([
    ["the call's", {}, { timeoutMs: 300 }],
    ["the client's", { timeoutMs: 300 }, {}],
  ])("%s is a deadline", async (_, options, limits) => {
    const { client } = await serving(NEVER, options);
    const late = { name: "LossmeterError", code: "DEADLINE_EXCEEDED" };
    await expect(client.evaluate("huber", INPUTS, limits)).rejects.toMatchObject(late);
  });

  test("a stream has the call's alone", async () => {
    const { client } = await serving(undefined, { timeoutMs: 200 });
    const slow = (async function* () {
      yield INPUTS;
      await sleep(600);
      yield INPUTS;
    })();
    expect(await client.evaluateStream("huber", slow)).toMatchObject({ count: 3 });
    const late = { code: "DEADLINE_EXCEEDED" };
    const never = client.evaluateStream("huber", waiting(), { timeoutMs: 300 });
    await expect(never).rejects.toMatchObject(late);
  });
});

describe("a signal", () => {
  test("cancels a call, which rejects with its reason", async () => {
    const { server, client } = await serving(NEVER);
    const cause = new Error("no longer wanted");
    const controller = new AbortController();
    const call = client.evaluate("huber", INPUTS, { signal: controller.signal });
    const rejected = expect(call).rejects.toBe(cause);
    await expect.poll(() => server.calls.length).toBe(1);
    controller.abort(cause);
    await rejected;
    await server.cancelled;
  });

  test("cancels a stream whose batches do not come", async () => {
    const { server, client } = await serving();
    const controller = new AbortController();
    const call = client.evaluateStream("huber", waiting(), { signal: controller.signal });
    const rejected = expect(call).rejects.toThrow("aborted");
    await expect.poll(() => server.calls.length).toBe(1);
    controller.abort();
    await rejected;
    await server.cancelled;
  });

  test("ends the pause between attempts", async () => {
    const refusal = refused(status.RESOURCE_EXHAUSTED, "OVERLOADED", {}, 30_000);
    const { client } = await serving(first(1, refusal), { timeoutMs: 60_000 });
    const signal = AbortSignal.timeout(400);
    await expect(client.evaluate("huber", INPUTS, { signal })).rejects.toThrow("timeout");
  });

  test("that was given before keeps the call from being made", async () => {
    const { server, client } = await serving();
    const limits = { signal: AbortSignal.abort(new Error("too late")) };
    await expect(client.evaluate("huber", INPUTS, limits)).rejects.toThrow("too late");
    await expect(client.evaluateStream("huber", [INPUTS], limits)).rejects.toThrow("too late");
    expect(server.calls).toHaveLength(0);
  });
});

describe("a stream", () => {
  test("cancels its call where the batches throw", async () => {
    const { server, client } = await serving();
    const breaking = (async function* () {
      yield INPUTS;
      await expect.poll(() => server.calls.length).toBe(1);
      throw new TypeError("no more of them");
    })();
    await expect(client.evaluateStream("huber", breaking)).rejects.toThrow("no more of them");
    await server.cancelled;
  });

  test("takes no more batches once it is refused", async () => {
    const refusal = refused(status.INVALID_ARGUMENT, "SHAPE_MISMATCH", {
      field: "inputs.targets",
      chunk: "3",
    });
    const { client } = await serving(() => refusal);
    let closed = false;
    const endless = (function* () {
      try {
        for (;;) yield INPUTS;
      } finally {
        closed = true;
      }
    })();
    await expect(client.evaluateStream("huber", endless)).rejects.toMatchObject({
      ...{ code: "INVALID_ARGUMENT", reason: "SHAPE_MISMATCH" },
      ...{ field: "inputs.targets", chunk: 3 },
    });
    await expect.poll(() => closed).toBe(true);
  });

  test("of settings that no message holds is not sent", async () => {
    const { server, client } = await serving();
    const settings = { options: { backend: 7 as unknown as string } };
    const wrong = client.evaluateStream("huber", [INPUTS], settings);
    await expect(wrong).rejects.toMatchObject({ reason: "MALFORMED_REQUEST" });
    expect(server.calls).toHaveLength(0);
  });
});

/** Batches of which only the first ever comes. */
async function* waiting(): AsyncGenerator<Inputs> {
  yield INPUTS;
  await new Promise(() => undefined);
}
