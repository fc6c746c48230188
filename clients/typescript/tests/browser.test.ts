import { existsSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type * as Client from "../src/browser.js";

declare const lossmeter: typeof Client;

const { LOSSMETER_HTTP } = process.env;
const CHROMIUM = "/usr/bin/chromium";
const PAGE = `<!doctype html><title>test</title>
<script type="module">import * as client from "/client.js"; window.lossmeter = client;</script>`;
// Nothing but the page is to be asked for.
const ARGUMENTS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

/** The client as one file for the browser; that fails where it needs anything of Node. */
async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("../src/browser.ts", import.meta.url))],
    ...({ bundle: true, format: "esm", platform: "browser", write: false } as const),
  });
  return outputFiles[0]?.text ?? "";
}

test("the bundle needs nothing of Node", async () => {
  expect(await bundle()).not.toContain("node:");
});

const missing = [
  ...(LOSSMETER_HTTP ? [] : ["LOSSMETER_HTTP is not set"]),
  ...(existsSync(CHROMIUM) ? [] : [`there is no ${CHROMIUM}`]),
];

describe.skipIf(missing.length)(`in Chromium ${missing.join(", ")}`, () => {
  let browser: Browser;
  let page: Page;
  const server = createServer((request, response) => {
    void answer(request, response);
  });

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
    page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${String(port)}/`);
    await page.waitForFunction("window.lossmeter");
  });

  afterAll(async () => {
    await browser.close();
    server.close();
  });

  test("the client evaluates", async () => {
    const found = await page.evaluate(async () => {
      const client = new lossmeter.HttpClient("");
      const predictions = lossmeter.tensor(Float32Array.of(1.5, 5, NaN), [3]);
      const inputs = { predictions, targets: [1, 2, 0], mask: [true, true, false] };
      const { value, count } = await client.evaluate("huber", inputs);
      return { value, count };
    });
    expect(found).toEqual({ value: 1.3125, count: 2 });
  });

  test("a batch of many values too", async () => {
    const value = await page.evaluate(async () => {
      const client = new lossmeter.HttpClient("");
      const ones = new Float64Array(200_000).fill(1);
      const inputs = { predictions: ones, targets: new Float64Array(200_000) };
      return (await client.evaluate("squared_error", inputs)).number;
    });
    expect(value).toBe(1);
  });

  test("a refusal is an error with its reason and place", async () => {
    const told = await page.evaluate(async () => {
      const inputs = { predictions: [1, 2], targets: [1] };
      const error = await new lossmeter.HttpClient("").evaluate("huber", inputs).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      return error instanceof lossmeter.LossmeterError ? [error.reason, error.field] : [];
    });
    expect(told).toEqual(["SHAPE_MISMATCH", "inputs.targets"]);
  });

  test("states are merged and finished in the page", async () => {
    const [here, there] = await page.evaluate(async () => {
      const client = new lossmeter.HttpClient("");
      const states: Uint8Array[] = [];
      for (const x of [0.1, 0.2, 0.3]) {
        const inputs = { predictions: [x], targets: [0] };
        const { state } = await client.evaluate("absolute_error", inputs, {
          options: { state: true },
        });
        states.push(state as Uint8Array);
      }
      const merged = lossmeter.State.read(lossmeter.mergeStates(states));
      return [merged.finish("mean").value, (await client.mergeStates(states)).number];
    });
    expect(here).toBe(0.2);
    expect(there).toBe(here);
  });
});

/** The page, its client, and of everything else what the service says. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { url = "/", method = "GET" } = request;
  if (url === "/") response.setHeader("content-type", "text/html").end(PAGE);
  else if (url === "/client.js")
    response.setHeader("content-type", "text/javascript").end(await bundle());
  else if (!url.startsWith("/v1/")) response.writeHead(404).end();
  else {
    const found = await fetch(`${LOSSMETER_HTTP ?? ""}${url}`, {
      method,
      headers: { "content-type": request.headers["content-type"] ?? "" },
      body: method === "POST" ? new Uint8Array(await buffer(request)) : null,
    });
    response.writeHead(found.status, { "content-type": "application/json" });
    response.end(Buffer.from(await found.arrayBuffer()));
  }
}
