/**
 * Clients of this library at a server that is hostile for a while, and then an official one: they
 * live, and have their answers.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

import { within } from "../support/RawClient.ts"
import { pause } from "./entrances.ts"
import { Generator } from "./generators.ts"
import { HostileHost } from "./hostileHost.ts"

interface Report {
  readonly bugs: ReadonlyArray<string>
  /** The answers since the last report, for each way to connect. */
  readonly answers: ReadonlyArray<number>
  readonly memory: number
}

/** The memory in bytes that clients may have kept of what was sent to them: their cookies and what they have loaded. */
const MARGIN = 15_000_000

/** Attacks clients until they have come so many times. Fails if anything is wrong with them in the end. */
export const visited = async (seed: number, visits: number): Promise<number> => {
  const host = new HostileHost(new Generator(seed))
  const entry = fileURLToPath(new URL("visitor.ts", import.meta.url))
  const child = spawn(process.execPath, [entry], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
  const ask = async (url?: string): Promise<Report> => {
    if (child.exitCode !== null) throw new Error(`the clients' process has ended with ${child.exitCode}`)
    const answered = once(child, "message")
    child.send({ url })
    const [report] = (await within("report of the clients", answered, 20_000)) as [Report]
    if (report.bugs.length > 0) throw new Error(report.bugs[0])
    return report
  }
  try {
    await within("start of the clients", once(child, "message"), 20_000)
    await ask(await host.listen())
    let before: number | undefined
    while (host.visits < visits) {
      const { visits: since } = host
      await pause(200)
      const { memory } = await ask()
      if (host.visits > visits / 4) before ??= memory
      if (host.visits === since) await within("return of a client", returned(host, since), 10_000)
    }
    host.calm()
    await ask()
    const answered = async (): Promise<void> => {
      await pause(100)
      const { answers } = await ask()
      if (answers.some((count) => count === 0)) await answered()
    }
    await within("answers to every client", answered(), 20_000)
    const growth = (await ask()).memory - before!
    if (growth > MARGIN) throw new Error(`the clients' memory has grown by ${growth} bytes`)
    return host.visits
  } finally {
    child.kill("SIGKILL")
    await host.close()
  }
}

const returned = async (host: HostileHost, since: number): Promise<void> => {
  while (host.visits === since) await pause(20)
}
