import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { expect, test } from "vitest";

const { LOSSMETER_GRPC, LOSSMETER_HTTP = "" } = process.env;
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIGITS = fileURLToPath(new URL("../../../demo/digits.csv", import.meta.url));

async function printed(...words: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: ROOT });
  return stdout.trimEnd().split("\n");
}

test("the README has code by line 6", async () => {
  const head = (await readFile(`${ROOT}/README.md`, "utf8")).split("\n").slice(0, 6);
  expect(head.join("\n")).toContain('from "lossmeter-client"');
});

test.skipIf(!LOSSMETER_GRPC)("the README does what it says (LOSSMETER_GRPC)", async () => {
  const text = await readFile(`${ROOT}/README.md`, "utf8");
  const code = [...text.matchAll(/^```ts\n(.*?)^```/gms)].map(([, block]) => block).join("\n");
  // In the package's folder, so that it finds the package by its name.
  const program = `${ROOT}/dist/readme.js`;
  await writeFile(
    program,
    code
      .replace("localhost:8081", LOSSMETER_GRPC ?? "")
      .replace("http://localhost:8080", LOSSMETER_HTTP),
  );
  const told = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, said]) => said);
  expect(told.length).toBeGreaterThan(10);
  expect(await printed(program).finally(() => rm(program))).toEqual(told);
});

test.skipIf(!LOSSMETER_GRPC || !existsSync(DIGITS))(
  "the example prints its table (LOSSMETER_GRPC)",
  async () => {
    const table = await printed("examples/digits.js", DIGITS, LOSSMETER_GRPC ?? "");
    expect(table).toHaveLength(5);
    expect(table[0]).toBe("log loss                 0.203314249018531   719 samples");
  },
);
