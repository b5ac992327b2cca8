/**
 * Generated input that is different every time, for as long as one likes:
 *
 *     npm run hostile                                # 5 minutes
 *     npm run hostile -- --minutes 60
 *     npm run hostile -- --seed 12345                # a round that has failed, again
 *
 * Every round has a seed, which it prints, and pours its input into servers in memory and, over real connections, into one in a process
 * of its own.
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"

import { Attack } from "./attack.ts"
import { entrances as others } from "./entrances.ts"
import { entrances, pour } from "./memory.ts"
import { Progress } from "../support/progress.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string" },
    inputs: { type: "string", default: "20000" }
  }
})
const inputs = Number(values.inputs)

const MARGIN = 15_000_000

const until = performance.now() + Number(values.minutes) * 60_000

/** A round that is run again ends with its last step. */
const progress = new Progress(
  values.seed === undefined
    ? { duration: until - performance.now() }
    : { steps: entrances.length + Object.keys(others).length + 1 }
)

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
    for (const [name, entrance] of Object.entries(others)) {
      progress.step(`seed ${seed}, over connections: ${name}`)
      const began = performance.now()
      await entrance(attack, inputs / 100)
      await attack.check()
      progress.print(`  ${name}: ${inputs / 100} inputs, ${((performance.now() - began) / 1_000).toFixed(1)} s`)
    }
    const { bugs, memory, sessions } = await attack.rest()
    await attack.check()
    const answers = Array.from(statuses, ([status, count]) => `${count} times ${status}`).join(", ")
    progress.print(
      `  connections: ${answers}; ${bodies} sessions and ${messages} WebSockets closed, ${attack.lateness.length} late`
    )
    if (bugs.length > 0) throw new Error(bugs[0])
    if (sessions !== 1) throw new Error(`${sessions - 1} sessions are left`)
    if (memory - before.memory > MARGIN) throw new Error(`memory has grown by ${memory - before.memory} bytes`)
  } finally {
    await attack.stop()
  }
}

do {
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed)
  progress.print(`seed ${seed}`)
  await inMemory(seed)
  await overConnections(seed)
} while (values.seed === undefined && performance.now() < until)
progress.end()
process.exit(0)
