import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"

/**
 * What users get: every package is built from a clean copy of the sources, packed, installed as a tarball into
 * an empty project, imported by plain node and type-checked. Dependencies from the registry are linked from this
 * workspace, so that the test needs no network.
 */
const root = fileURLToPath(new URL("../../../", import.meta.url)).replace(/\/$/, "")
const names = Fs.readdirSync(join(root, "packages")).filter((name) =>
  Fs.existsSync(join(root, "packages", name, "package.json"))
)

interface Manifest {
  readonly name: string
  readonly version: string
  readonly exports: Record<string, unknown>
  readonly publishConfig: { readonly exports: Record<string, unknown> }
  readonly bin?: Record<string, string>
  readonly dependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
}

const manifest = (folder: string): Manifest => JSON.parse(Fs.readFileSync(join(folder, "package.json"), "utf8"))

const filesIn = (folder: string): ReadonlyArray<string> =>
  Fs.readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((path) => !path.startsWith("node_modules/"))

const run = (cwd: string, program: string, ...args: ReadonlyArray<string>) =>
  Effect.callback<string, Error>((resume) => {
    const path = `${join(root, "node_modules", ".bin")}${delimiter}${process.env["PATH"] ?? ""}`
    execFile(program, args, { cwd, env: { ...process.env, PATH: path } }, (error, stdout, stderr) =>
      resume(
        error === null
          ? Effect.succeed(stdout)
          : Effect.fail(new Error(`${program} ${args.join(" ")}: ${error.message}\n${stdout}${stderr}`))
      )
    )
  })

/** Copies the sources without anything built. Links to dependencies stay links. */
const copySources = (to: string) => {
  for (const file of ["package.json", "pnpm-workspace.yaml", "tsconfig.base.json", "tsconfig.build.json"])
    Fs.copyFileSync(join(root, file), join(to, file))
  Fs.symlinkSync(join(root, "node_modules"), join(to, "node_modules"))
  for (const name of names)
    Fs.cpSync(join(root, "packages", name), join(to, "packages", name), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !/[/\\](dist|.*\.tsbuildinfo)$/.test(path)
    })
}

/** A third-party package as this workspace has it. */
const linked = (dependency: string): string | undefined =>
  [root, ...names.map((name) => join(root, "packages", name))]
    .map((folder) => join(folder, "node_modules", dependency))
    .find((path) => Fs.existsSync(path))

