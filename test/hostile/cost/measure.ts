/**
 * Measures what an entrance costs: server, attacker and honest client are processes of their own.
 */
import { fileURLToPath } from "node:url"

import { now, quantile, type Role, sleep, start } from "../../bench/roles.ts"
import type { Entrance } from "./entrance.ts"
import type { Answers } from "./honest.ts"
import type { Usage } from "./server.ts"

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** How often an attack takes turns with quiet. */
const ROUNDS = 3

const QUIET = 500
const WARM_UP = 400
const LEAD = 200

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

interface Window {
  readonly cpu: number
  readonly bytes: number
  readonly millis: number
  readonly answers: Answers
}

export class Bench {
  private readonly attacker: Role = start(pathOf("attacker.ts"), "attacker")
  private readonly honest: Role = start(pathOf("honest.ts"), "honest")
  private readonly seconds: number
  private readonly ordinary: string
  /** The latest figures of the honest client without an attack. */
  private quiet: Array<number> = []

  /** Each entrance is attacked for so many seconds; servers warm up with what is ordinary. */
  constructor(seconds: number, ordinary: string) {
    this.seconds = seconds
    this.ordinary = ordinary
  }

  async stop(): Promise<void> {
    await Promise.all([this.attacker.stop(), this.honest.stop()])
  }

  async measure(entrance: Entrance): Promise<Row> {
    const server = start(pathOf("server.ts"), "server")
    let lives = 0
    let problem: string | undefined
    const quiets: Array<Window> = []
    const attacks: Array<Window> = []
    const held: Array<number> = []
    let sessions = 0
    const usage = (collects = false): Promise<Usage> => within(PATIENCE, server.ask("usage", collects))
    const listen = async (millis: number): Promise<Window> => {
      const [before, began] = [await usage(), now()]
      const answers: Answers = await within(PATIENCE + millis, this.honest.ask("ask", millis))
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
      const port: number = await within(3 * PATIENCE, server.ask("listen", entrance.recovers))
      await within(PATIENCE, this.honest.ask("connect", port))
      await server.ask("exclude")
      await this.attacker.ask("attack", { name: this.ordinary, port })
      await this.honest.ask("ask", WARM_UP)
      await this.attacker.ask("stop")
      if (entrance.afterGrace === true) await sleep(2_000)
      await settle()
      const rest = await usage(true)
      for (let round = 0; round < ROUNDS; round++) {
        const quiet = await listen(QUIET)
        quiets.push(quiet)
        this.quiet.push(...quiet.answers.latencies)
        const [before, began] = [await usage(), now()]
        await this.attacker.ask("attack", { name: entrance.name, port })
        await sleep(round === 0 ? 2 * LEAD : LEAD)
        const { answers } = await listen((this.seconds * 1_000) / ROUNDS)
        const after = await usage()
        const [cpu, bytes] = [after.cpu - before.cpu, after.bytes - before.bytes]
        attacks.push({ cpu, bytes, millis: now() - began, answers })
        if (round === ROUNDS - 1) {
          const full = await usage(true)
          sessions = Math.max(full.sessions - 1, full.connections - 1, 1)
          held.push((full.memory - rest.memory) / sessions)
        }
        const outcome = await this.attacker.ask("stop")
        lives += outcome.lives
        problem ??= outcome.problem
        await settle()
      }
    } catch (error) {
      problem = (error as Error).message
      await this.attacker.ask("stop")
    } finally {
      await server.stop()
    }
    // Some seconds are enough: how quick a machine is may change.
    this.quiet = this.quiet.slice(-600)
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
      quiet: quantile(this.quiet, 0.99),
      attacked: median(attacks.map(({ answers }) => quantile(answers.latencies, 0.99))),
      held: median(held),
      sessions,
      lives,
      problem
    }
  }
}
