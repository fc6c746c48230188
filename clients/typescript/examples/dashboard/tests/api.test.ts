import { LossmeterError } from "lossmeter-client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { createApp } from "../src/app.js";
import type { LossByGroup, Problem } from "../src/choices.js";
import { FakeClient, patients } from "./fake.js";
import { serving } from "./serving.js";

const MEAN = "/api/loss?loss=pinball&reduction=mean&by=bmi";
const P90 = "/api/loss?loss=absolute_error&reduction=p90&by=age";

let client: FakeClient;

beforeEach(() => {
  client = new FakeClient();
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});

afterEach(() => {
  vi.restoreAllMocks();
});

async function get(path: string): Promise<Response> {
  return createApp(client, patients).request(path);
}

test("groups come in the order of their bands, a mean with its interval", async () => {
  const response = await get(MEAN);
  expect(response.status).toBe(200);
  expect(response.headers.get("cache-control")).toBe("no-store");
  expect((await response.json()) as LossByGroup).toEqual({
    overall: { value: 48.5, count: 174 },
    groups: [
      { group: "under 25", value: 40, count: 100, interval: [40 - 1.96, 40 + 1.96] },
      { group: "25 to 30", value: 60, count: 49, interval: [60 - 2.8, 60 + 2.8] },
      { group: "30 and over", value: 50, count: 25, interval: [50 - 3.92, 50 + 3.92] },
    ],
  });
});

test("a band without patients is left out", async () => {
  const { groups } = (await (await get(P90)).json()) as LossByGroup;
  expect(groups).toEqual([]);
});

test("one call asks for everyone, the groups and the spread of a mean", async () => {
  await get(MEAN);
  const spec = { loss: "pinball", params: { quantile: 0.9 } };
  expect(client.losses).toEqual({
    overall: { ...spec, reduction: { name: "mean" } },
    groups: { ...spec, reduction: { name: "mean", by: "group" } },
    spread: { ...spec, reduction: { name: "std", by: "group" } },
  });
  expect(client.inputs).toEqual({
    predictions: patients.predictions,
    targets: patients.targets,
    group: patients.groups.bmi,
  });
  expect(client.limits.timeoutMs).toBe(5000);
});

test("what is no mean has no spread", async () => {
  await get(P90);
  expect(client.losses).toEqual({
    overall: { loss: "absolute_error", params: {}, reduction: { name: "quantile", q: 0.9 } },
    groups: {
      loss: "absolute_error",
      params: {},
      reduction: { name: "quantile", q: 0.9, by: "group" },
    },
  });
});

test.each([
  ["an unknown loss", "loss=secret&reduction=mean&by=age", "loss"],
  ["an unknown reduction", "loss=pinball&reduction=secret&by=age", "reduction"],
  ["an unknown grouping", "loss=pinball&reduction=mean&by=secret", "by"],
  ["a name every object has", "loss=constructor&reduction=mean&by=age", "loss"],
  ["no grouping", "loss=pinball&reduction=mean", "by"],
  ["a word that means nothing", "loss=pinball&reduction=mean&by=age&q=secret", ""],
])("%s is refused", async (_, query, field) => {
  const response = await get(`/api/loss?${query}`);
  const text = await response.text();
  expect(response.status).toBe(400);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(JSON.parse(text)).toMatchObject({ status: 400, reason: "INVALID_QUERY", field });
  expect(text).not.toContain("secret");
  expect(client.losses).toEqual({});
});

test.each([
  [new LossmeterError("UNAVAILABLE", "connect ECONNREFUSED 10.0.0.1"), 503, "UNAVAILABLE"],
  [
    new LossmeterError("UNAVAILABLE", "", { reason: "DRAINING", retryAfterMs: 1500 }),
    503,
    "DRAINING",
    "2",
  ],
  [
    new LossmeterError("RESOURCE_EXHAUSTED", "", { reason: "OVERLOADED", retryAfterMs: 100 }),
    503,
    "OVERLOADED",
    "1",
  ],
  [new LossmeterError("RESOURCE_EXHAUSTED", "", { reason: "TOO_LARGE" }), 502, "TOO_LARGE"],
  [new LossmeterError("DEADLINE_EXCEEDED", ""), 504, "DEADLINE_EXCEEDED"],
  [new LossmeterError("NOT_FOUND", "", { reason: "LOSS_NOT_FOUND" }), 502, "LOSS_NOT_FOUND"],
  [
    new LossmeterError("UNAUTHENTICATED", "", { reason: "UNAUTHENTICATED" }),
    502,
    "UNAUTHENTICATED",
  ],
  [new Error("10.0.0.1"), 500, "INTERNAL"],
])("%s is a problem", async (failure, status, reason, retryAfter: string | null = null) => {
  client.failure = failure;
  const response = await get(MEAN);
  const text = await response.text();
  expect(response.status).toBe(status);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(response.headers.get("cache-control")).toBe("no-store");
  expect(response.headers.get("retry-after")).toBe(retryAfter);
  expect(JSON.parse(text) as Problem).toMatchObject({ type: "about:blank", status, reason });
  expect(text).not.toMatch(/10\.0\.0\.1|\bat .*\.[jt]s/);
});

test("a viewer who leaves cancels the call", async () => {
  client.pause = new Promise(() => undefined);
  const { address, server } = await serving(client);
  try {
    const leaving = new AbortController();
    const answer = fetch(address + MEAN, { signal: leaving.signal });
    await vi.waitUntil(() => client.limits.signal, { timeout: 30_000 });
    leaving.abort();
    await expect(answer).rejects.toThrow("abort");
    await vi.waitUntil(() => client.limits.signal?.aborted, { timeout: 30_000 });
  } finally {
    server.close();
  }
});

test("the page may load nothing from elsewhere", async () => {
  const response = await get("/");
  expect(response.status).toBe(200);
  expect(response.headers.get("content-security-policy")).toMatch(/^default-src 'self'/);
  expect(await response.text()).not.toMatch(/https?:/);
});

test.each(["/api/nothing", "/nothing.js", "/..%2f..%2fpackage.json"])(
  "%s is not found",
  async (path) => {
    const response = await get(path);
    expect(response.status).toBe(404);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
  },
);
