import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { folder, run } from "./support/run.ts"

const slow = 60_000

it.live(
  "status asks every instance once and shows how all stands, without a key or a network",
  () =>
    Effect.gen(function* () {
      const text = yield* run(["status", "--env", "embedded"])
      expect([text.code, text.stderr]).toEqual([0, ""])
      expect(text.stdout).toMatch(/^0 in flight {2}/)
      expect(text.stdout).toMatch(/^openai-gpt4 +healthy +ready /m)
      expect(text.stdout).toMatch(/^fast_pool /m)
      expect(text.stdout).toMatch(/^pool_wrapper /m)
      expect(text.stdout).not.toContain("\u001b")
      const json = yield* run(["status", "--env", "embedded", "--json"])
      const { instances, pools } = JSON.parse(json.stdout)
      expect(instances).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ instance: "openai-gpt4", health: "healthy", state: "ready" })
        ])
      )
      expect(pools.map(({ pool }: { pool: string }) => pool)).toContain("fast_pool")
    }),
  slow
)

it.live(
  "an instance that cannot be reached is unhealthy: status says why, fails when it is strict, and shows no key",
  () =>
    Effect.gen(function* () {
      const config = yield* folder({
        "llms/provider/p.toml":
          'name = "p"\nkind = "openai"\nbase_url = "http://127.0.0.1:1/v1"\napi_key = "$' +
          '{PLANTED_KEY}"\n[models.m]\nmodel = "m"\n',
        "llms/groups/g.toml": 'name = "g"\n[echelon1]\nmodels = ["p-m"]\n',
        "llms/polling_pools/pool.toml": 'name = "pool"\ntask_groups = ["g"]\n'
      })
      const env = { PLANTED_KEY: "sk-planted-secret" }
      const lenient = yield* run(["status", "--config", config], { env })
      expect([lenient.code, lenient.stderr]).toEqual([0, expect.stringMatching(/^p-m is unhealthy: /m)])
      expect(lenient.stdout).toMatch(/^p-m +unhealthy /m)
      const strict = yield* run(["status", "--config", config, "--strict", "--json"], { env })
      expect(strict.code).toBe(1)
      for (const { stderr, stdout } of [lenient, strict]) expect(stdout + stderr).not.toContain("planted")
    }),
  slow
)

it.live(
  "top prints plain tables on a pipe, so many as are asked for, with the demo's requests in them",
  () =>
    Effect.gen(function* () {
      const top = yield* run(["top", "--demo", "--json", "--count", "3", "--interval", "1s"])
      expect([top.code, top.stderr]).toEqual([0, ""])
      const tables = top.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
      expect(tables.length).toBe(3)
      const answered = tables.map(({ instances }: { instances: ReadonlyArray<{ answered: number }> }) =>
        instances.reduce((sum, one) => sum + one.answered, 0)
      )
      expect(answered[2]).toBeGreaterThan(5)
      expect(tables[2].costUsd).toBeGreaterThan(0)
      expect(tables[2].pools[0].perSecond).toBeGreaterThan(0)
    }),
  slow
)

it.live(
  "top goes on until it is interrupted, and then ends at once",
  () =>
    Effect.gen(function* () {
      const top = yield* run(["top", "--env", "embedded", "--interval", "200ms"], {
        untilStdout: /(in flight(.|\n)*){3}/
      })
      expect([top.code, top.stderr]).toEqual([130, ""])
      expect(top.stdout.match(/^0 in flight/gm)?.length).toBeGreaterThanOrEqual(3)
      expect(top.stdout).not.toContain("\u001b")
    }),
  slow
)

it.live(
  "wrong use exits 2 and says what is right; a configuration that is wrong exits 1",
  () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, number, string]> = [
        [["top", "--interval", "never"], 2, "--interval must be a length of time"],
        [["top", "--interval", "1ms"], 2, "from 100ms"],
        [["top", "--count", "0"], 2, "--count must be 1 or above"],
        [["top", "--once", "--count", "2"], 2, "--once and --count exclude each other"],
        [["top", "--demo", "--env", "production"], 2, "--demo runs with --env embedded"],
        [["top", "--once", "--config", "no-such-folder"], 1, "no-such-folder"],
        [["status", "--config", "no-such-folder"], 1, "no-such-folder"]
      ]
      for (const [args, code, message] of cases) {
        const ended = yield* run(args)
        expect([args, ended.code, ended.stdout]).toEqual([args, code, ""])
        expect(ended.stderr).toContain(message)
        expect(ended.stderr).not.toContain("    at ")
      }
      const help = yield* run(["top", "--help"])
      expect([help.code, help.stderr]).toEqual([0, ""])
      expect(help.stdout).toContain("echelon top --demo")
    }),
  slow
)
