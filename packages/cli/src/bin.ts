#!/usr/bin/env node
import { readFileSync } from "node:fs"
import { enableCompileCache } from "node:module"

// Before anything large is loaded: the second start is the faster for it.
enableCompileCache()

const { main } = await import("./Process.ts")
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
main(process.argv.slice(2), version)
