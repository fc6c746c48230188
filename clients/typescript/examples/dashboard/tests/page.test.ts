import type { ServerType } from "@hono/node-server";
import { LossmeterError } from "lossmeter-client";
import axe from "axe-core";
import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";

import { launchChromium, noChromium } from "./chromium.js";
import { FakeClient } from "./fake.js";
import { serving } from "./serving.js";

declare global {
  interface Window {
    axe: typeof axe;
  }
}

describe.skipIf(noChromium)(`the page in Chromium${noChromium ? `: ${noChromium}` : ""}`, () => {
  let browser: Browser;
  let page: Page;
  let client: FakeClient;
  let server: ServerType;
  let address: string;
  let wrong: string[];

  beforeAll(async () => {
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser.close();
  });

  beforeEach(async () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    client = new FakeClient();
    wrong = [];
    ({ address, server } = await serving(client));
  });

  afterEach(async () => {
    vi.restoreAllMocks();
    await page.context().close();
    server.close();
  });

  async function open(query = "?by=bmi", options: BrowserContextOptions = {}): Promise<void> {
    const context = await browser.newContext(options);
    page = await context.newPage();
    page.on("pageerror", (error) => wrong.push(error.message));
    page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
    page.on("request", (request) => {
      if (!request.url().startsWith(address)) wrong.push(request.url());
    });
    await page.goto(`${address}/${query}`);
    await settled();
  }

  async function settled(): Promise<void> {
    await page.locator("#answer[aria-busy=false]").waitFor();
  }

  function texts(): Promise<string[]> {
    return page.locator("#chart svg text").allTextContents();
  }

  /** Left edge and width of what is drawn in the layer, in pixels, in the order of the rows. */
  async function boxes(layer: string): Promise<{ x: number; width: number }[]> {
    const shapes = await page.locator(`#chart .${layer} > *`).all();
    const found = await Promise.all(shapes.map((shape) => shape.boundingBox()));
    return found
      .filter((box) => box !== null)
      .sort((one, other) => one.y - other.y)
      .map(({ x, width }) => ({ x, width }));
  }

  async function middle(label: Locator): Promise<number> {
    const box = await label.boundingBox();
    if (!box) throw new Error("the axis lacks a tick");
    return box.x + box.width / 2;
  }

  test("the chart says what it shows", async () => {
    await open();
    expect(await page.locator("h2").textContent()).toBe("Mean absolute error by body mass index");
    const shown = (await texts()).join(" ");
    expect(shown).toContain("Mean absolute error (points)");
    expect(shown).toContain("Body mass index (kg/m²)");
    expect(shown).toMatch(
      /under 25.*100 patients.*25 to 30.*49 patients.*30 and over.*25 patients/,
    );
    expect(shown).toContain("all patients: 48.5");
    expect(await page.getByRole("img").getAttribute("aria-label")).toBe(
      "Mean absolute error (points). under 25, 100 patients: 40; " +
        "25 to 30, 49 patients: 60; 30 and over, 25 patients: 50.",
    );
    expect(await page.locator("figcaption").textContent()).toContain("95% confidence interval");
    expect(wrong).toEqual([]);
  });

  test("bars start at 0 and end at their values on the axis", async () => {
    await open();
    const ticks = page.locator("#chart [aria-label='x-axis tick label'] text");
    const zero = await middle(ticks.filter({ hasText: /^0$/ }));
    const perPoint = ((await middle(ticks.filter({ hasText: /^60$/ }))) - zero) / 60;
    const bars = await boxes("bars");
    expect(bars).toHaveLength(3);
    for (const [row, value] of [40, 60, 50].entries()) {
      expect(bars[row]?.x).toBeCloseTo(zero, -1);
      expect((bars[row]?.width ?? 0) / perPoint).toBeCloseTo(value, 0);
    }
  });

  test("another choice is asked for, drawn and kept in the address", async () => {
    await open();
    await page.getByLabel("Loss").selectOption("Pinball loss at 0.9");
    await page.getByLabel("Summary").selectOption("90th percentile");
    await settled();
    expect(await page.locator("h2").textContent()).toBe(
      "90th percentile of pinball loss at 0.9 by body mass index",
    );
    expect(await page.locator("#chart .intervals > *").count()).toBe(0);
    expect(await page.locator("figcaption").textContent()).not.toContain("confidence");
    expect(client.losses.groups?.loss).toBe("pinball");
    await page.reload();
    await settled();
    expect(await page.getByLabel("Summary").inputValue()).toBe("p90");
  });

  test("a mean has the interval of each group", async () => {
    await open();
    const perPoint = ((await boxes("bars"))[0]?.width ?? 0) / 40;
    const halves = [1.96, 2.8, 3.92];
    const intervals = await boxes("intervals");
    expect(intervals).toHaveLength(3);
    for (const [row, half] of halves.entries()) {
      expect((intervals[row]?.width ?? 0) / perPoint).toBeCloseTo(2 * half, 0);
    }
  });

  test("a service that is away is told, and asked again", async () => {
    client.failure = new LossmeterError("UNAVAILABLE", "connect ECONNREFUSED");
    await open();
    expect(await page.getByRole("alert").textContent()).toContain("The service is away.");
    expect(await page.locator("figure").isVisible()).toBe(false);
    client.failure = undefined;
    await page.getByRole("button", { name: "Try again" }).click();
    await page.locator("figure").waitFor();
    expect(await page.getByRole("alert").isVisible()).toBe(false);
  });

  test("a refusal is told in the service's words", async () => {
    client.failure = new LossmeterError("NOT_FOUND", "There is no such loss.");
    await open();
    expect(await page.getByRole("alert").textContent()).toContain("There is no such loss.");
  });

  test("a dashboard that is away is told", async () => {
    await open();
    await page.route("**/api/**", (route) => route.abort());
    await page.getByLabel("Groups").selectOption("Age");
    await page.locator("#problem").waitFor();
    expect(await page.getByRole("alert").textContent()).toContain("The dashboard is away.");
  });

  test("a late answer does not replace a newer one", async () => {
    await open();
    let go = (): void => undefined;
    client.pause = new Promise((resolve) => {
      go = resolve;
    });
    await page.getByLabel("Loss").selectOption("Squared error");
    await vi.waitUntil(() => client.losses.groups?.loss === "squared_error", { timeout: 30_000 });
    client.pause = Promise.resolve();
    await page.getByLabel("Loss").selectOption("Percentage error");
    await settled();
    go();
    // A round trip later, the late answer would be there.
    await page.evaluate(() => fetch("/icon.svg").then((icon) => icon.text()));
    expect(await page.locator("h2").textContent()).toContain("percentage error");
  });

  test.each([320, 390, 1200])("everything fits into %i pixels", async (width) => {
    await open("?loss=mean_absolute_percentage_error&reduction=p90&by=bmi", {
      viewport: { width, height: 800 },
    });
    const overflowing = await page.evaluate(() => {
      const parts = [...document.querySelectorAll("main *")];
      return parts
        .filter((part) => {
          const { left, right } = part.getBoundingClientRect();
          return left < 0 || right > window.innerWidth;
        })
        .map((part) => part.outerHTML);
    });
    expect(overflowing).toEqual([]);
    const svg = await page.locator("#chart svg").boundingBox();
    for (const text of await page.locator("#chart svg text").all()) {
      const box = await text.boundingBox();
      expect(box?.x).toBeGreaterThanOrEqual(svg?.x ?? Infinity);
      expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(
        (svg?.x ?? 0) + (svg?.width ?? 0),
      );
    }
  });

  test.each(["light", "dark"] as const)("axe has nothing to say in %s", async (colorScheme) => {
    await open("?by=bmi", { colorScheme });
    const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    expect(ground).toBe(colorScheme === "light" ? "rgb(244, 245, 247)" : "rgb(20, 23, 28)");
    await page.evaluate(axe.source);
    const { violations, passes } = await page.evaluate(() =>
      // What is inside of a picture is told by its label.
      window.axe.run({ exclude: ["[role=img] *"] }),
    );
    expect(
      violations.map(({ id, nodes }) => `${id} ${nodes.map(({ html }) => html).join()}`),
    ).toEqual([]);
    expect(passes.map(({ id }) => id)).toContain("color-contrast");
  });
});
