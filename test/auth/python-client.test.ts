/**
 * A client of another language that refreshes its rights by hand.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { python, requires } from "../support/peers.ts"
import { serve } from "../support/serve.ts"
import { makeDesk, token } from "./desk.ts"

const script = fileURLToPath(new URL("refresh_client.py", import.meta.url))

/** The results of the script, by check. */
const run = (url: string, ...tokens: ReadonlyArray<string>): Effect.Effect<Record<string, unknown>> =>
  Effect.promise(async () => {
    const child = spawn(python, [script, url, ...tokens], { stdio: ["ignore", "pipe", "pipe"] })
    let [out, errors] = ["", ""]
    child.stdout.on("data", (chunk: Buffer) => (out += chunk))
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk))
    const watchdog = setTimeout(() => child.kill("SIGKILL"), 25_000)
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve))
    clearTimeout(watchdog)
    assert.strictEqual(code, 0, errors)
    const checks = out.split("\n").filter((line) => line.startsWith("{"))
    return Object.fromEntries(checks.map((line) => JSON.parse(line)).map(({ check, value }) => [check, value]))
  })

describe("python-socketio", requires("python-socketio"), () => {
  it.live("is told of the end of its rights, and refreshes them with an event", () =>
    Effect.gen(function* () {
      const { layer } = yield* makeDesk()
      const { url } = yield* serve(layer)
      const seen = yield* run(
        url,
        token({ name: "ada", rooms: ["a"], in: 4_000, notice: 3_000 }),
        token({ name: "ada", rooms: ["b"] }),
        token({ name: "nobody" })
      )
      assert.deepStrictEqual(seen, {
        first: "ada of a",
        notice: ["expiresIn"],
        refused: { _tag: "Failure", error: { _tag: "ConnectRefused", message: "who?" } },
        refreshed: { _tag: "Success", value: {} },
        second: "ada of b"
      })
    })
  )
})
