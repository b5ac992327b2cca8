/**
 * Measures what an entrance costs: server, attacker and honest client are processes of their own.
 */
import { fileURLToPath } from "node:url"

import { now, quantile, type Role, sleep, start } from "../../bench/roles.ts"
import { type RuntimeName, runtimes } from "../../support/runtimePrograms.ts"
import { type Entrance, type Side, sideOf } from "./entrance.ts"
import type { Answers } from "./questions.ts"
import type { HostName, Ports } from "./hosts.ts"
import type { ServerPlan, Usage } from "./server.ts"

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** How often an attack takes turns with quiet. */
export const ROUNDS = 3

const QUIET = 500
const WARM_UP = 400
const LEAD = 200

/** How long sessions are opened before answers are timed: the first ones have expired then. */
const EXPIRING = 3_000

/** How long a process may take to answer beyond what it was asked to, in milliseconds. */
const PATIENCE = 20_000

/** The figures of an entrance. */
export interface Row {
  readonly entrance: Entrance
  /** Time of the server's processor per byte, in µs. */
  readonly perByte: number
  /** The same per connection or session that the attacker opened. */
  readonly perLife: number
  /** The bytes that the attacker sent per second. */
  readonly rate: number
  /** The honest client's p99 without the attack and with it, in milliseconds. */
  readonly quiet: number
  readonly attacked: number
  /**
   * The bytes that the server keeps per session, or per connection where there are more of them.
   */
  readonly held: number
  readonly sessions: number
  /** How often the attacker has opened a connection or a session. */
  readonly lives: number
  /** The errors. */
  readonly problem: string | undefined
}