/** The packages that a module's code names; comments do not count. */
const imported = (code: string): ReadonlyArray<string> =>
  [...code.replaceAll(/\/\*[\s\S]*?\*\//g, "").matchAll(/\b(?:from|import)\s*\(?\s*["']([\w@][\w@/.-]*)["']/g)]
    .map(([, specifier = ""]) => /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? "")
    .filter((found) => !found.startsWith("node:"))

interface Shape {
  readonly project: string
  readonly workspace: string
  /** The installed package's folder. */
  readonly folder: (name: string) => string
}

class Packed extends Context.Service<Packed, Shape>()("Packed") {}

const packed = Layer.effect(
  Packed,
  Effect.gen(function* () {
    const scratch = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.realpathSync(Fs.mkdtempSync(join(tmpdir(), "echelon-pack-")))),
      (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
    )
    const [workspace, project] = [join(scratch, "workspace"), join(scratch, "project")]
    for (const path of [workspace, project]) Fs.mkdirSync(path)
    copySources(workspace)
    yield* run(workspace, "tsc", "-b", "tsconfig.build.json")
    yield* Effect.forEach(names, (name) =>
      run(join(workspace, "packages", name), "pnpm", "pack", "--pack-destination", project)
    )
    const tarball = (name: string) =>
      `file:./${manifest(join(root, "packages", name))
        .name.slice(1)
        .replace("/", "-")}`
    const ours = Object.fromEntries(
      names.map((name) => {
        const { name: full, version } = manifest(join(root, "packages", name))
        return [full, `${tarball(name)}-${version}.tgz`]
      })
    )
    const link = (pick: (source: Manifest) => Record<string, string> | undefined) =>
      Object.fromEntries(
        names
          .flatMap((name) => Object.keys(pick(manifest(join(root, "packages", name))) ?? {}))
          .filter((dependency) => !(dependency in ours))
          .map((dependency) => [dependency, `link:${linked(dependency)}`])
      )
    const peers = link(({ peerDependencies }) => peerDependencies)
    const theirs = { ...link(({ dependencies }) => dependencies), ...peers }
    Fs.writeFileSync(
      join(project, "package.json"),
      JSON.stringify({
        name: "project",
        private: true,
        type: "module",
        dependencies: { ...ours, ...peers, "@types/node": `link:${linked("@types/node")}` }
      })
    )
    Fs.writeFileSync(
      join(project, "pnpm-workspace.yaml"),
      // JSON is YAML.
      `packages: []\nhoist: false\noverrides: ${JSON.stringify({ ...ours, ...theirs })}\n`
    )
    yield* run(project, "pnpm", "install", "--offline", "--no-frozen-lockfile", "--ignore-scripts")
    return {
      project,
      workspace,
      folder: (name) => Fs.realpathSync(join(project, "node_modules", manifest(join(root, "packages", name)).name))
    }
  })
)

/**
 * Every module of a package beside its entry: `exports` lets each be imported. An executable would run, and a worker
 * refuses to be anything else.
 */
const deep = (name: string): ReadonlyArray<string> =>
  Fs.readdirSync(join(root, "packages", name, "src"))
    .filter((file) => /^[A-Z]\w*(?<!Worker)\.ts$/.test(file))
    .map((file) => `@echelon/${name}/${file.replace(/\.ts$/, "")}`)

const specifiers = names.flatMap((name) => [`@echelon/${name}`, ...deep(name)])

layer(packed, { timeout: "2 minutes" })("a packed package", (it) => {
  it.effect("is imported by plain node, entry and single modules", () =>
    Effect.gen(function* () {
      const { project } = yield* Packed
      const code = specifiers.map((specifier) => `await import(${JSON.stringify(specifier)})`).join("\n")
      Fs.writeFileSync(join(project, "use.mjs"), `${code}\nconsole.log("imported")\n`)
      expect(yield* run(project, process.execPath, "use.mjs")).toBe("imported\n")
    })
  )

  it.effect(
    "has types that hold in a strict program",
    () =>
      Effect.gen(function* () {
        const { project } = yield* Packed
        const uses = specifiers.map((specifier, i) => `import * as P${i} from ${JSON.stringify(specifier)}`)
        Fs.writeFileSync(
          join(project, "use.ts"),
          [
            ...uses,
            'import { Effect } from "effect"',
            'import { Llm, LlmError, type LlmReply } from "@echelon/core"',
            'import { ScriptedLlm } from "@echelon/testing"',
            `export const used = [${uses.map((_, i) => `P${i}`).join(", ")}]`,
            "export const answer: Effect.Effect<LlmReply.Answer, LlmError.LlmError> = Effect.flatMap(",
            '  ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("hello") }),',
            '  (scripted) => Llm.generate(scripted.llm, { prompt: "hi" })',
            ")",
            "// @ts-expect-error A prompt is no number.",
            "Effect.map(ScriptedLlm.make({ id: 'a', script: [] }), ({ llm }) => Llm.generate(llm, { prompt: 1 }))"
          ].join("\n")
        )
        Fs.writeFileSync(
          join(project, "tsconfig.json"),
          JSON.stringify({
            compilerOptions: {
              module: "NodeNext",
              target: "ES2023",
              lib: ["ES2024", "DOM", "DOM.Iterable"],
              types: ["node"],
              strict: true,
              exactOptionalPropertyTypes: true,
              noEmit: true,
              skipLibCheck: false
            },
            files: ["use.ts"]
          })
        )
        expect(yield* run(project, "tsc", "-p", ".")).toBe("")
      }),
    60_000
  )

  for (const name of names) {
    it.effect(`${name} exports what it built, and names published versions`, () =>
      Effect.gen(function* () {
        const { folder } = yield* Packed
        const source = manifest(join(root, "packages", name))
        const published = manifest(folder(name))
        expect(published.exports).toEqual(source.publishConfig.exports)
        const targets = JSON.stringify([published.exports, published.bin ?? {}])
        expect(targets).not.toMatch(/src|\.ts"(?<!\.d\.ts")/)
        expect(JSON.stringify(published)).not.toMatch(/workspace:|catalog:/)
      })
    )

    for (const [command, executable] of Object.entries(manifest(join(root, "packages", name)).bin ?? {})) {
      if (!Fs.existsSync(join(root, "packages", name, executable))) continue
      it.effect(`${name} brings the command ${command}`, () =>
        Effect.gen(function* () {
          const { folder, project } = yield* Packed
          const target = manifest(folder(name)).bin?.[command] ?? "none"
          expect(Fs.readFileSync(join(folder(name), target), "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/)
          expect(yield* run(project, process.execPath, join(folder(name), target), "--help")).toContain(command)
        })
      )
    }

    it.effect(`${name} declares what it imports`, () =>
      Effect.gen(function* () {
        const { folder } = yield* Packed
        const { dependencies, name: self, peerDependencies } = manifest(folder(name))
        const declared = new Set([self, ...Object.keys({ ...dependencies, ...peerDependencies })])
        const missing = filesIn(folder(name))
          .filter((path) => /^dist\/.*\.(js|d\.ts)$/.test(path))
          .flatMap((path) => imported(Fs.readFileSync(join(folder(name), path), "utf8")))
          .filter((found) => !declared.has(found))
        expect([...new Set(missing)]).toEqual([])
      })
    )

    it.effect(`${name} holds sources and builds, and no more`, () =>
      Effect.gen(function* () {
        const { folder, workspace } = yield* Packed
        const held = filesIn(folder(name))
        expect(held).toContain("dist/index.js")
        expect(held).toContain("dist/index.d.ts")
        const top = new Set(held.map((path) => path.split("/")[0] ?? ""))
        expect([...top].filter((entry) => !/^(src|dist|package\.json|README.*|LICENSE.*)$/.test(entry))).toEqual([])
        expect(held.filter((path) => /(^|\/)test\/|\.test\.|\.tsbuildinfo$/.test(path))).toEqual([])
        const telling = held.filter((path) => {
          const text = Fs.readFileSync(join(folder(name), path), "utf8")
          return text.includes(workspace) || text.includes(root)
        })
        expect(telling).toEqual([])
      })
    )
  }
})
