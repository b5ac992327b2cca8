/**
 * Generated input that is different every time, for as long as one likes:
 *
 *     npm run hostile                                # 5 minutes
 *     npm run hostile -- --minutes 60
 *     npm run hostile -- --seed 12345                # a round that has failed, again
 *
 * Every round has a seed, which it prints, and pours its input into servers in memory and, over real connections, into servers in
 * processes of their own: on Node, which have everything that a server has on request, too, and on Bun and Deno where these are installed.
 * Clients of this library get it from a hostile server.
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"

import { Attack, type Census } from "./attack.ts"
import { type Entrances, entrances as others } from "./entrances.ts"
import { featureEntrances } from "./featureEntrances.ts"
import { entrances, pour } from "./memory.ts"
import { Progress } from "../support/progress.ts"
import { visited } from "./visit.ts"
import { isInstalled, type Runtime, runtimes } from "../support/runtimePrograms.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string" },
    inputs: { type: "string", default: "20000" }
  }
})
const inputs = Number(values.inputs)

const MARGIN = 15_000_000

/**
 * What servers keep for minutes, within bounds of its own: streams of clients (64 MiB on each of two servers at the most, of which
 * these inputs make a part), sessions that may be recovered, answers of messages that are handled once.
 */
const KEPT = 100_000_000

const until = performance.now() + Number(values.minutes) * 60_000

/** A round that is run again ends with its last step. */
const progress = new Progress(
  values.seed === undefined
    ? { duration: until - performance.now() }
    : { steps: entrances.length + Object.keys({ ...others, ...featureEntrances }).length + 2 }
)

const pourInto = async (attack: Attack, seed: number, all: Entrances): Promise<void> => {
  for (const [name, entrance] of Object.entries(all)) {
    progress.step(`seed ${seed}, over connections: ${name}`)
    const began = performance.now()
    await entrance(attack, inputs / 100)
    await attack.check()
    progress.print(`  ${name}: ${inputs / 100} inputs, ${((performance.now() - began) / 1_000).toFixed(1)} s`)
  }
}

/** What is left when everybody but the bystander has gone: no session, and no bug was logged. */
const restOf = async (attack: Attack): Promise<Census> => {
  const census = await attack.rest()
  await attack.check()
  const { bugs, sessions } = census
  if (bugs.length > 0) throw new Error(bugs[0])
  if (sessions !== 1) throw new Error(`${sessions - 1} sessions are left`)
  return census
}

/** The same on a platform of the fetch API, whose own parser of HTTP is not what this is about. */
const onRuntime = async (seed: number, runtime: Runtime): Promise<void> => {
  progress.print(`  on ${runtime.name}:`)
  const attack = await Attack.start(seed, runtime)
  try {
    await attack.bodies(inputs / 20)
    await attack.messages(inputs / 20)
    // Their connections end with some refusals, so they answer no more requests that were sent ahead.
    const { "headers of origins and proxies": _, ...rest } = others
    await pourInto(attack, seed, rest)
    await restOf(attack)
  } finally {
    await attack.stop()
  }
}

const inMemory = async (seed: number): Promise<void> => {
  for (const entrance of entrances) {
    progress.step(`seed ${seed}, in memory: ${entrance}`)
    const { closed, growth } = await Effect.runPromise(pour(entrance, seed, inputs))
    progress.print(
      `  ${entrance}: ${inputs} inputs, ${closed} connections closed, memory ${(growth / 1e6).toFixed(1)} MB`
    )
    if (growth > MARGIN) throw new Error(`memory has grown by ${growth} bytes`)
  }
}

const overConnections = async (seed: number): Promise<void> => {
  progress.step(`seed ${seed}, over connections: requests and messages`)
  const attack = await Attack.start(seed)
  try {
    await attack.bodies(300)
    await attack.messages(300)
    const before = await attack.rest()
    const statuses = await attack.queries(inputs)
    await attack.garbage(100)
    const [bodies, messages] = [await attack.bodies(inputs / 10), await attack.messages(inputs / 10)]
    await pourInto(attack, seed, others)
    const { memory } = await restOf(attack)
    const answers = Array.from(statuses, ([status, count]) => `${count} times ${status}`).join(", ")
    progress.print(
      `  connections: ${answers}; ${bodies} sessions and ${messages} WebSockets closed, ${attack.lateness.length} late`
    )
    if (memory - before.memory > MARGIN) throw new Error(`memory has grown by ${memory - before.memory} bytes`)
    await pourInto(attack, seed, featureEntrances)
    const { memory: kept } = await restOf(attack)
    if (kept - memory > KEPT) throw new Error(`what is kept for a while has grown by ${kept - memory} bytes`)
  } finally {
    await attack.stop()
  }
}

/** Clients of this library, at a server that is the attacker. */
const atClients = async (seed: number): Promise<void> => {
  progress.step(`seed ${seed}, clients of a hostile server`)
  const visits = await visited(seed, inputs / 20)
  progress.print(`  clients: ${visits} visits to a hostile server`)
}

do {
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed)
  progress.print(`seed ${seed}`)
  await inMemory(seed)
  await overConnections(seed)
  await atClients(seed)
  for (const name of ["bun", "deno"] as const) {
    if (isInstalled(name)) await onRuntime(seed, runtimes[name])
    else progress.print(`  ${runtimes[name].name} is not installed, and left out`)
  }
} while (values.seed === undefined && performance.now() < until)
progress.end()
process.exit(0)
