import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";

import { Client } from "lossmeter-client";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { createApp } from "../src/app.js";
import { GROUPINGS, LOSSES, REDUCTIONS, type LossByGroup } from "../src/choices.js";
import { patients } from "./fake.js";

const { LOSSMETER_GRPC, LOSSMETER_COMMAND } = process.env;
const QUESTION = "/api/loss?loss=absolute_error&reduction=mean&by=age";

function unless(variable: string | undefined, name: string): string {
  return variable === undefined ? ` (skipped: ${name} is not set)` : "";
}

describe.skipIf(!LOSSMETER_GRPC)(`a service${unless(LOSSMETER_GRPC, "LOSSMETER_GRPC")}`, () => {
  const client = new Client(LOSSMETER_GRPC);
  const app = createApp(client, patients);

  afterAll(() => {
    client.close();
  });

  test("says what a loop over the rows says", async () => {
    const { overall, groups } = (await (await app.request(QUESTION)).json()) as LossByGroup;
    expect(overall.count).toBe(177);
    expect(groups.map(({ group, count }) => [group, count])).toEqual([
      ["under 40", 54],
      ["40 to 59", 88],
      ["60 and over", 35],
    ]);
    for (const { group, value, interval } of groups) {
      const errors = [...patients.predictions]
        .map((prediction, row) => Math.abs(prediction - (patients.targets[row] ?? NaN)))
        .filter((_, row) => patients.groups.age[row] === group);
      const mean = sum(errors) / errors.length;
      const variance = sum(errors.map((error) => (error - mean) ** 2)) / (errors.length - 1);
      expect(value).toBeCloseTo(mean, 9);
      expect(interval?.[1]).toBeCloseTo(mean + 1.96 * Math.sqrt(variance / errors.length), 9);
    }
  });

  test("answers every question", async () => {
    for (const loss of Object.keys(LOSSES)) {
      for (const reduction of Object.keys(REDUCTIONS)) {
        for (const by of Object.keys(GROUPINGS)) {
          const query = new URLSearchParams({ loss, reduction, by }).toString();
          const { groups } = (await (
            await app.request(`/api/loss?${query}`)
          ).json()) as LossByGroup;
          expect(groups, query).toHaveLength(3);
          expect(sum(groups.map(({ count }) => count)), query).toBe(177);
          expect(Math.min(...groups.map(({ value }) => value)), query).toBeGreaterThan(0);
        }
      }
    }
  });
});

describe.skipIf(!LOSSMETER_COMMAND)(
  `a service of its own${unless(LOSSMETER_COMMAND, "LOSSMETER_COMMAND")}`,
  () => {
    let service: ChildProcess;

    beforeEach(() => {
      vi.spyOn(console, "error").mockImplementation(() => undefined);
    });

    afterEach(async () => {
      vi.restoreAllMocks();
      await killed(service);
    });

    test("is missed while it is away and found when it is back", { timeout: 120_000 }, async () => {
      const ports = [await freePort(), await freePort()] as const;
      service = await started(...ports);
      const client = new Client(`127.0.0.1:${String(ports[1])}`);
      const app = createApp(client, patients);
      try {
        expect((await app.request(QUESTION)).status).toBe(200);
        await killed(service);
        const away = await app.request(QUESTION);
        expect([away.status, await away.json()]).toMatchObject([503, { reason: "UNAVAILABLE" }]);
        service = await started(...ports);
        expect((await app.request(QUESTION)).status).toBe(200);
      } finally {
        client.close();
      }
    });
  },
);

async function started(http: number, grpc: number): Promise<ChildProcess> {
  const ports = ["--http-port", String(http), "--grpc-port", String(grpc)];
  const service = spawn(LOSSMETER_COMMAND ?? "", ["serve", ...ports], { stdio: "ignore" });
  const ready = () =>
    fetch(`http://127.0.0.1:${String(http)}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  await vi.waitUntil(ready, { timeout: 60_000, interval: 100 });
  return service;
}

async function killed(service: ChildProcess): Promise<void> {
  if (service.exitCode !== null || service.signalCode !== null) return;
  service.kill("SIGKILL");
  await once(service, "exit");
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
