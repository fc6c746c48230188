import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  globalIgnores(["dist", "docs", "src/gen", "examples/dashboard"]),
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true },
    },
    rules: {
      // It asks for what the strict rules forbid.
      "@typescript-eslint/non-nullable-type-assertion-style": "off",
      // Names that say what is left out of the rest.
      "@typescript-eslint/no-unused-vars": ["error", { varsIgnorePattern: "^_+$" }],
    },
  },
);
