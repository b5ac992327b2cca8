/**
 * A link between server and clients that breaks, with nobody there to say so: between two network namespaces.
 */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { requires } from "../support/peers.ts"

interface Line {
  readonly who: string
  readonly event: string
  readonly at: number
}

const run = (how: string): Effect.Effect<ReadonlyArray<Line>> =>
  Effect.callback((resume) => {
    const script = fileURLToPath(new URL("linkDown.ts", import.meta.url))
    const child = execFile(
      "unshare",
      ["--user", "--map-root-user", "--net", "--kill-child", process.execPath, script],
      { env: { ...process.env, HOW: how, NO_COLOR: "1" }, timeout: 40_000 },
      (error, stdout, stderr) => {
        if (error !== null) return resume(Effect.die(new Error(`${error.message}\n${stdout}\n${stderr}`)))
        const lines = stdout.split("\n").filter((line) => line.startsWith("{"))
        resume(Effect.succeed(lines.map((line) => JSON.parse(line) as Line)))
      }
    )
    return Effect.sync(() => child.kill())
  })

const ENDS = [
  "our client, polling",
  "our client, websocket",
  "official client, polling",
  "official client, websocket",
  "server, polling",
  "server, polling",
  "server, websocket",
  "server, websocket"
].toSorted()

// Both are one second there.
const PING_INTERVAL_AND_TIMEOUT = 2_000

describe("a link", requires("network namespaces"), () => {
  for (const how of ["goes down", "loses everything"]) {
    it.live(
      `that ${how} is noticed on both ends within a second of the heartbeat's time, and clients come back when it works again`,
      () =>
        Effect.gen(function* () {
          const lines = yield* run(how)
          const at = (event: string) => lines.findIndex((line) => line.who === "link" && line.event === event)
          const [broken, mended] = [at("breaks"), at("works again")]
          const ends = (from: number, to?: number) => lines.slice(from + 1, to)
          const who = (lines: ReadonlyArray<Line>) => lines.map(({ who }) => who).toSorted()

          const noticed = ends(broken, mended)
          assert.deepStrictEqual(who(noticed), ENDS)
          for (const { at, event, who } of noticed) {
            assert.strictEqual(event, "ping timeout", who)
            assert.isAtMost(at - lines[broken]!.at, PING_INTERVAL_AND_TIMEOUT + 1_000, who)
          }
          const back = ends(mended).filter(({ event }) => event === "connected")
          assert.deepStrictEqual(who(back), ENDS)
        }),
      50_000
    )
  }
})
