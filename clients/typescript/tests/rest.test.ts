import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, describe, expect, test } from "vitest";

import { HttpClient, type HttpClientOptions, type Inputs } from "../src/browser.js";

const INPUTS: Inputs = { predictions: [1.5, 5], targets: [1, 2] };
const ANSWER = { value: "NaN", loss: "huber", reduction: "mean", count: 2, weight: 2 };
const PROBLEM = { reason: "TOO_LARGE", detail: "in a sentence", field: "inputs", limit: 5 };
const ending: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ending.splice(0)) end();
});

interface Reply {
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
}

interface Setting {
  client: HttpClient;
  requests: IncomingMessage[];
  times: number[];
}

/** A server that gives these replies, the last of them to all that follow; none is silence. */
async function serving(replies: Reply[], options?: HttpClientOptions): Promise<Setting> {
  const requests: IncomingMessage[] = [];
  const times: number[] = [];
  const listener: RequestListener = (request, response) => {
    const reply = replies[Math.min(requests.length, replies.length - 1)];
    requests.push(request);
    times.push(performance.now());
    request.resume();
    if (!reply) return;
    const { status = 200, headers = {}, body = ANSWER } = reply;
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ending.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const client = new HttpClient(`http://127.0.0.1:${String(port)}/`, options);
  return { client, requests, times };
}

test("the token goes with every call", async () => {
  const { client, requests } = await serving([{}], { token: "opener" });
  await client.evaluate("huber", INPUTS);
  expect(requests[0]?.url).toBe("/v1/evaluate");
  expect(requests[0]?.headers.authorization).toBe("Bearer opener");
});

describe("attempts", () => {
  test.each([429, 503])("after %d, as long as Retry-After says", async (status) => {
    const reason = status === 429 ? "OVERLOADED" : "DRAINING";
    const busy = { status, headers: { "retry-after": "1" }, body: { reason } };
    const { client, times } = await serving([busy, {}]);
    expect((await client.evaluate("huber", INPUTS)).value).toBeNaN();
    const [one = 0, two = 0] = times;
    expect(two - one).toBeGreaterThanOrEqual(990);
  });

  test("at most five", async () => {
    const { client, requests } = await serving([{ status: 503, body: "no document" }]);
    await expect(client.evaluate("huber", INPUTS)).rejects.toMatchObject({
      ...{ code: "UNAVAILABLE", reason: "", detail: "the answer was HTTP 503" },
    });
    expect(requests).toHaveLength(5);
  });

  test("one, where a request is too large", async () => {
    const { client, requests } = await serving([{ status: 413, body: PROBLEM }]);
    await expect(client.evaluate("huber", INPUTS)).rejects.toMatchObject({
      ...{ name: "LossmeterError", code: "RESOURCE_EXHAUSTED", reason: "TOO_LARGE" },
      ...{ field: "inputs", facts: { limit: 5 }, detail: "in a sentence" },
    });
    expect(requests).toHaveLength(1);
  });

  test("where nobody listens", async () => {
    const client = new HttpClient("http://127.0.0.1:1", { timeoutMs: 1000 });
    await expect(client.evaluate("huber", INPUTS)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

test("the timeout is of all attempts", async () => {
  const { client } = await serving([], { timeoutMs: 300 });
  const late = { name: "LossmeterError", code: "DEADLINE_EXCEEDED" };
  await expect(client.evaluate("huber", INPUTS)).rejects.toMatchObject(late);
});

test("a signal cancels, and its reason is what rejects", async () => {
  const { client } = await serving([]);
  const cause = new Error("no longer wanted");
  const controller = new AbortController();
  const call = client.evaluate("huber", INPUTS, { signal: controller.signal });
  setTimeout(() => {
    controller.abort(cause);
  }, 200);
  await expect(call).rejects.toBe(cause);
});

test("numbers that are not finite come by name", async () => {
  const value = [["NaN", null], ["-Infinity", 0.5]]; // prettier-ignore
  const { client } = await serving([{ body: { ...ANSWER, value, reduction: "none" } }]);
  expect(await client.evaluate("huber", INPUTS)).toMatchObject({
    value: { dtype: "float64", shape: [2, 2], data: Float64Array.of(NaN, NaN, -Infinity, 0.5) },
    kept: { dtype: "bool", shape: [2, 2], data: Uint8Array.of(1, 0, 1, 1) },
  });
});

test("what a later service tells besides is passed over", async () => {
  const { client } = await serving([{ body: { ...ANSWER, value: 1, mood: "good" } }]);
  expect((await client.evaluate("huber", INPUTS)).number).toBe(1);
});