const within = async <A>(millis: number, promise: Promise<A>): Promise<A> => {
  let timer: NodeJS.Timeout
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the server has not answered for ${PATIENCE / 1_000} s`)), millis)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

/** The runtimes of hosts that do not run in that of this script. */
export const RUNTIMES: { readonly [H in Side]?: RuntimeName } = {
  bun: "bun",
  deno: "deno",
  nodeInDeno: "node-on-deno"
}

/** The program of a host; none: that of this script. */
const runtimeOf = (host: HostName): ReadonlyArray<string> | undefined => {
  const runtime = RUNTIMES[host]
  return runtime === undefined ? undefined : runtimes[runtime].command
}

interface Window {
  readonly cpu: number
  readonly bytes: number
  readonly millis: number
  readonly answers: Answers
}

type Used = Usage & { readonly bytes: number }

/** Who is attacked, and by whom, for one entrance. */
interface Stage {
  readonly usage: (collects: boolean) => Promise<Used>
  /** What others notice, in so many milliseconds. */
  readonly ask: (millis: number) => Promise<Answers>
  readonly attack: (name: string) => Promise<void>
  readonly cease: () => Promise<{ readonly lives: number; readonly problem: string | undefined }>
  readonly end: () => Promise<void>
}

export class Bench {
  private readonly attacker: Role = start(pathOf("attacker.ts"), "attacker")
  private readonly honest: Role = start(pathOf("honest.ts"), "honest")
  private readonly seconds: number
  /** The latest figures of the honest client without an attack, by the side. */
  private readonly quiet = new Map<Side, ReadonlyArray<number>>()

  /** Each entrance is attacked for so many seconds. */
  constructor(seconds: number) {
    this.seconds = seconds
  }

  async stop(): Promise<void> {
    await Promise.all([this.attacker.stop(), this.honest.stop()])
  }

  /** A server under attack, and its honest client. */
  private async serverStage(entrance: Entrance): Promise<Stage> {
    const { expires, host = "node", recovers } = entrance
    const server = start(pathOf("server.ts"), "server", undefined, runtimeOf(host))
    try {
      const plan: ServerPlan = { host, recovers, expires }
      const ports: Ports = await within(3 * PATIENCE, server.ask("listen", plan))
      await within(PATIENCE, this.honest.ask("connect", ports.port))
      await server.ask("exclude")
      return {
        usage: async (collects) => {
          const used: Usage = await server.ask("usage", collects)
          return { ...used, bytes: used.bytes ?? (await this.attacker.ask("sent")) }
        },
        ask: (millis) => this.honest.ask("ask", millis),
        attack: (name) => this.attacker.ask("attack", { name, ports }),
        cease: () => this.attacker.ask("stop"),
        end: () => server.stop()
      }
    } catch (error) {
      await server.stop()
      throw error
    }
  }

  /** A client under attack, which is a client of an honest server, too. */
  private async clientStage({ malice }: Entrance): Promise<Stage> {
    const client = start(pathOf("client.ts"), "server")
    const honest = start(pathOf("honest.ts"), "honest")
    const end = async (): Promise<void> => void (await Promise.all([client.stop(), honest.stop()]))
    try {
      const [attacked, asked] = await Promise.all([this.attacker.ask("serve"), honest.ask("serve")])
      await within(PATIENCE, client.ask("connect", { attacked, asked, isPolling: malice!.isPolling === true }))
      return {
        usage: async (collects) => ({
          ...(await client.ask("usage", collects)),
          bytes: await this.attacker.ask("served")
        }),
        ask: (millis) => client.ask("ask", millis),
        attack: (name) => this.attacker.ask("send", name),
        cease: () => this.attacker.ask("cease"),
        end
      }
    } catch (error) {
      await end()
      throw error
    }
  }

  /** Who is attacked warms up with what is ordinary. */
  async measure(entrance: Entrance, ordinary: string, rounds = ROUNDS): Promise<Row> {
    const side = sideOf(entrance)
    const seen: Array<number> = []
    let lives = 0
    let problem: string | undefined
    const quiets: Array<Window> = []
    const attacks: Array<Window> = []
    const held: Array<number> = []
    let sessions = 0
    let stage: Stage | undefined
    const usage = (collects = false): Promise<Used> => within(PATIENCE, stage!.usage(collects))
    const listen = async (millis: number): Promise<Window> => {
      const [before, began] = [await usage(), now()]
      const answers = await within(PATIENCE + millis, stage!.ask(millis))
      const after = await usage()
      if (answers.disconnected !== undefined) problem ??= `the honest client was disconnected: ${answers.disconnected}`
      else if (answers.lost > 0) problem ??= `${answers.lost} questions of the honest client were not answered`
      return { cpu: after.cpu - before.cpu, bytes: after.bytes - before.bytes, millis: now() - began, answers }
    }
    /** Waits until the server has done what it was left with. */
    const settle = async (): Promise<void> => {
      for (let i = 0; i < 50; i++) {
        const before = await usage()
        await sleep(100)
        if ((await usage()).cpu - before.cpu < 30_000) return
      }
    }
    try {
      stage = await (side === "client" ? this.clientStage(entrance) : this.serverStage(entrance))
      await stage.attack(ordinary)
      await stage.ask(WARM_UP)
      await stage.cease()
      if (entrance.afterGrace === true) await sleep(2_000)
      await settle()
      const rest = await usage(true)
      for (let round = 0; round < rounds; round++) {
        const quiet = await listen(QUIET)
        quiets.push(quiet)
        seen.push(...quiet.answers.latencies)
        const [before, began] = [await usage(), now()]
        await stage.attack(entrance.name)
        await sleep((round === 0 ? 2 * LEAD : LEAD) + (entrance.expires === true ? EXPIRING : 0))
        const { answers } = await listen((this.seconds * 1_000) / ROUNDS)
        const after = await usage()
        const [cpu, bytes] = [after.cpu - before.cpu, after.bytes - before.bytes]
        attacks.push({ cpu, bytes, millis: now() - began, answers })
        if (round === rounds - 1) {
          const full = await usage(true)
          sessions = Math.max(full.sessions - 1, full.connections - 1, 1)
          held.push((full.memory - rest.memory) / sessions)
        }
        const outcome = await stage.cease()
        lives += outcome.lives
        problem ??= outcome.problem
        await settle()
      }
    } catch (error) {
      problem = (error as Error).message
      await stage?.cease()
    } finally {
      await stage?.end()
    }
    // Some seconds are enough: how quick a machine is may change.
    const quiet = [...(this.quiet.get(side) ?? []), ...seen].slice(-600)
    this.quiet.set(side, quiet)
    const idle = median(quiets.map(({ cpu, millis }) => cpu / millis))
    const { segment } = entrance
    const overhead = segment === undefined ? 1 : 1 + 40 / segment
    const sum = (of: (window: Window) => number): number => attacks.reduce((total, window) => total + of(window), 0)
    // A server that reads is given up to 64 KiB at once, which may keep it busy for longer than a
    // turn: turns are no use one by one.
    const spent = sum(({ cpu, millis }) => cpu - idle * millis)
    const bytes = sum((window) => window.bytes)
    return {
      entrance,
      perByte: Math.max(0, spent) / Math.max(1, bytes) / overhead,
      perLife: Math.max(0, spent) / Math.max(1, lives),
      rate: median(attacks.map(({ bytes, millis }) => (bytes * overhead * 1_000) / millis)),
      quiet: quantile(quiet, 0.99),
      attacked: median(attacks.map(({ answers }) => quantile(answers.latencies, 0.99))),
      held: median(held),
      sessions,
      lives,
      problem
    }
  }
}
