/**
 * The resolved tree as an effect `ConfigProvider`, so that a program's own `Config` reads any part of it.
 *
 * @since 0.1.0
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as ConfigManagement from "./ConfigManagement.ts"
import type * as Origin from "./Origin.ts"
import * as Tree from "./Tree.ts"

const toNode = (node: Tree.Node | undefined): ConfigProvider.Node | undefined => {
  switch (node?._tag) {
    case undefined:
    case "Unset":
      return undefined
    case "Table":
      return ConfigProvider.makeRecord(new Set(node.entries.keys()))
    case "List":
      return ConfigProvider.makeArray(node.items.length)
    case "Leaf": {
      const value = Tree.valueOf(node)
      return ConfigProvider.makeValue(value instanceof Date ? value.toISOString() : String(value))
    }
  }
}

/**
 * Makes a provider that looks a path up in the tree as it is then. Keys are those of the files: snake case, and
 * the name of a file without `.toml`.
 *
 * **Gotchas** Credentials are handed out as text; read them with `Config.Redacted`.
 *
 * @example
 * ```ts
 * import { ConfigProviderTree, Resolve } from "@echelon/config"
 * import * as Config from "effect/Config"
 * import * as Effect from "effect/Effect"
 *
 * const { tree } = Resolve.resolve({
 *   root: "configs",
 *   files: { "global.toml": '[routing]\ndefault_pool = "fast_pool"' },
 *   env: undefined,
 *   variables: {}
 * })
 * const pool = Config.String("default_pool").pipe(Config.nested("routing"))
 * const provider = ConfigProviderTree.make(Effect.succeed(tree))
 * console.assert((await Effect.runPromise(pool.parse(provider))) === "fast_pool")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (tree: Effect.Effect<Tree.Table>): ConfigProvider.ConfigProvider =>
  ConfigProvider.make((path: Origin.Path) => Effect.map(tree, (root) => toNode(Tree.get(root, path))))

/**
 * Makes the tree in use the `ConfigProvider`; after a reload it reads the new one.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, ConfigManagement.ConfigManagement> = ConfigProvider.layer(
  Effect.map(ConfigManagement.ConfigManagement, (config) =>
    make(Effect.map(config.resolved, (resolved) => resolved.tree))
  )
)
