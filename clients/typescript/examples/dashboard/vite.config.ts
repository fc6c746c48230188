import { defineConfig } from "vitest/config";

export default defineConfig({
  root: "page",
  build: { outDir: "../dist/page", emptyOutDir: true },
  test: {
    root: ".",
    // A loaded machine is slow, not wrong.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
