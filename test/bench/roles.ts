/**
 * Servers and clients in processes of their own, for measurements: a script starts itself once per role, and asks each.
 */
import { fork } from "node:child_process"

import { loadProcessor, pin, serverProcessor } from "./processors.ts"

type Answers = Readonly<Record<string, (argument: any) => unknown>>

/** The answers of a process of a role to questions, until its parent has ended. */
export const answer = (answers: Answers): void => {
  process.on("message", async ({ argument, id, question }: { id: number; question: string; argument: unknown }) => {
    const value = await answers[question]!(argument)
    process.send?.({ id, value })
  })
  process.on("disconnect", () => process.exit(0))
}

/** A process of a role. */
export interface Role {
  readonly ask: (question: string, argument?: unknown) => Promise<any>
  readonly stop: () => Promise<void>
}

/** The size of the young generation, in MB: that of a server is Node's own, what measures is not to be collected while it does. */
const YOUNG = { server: 16, other: 64 }

/**
 * Starts the script itself in a role. The role "server" has a processor for itself, where there are two. The young generation (`young`
 * MB) has its full size from the beginning: that it grows is not what is measured. On one processor, helpers of the collector would
 * take turns with it, and make its pauses longer. Another runtime than Node (its program, and arguments) runs as it does by itself.
 */
export const start = (
  script: string,
  role: string,
  young = role === "server" ? YOUNG.server : YOUNG.other,
  runtime?: ReadonlyArray<string>
): Role => {
  const size = [`--min-semi-space-size=${young}`, `--max-semi-space-size=${young}`]
  const [execPath = process.execPath, ...execArgv] = runtime ?? [
    process.execPath,
    "--expose-gc",
    "--no-warnings",
    "--no-parallel-scavenge",
    ...size
  ]
  const child = fork(script, [role], { execPath, execArgv })
  pin(child.pid!, role === "server" ? serverProcessor : loadProcessor)
  const waiting = new Map<number, (value: unknown) => void>()
  let ids = 0
  child.on("message", ({ id, value }: { id: number; value: unknown }) => {
    waiting.get(id)?.(value)
    waiting.delete(id)
  })
  const closed = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  return {
    ask: (question, argument) =>
      new Promise((resolve, reject) => {
        void closed.then(() => reject(new Error(`the process "${role}" has ended`)))
        const id = ids++
        waiting.set(id, resolve)
        child.send({ id, question, argument })
      }),
    stop: () => {
      child.kill()
      return closed
    }
  }
}

/** Settings from the command line, as in `--clients 100`. */
export const settings = <S extends Record<string, number | string>>(defaults: S): S => {
  const result: Record<string, number | string> = { ...defaults }
  for (let i = 2; i + 1 < process.argv.length; i += 2) {
    const name = process.argv[i]!.replace(/^--/, "")
    const value = process.argv[i + 1]!
    if (!(name in defaults)) throw new Error(`unknown setting ${name}: there are ${Object.keys(defaults).join(", ")}`)
    result[name] = typeof defaults[name] === "number" ? Number(value) : value
  }
  return result as S
}

/** The same clock in all processes of a machine, in milliseconds. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

export const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** A value below which the given part of the samples is. */
export const quantile = (samples: ReadonlyArray<number>, part: number): number =>
  Float64Array.from(samples).toSorted()[Math.min(samples.length - 1, Math.floor(samples.length * part))] ?? Number.NaN

/** Prints a table: a title for every row, and a value for every column. */
export const table = (
  columns: ReadonlyArray<string>,
  rows: ReadonlyArray<readonly [string, ...Array<string>]>
): void => {
  const all = [["", ...columns], ...rows]
  const widths = all[0]!.map((_, i) => Math.max(...all.map((row) => row[i]!.length)))
  for (const row of all) {
    console.log(row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "))
  }
}

/** Says whether something holds, and fails the script where it does not. */
export const check = (what: string, holds: boolean): void => {
  console.log(`${holds ? "ok  " : "NOT "} ${what}`)
  if (!holds) process.exitCode = 1
}
