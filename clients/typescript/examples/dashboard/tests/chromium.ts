import { existsSync } from "node:fs";

import { chromium, type Browser } from "playwright-core";

/** A browser of the machine's own; none is downloaded. */
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Why there is no browser to test with, if there is none. */
export const noChromium = existsSync(CHROMIUM) ? undefined : `there is no ${CHROMIUM}`;

/** Starts it without sandbox, which a container's root has none of, and without calls home. */
export function launchChromium(): Promise<Browser> {
  const quiet = ["disable-background-networking", "disable-component-update", "disable-sync"];
  const flags = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", ...quiet];
  return chromium.launch({ executablePath: CHROMIUM, args: flags.map((flag) => `--${flag}`) });
}
