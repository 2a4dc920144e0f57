import { readdirSync } from "node:fs"
import { defineConfig } from "vitest/config"

/** Every package is a project of its own; start Vitest with `--config vitest.workspace.ts`. */
export default defineConfig({
  test: {
    reporters: ["default"],
    projects: readdirSync(new URL("./packages/", import.meta.url)).map((name) => ({
      test: { name, root: `./packages/${name}`, include: ["test/**/*.test.ts"] }
    }))
  }
})
