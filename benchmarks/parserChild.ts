/**
 * Bytes that a contender allocates for one stream, in a process of its own; prints them as JSON. The young generation is
 * so large that nothing is collected meanwhile, and what was used grows by what was allocated.
 */
import { PerformanceObserver } from "node:perf_hooks"
import { contenders } from "./parserContenders.ts"
import * as Streams from "./parserStreams.ts"

const [protocol = "", index = ""] = process.argv.slice(2)
const { gc } = globalThis
if (gc === undefined) throw new Error("parserChild: run it with --expose-gc")

const recording = Streams.recording(protocol as Streams.ProtocolName)
const contender = (await contenders(recording))[Number(index)]
if (contender === undefined) throw new Error(`parserChild: there is no contender ${index} for ${protocol}`)

const turn = () => new Promise((resolve) => setImmediate(resolve))
const used = () => {
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

// Code that is compiled late allocates otherwise than it will.
for (let i = 0; i < 40; i++) await contender.run()

/** Collects until that changes nothing more. */
const settle = async () => {
  for (let last = Number.POSITIVE_INFINITY, now = used(); now < last - 1_000; ) {
    last = now
    await turn()
    gc()
    gc()
    now = used()
  }
}

const seen: Array<number> = []
for (let round = 0; round < 9; round++) {
  await settle()
  const observer = new PerformanceObserver(() => {})
  observer.observe({ entryTypes: ["gc"] })
  const before = used()
  await contender.run()
  const bytes = used() - before
  // What was collected is told a turn later.
  await turn()
  await turn()
  const collected = observer.takeRecords().length
  observer.disconnect()
  if (collected === 0) seen.push(bytes)
}
if (seen.length < 3) throw new Error("parserChild: something was collected in most rounds")
seen.sort((a, b) => a - b)
console.log(JSON.stringify({ bytes: seen[Math.floor(seen.length / 2)] }))
