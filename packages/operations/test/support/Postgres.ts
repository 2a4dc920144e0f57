import { execFileSync, type SpawnOptions, spawn } from "node:child_process"
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"

/** A Postgres server of this test run. */
export interface Postgres {
  readonly password: string
  /** The address of a new, empty database. */
  readonly fresh: () => string
  readonly stop: () => Promise<void>
  /** Ends the server as a power cut would, and starts it anew on the same files. */
  readonly crash: () => Promise<void>
}

const debian = "/usr/lib/postgresql"

const binaries = (): string | undefined => {
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...versions.map((version) => join(debian, version, "bin")),
    ...(process.env["PATH"] ?? "").split(delimiter)
  ]
  return folders.find((folder) => ["initdb", "postgres", "psql"].every((name) => existsSync(join(folder, name))))
}

/** Who runs the server: it refuses to be run by root. */
const account = (): { readonly uid: number; readonly gid: number } | undefined => {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

const install = (): string | undefined => {
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) return undefined
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
    const options = { env, stdio: "ignore", timeout: 180_000 } as const
    execFileSync("apt-get", ["install", "-y", "--no-install-recommends", "postgresql"], options)
  } catch {
    return undefined
  }
  return binaries()
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject()))
    })
  })

/** Starts a server of Debian's packages; `undefined`, with the reason printed, where there is none. */
export const start = async (): Promise<Postgres | undefined> => {
  const bin = binaries() ?? install()
  if (bin === undefined) {
    process.stdout.write("Postgres is not tested: its packages are neither installed nor could they be\n")
    return undefined
  }
  const user = account()
  const options: SpawnOptions & { encoding: "utf8" } = { ...user, cwd: tmpdir(), encoding: "utf8", stdio: "pipe" }
  const folder = mkdtempSync(join(tmpdir(), "echelon-postgres-"))
  const data = join(folder, "data")
  const password = `pg-secret-${folder.slice(-6)}`
  const passwordFile = join(folder, "password")
  writeFileSync(passwordFile, password)
  for (const path of [folder, passwordFile]) {
    chmodSync(path, 0o700)
    if (user !== undefined) chownSync(path, user.uid, user.gid)
  }
  const init = [
    "-D",
    data,
    "-U",
    "echelon",
    "-A",
    "scram-sha-256",
    `--pwfile=${passwordFile}`,
    "--locale=C.UTF-8",
    "-N"
  ]
  execFileSync(join(bin, "initdb"), init, options)
  const port = await freePort()
  const psql = (sql: string) =>
    execFileSync(
      join(bin, "psql"),
      ["-h", "127.0.0.1", "-p", String(port), "-U", "echelon", "-d", "postgres", "-qc", sql],
      {
        ...options,
        env: { ...process.env, PGPASSWORD: password }
      }
    )
  const run = async () => {
    const args = [
      "-D",
      data,
      "-h",
      "127.0.0.1",
      "-p",
      String(port),
      "-k",
      folder,
      "-c",
      "fsync=off",
      "-c",
      "max_connections=50"
    ]
    const server = spawn(join(bin, "postgres"), args, { ...options, stdio: ["ignore", "ignore", "pipe"] })
    // However this process ends, the server ends with it.
    const kill = () => server.kill("SIGKILL")
    process.once("exit", kill)
    server.once("exit", () => process.off("exit", kill))
    let log = ""
    const isReady = () => log.split("database system is ready to accept connections").length > 1
    await new Promise<void>((resolve, reject) => {
      server.stderr?.on("data", (chunk) => {
        log += chunk
        if (isReady()) resolve()
      })
      server.once("error", reject)
      server.once("exit", () => reject(new Error(`postgres did not start: ${log}`)))
    })
    return {
      end: (signal: NodeJS.Signals) =>
        new Promise<void>((resolve) => {
          server.once("exit", () => resolve())
          server.kill(signal)
        })
    }
  }
  let server = await run()
  let databases = 0
  return {
    password,
    fresh: () => {
      databases += 1
      psql(`CREATE DATABASE usage${databases}`)
      return `postgres://echelon:${password}@127.0.0.1:${port}/usage${databases}`
    },
    // Its "immediate" shutdown: nothing is finished, the log is replayed at the next start.
    crash: async () => {
      await server.end("SIGQUIT")
      server = await run()
    },
    stop: async () => {
      await server.end("SIGINT")
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
