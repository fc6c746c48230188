import { defineConfig } from "vitest/config";

export default defineConfig({
  root: "page",
  build: { outDir: "../dist/page", emptyOutDir: true },
  test: { root: ".", testTimeout: 60_000 },
});
