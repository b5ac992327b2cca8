import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

import { assert, beforeAll, describe, it } from "@effect/vitest"

import { python, requires } from "../support/peers.ts"
import { sharedServer } from "../support/servers.ts"

const script = fileURLToPath(new URL("python_client.py", import.meta.url))

// Several heartbeats fit into a run.
const server = sharedServer({ pingInterval: 400, pingTimeout: 2_000 })

const KINDS = ["sync", "async"] as const

const WAYS = [
  ["polling", "polling", "polling"],
  ["WebSocket", "websocket", "websocket"],
  ["an upgrade", "polling,websocket", "websocket"]
] as const

/** The results of the script, by check. */
const run = async (kind: string, transports: string): Promise<Record<string, unknown>> => {
  const { url } = await server()
  const child = spawn(python, [script, url, kind, transports], { stdio: ["ignore", "pipe", "pipe"] })
  let [out, errors] = ["", ""]
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk
  })
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk
  })
  const watchdog = setTimeout(() => child.kill("SIGKILL"), 50_000)
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve))
  clearTimeout(watchdog)
  const checks = out
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line))
  assert.strictEqual(code, 0, `the script has failed after ${checks.length} checks: ${errors}`)
  return Object.fromEntries(checks.map(({ check, value }) => [check, value]))
}

const bytes = (...values: ReadonlyArray<number>) => ({ bytes: values })

const expected: Record<string, unknown> = {
  auth: [{ token: "py" }],
  message: [1, "zwei", { drei: [null, true] }],
  ack: ["a", { b: 1 }],
  binary: [bytes(1, 2), { nested: [bytes(3)] }],
  "binary ack": { data: bytes(4) },
  "server asks": ["wie", { again: "wie" }],
  "server asks with binary": [bytes(5), { again: bytes(5) }],
  namespace: ["custom"],
  large: true,
  room: ["hello", bytes(6)],
  "still there": "still there",
  "left by the server": ["custom"],
  "other namespace stays": 1,
  refused: [{ message: "not authorized", data: { code: 401, need: "token" } }],
  admitted: "in"
}

/** All runs at once: most of their time is the heartbeats that they wait for. */
const start = () => {
  const runs = new Map<string, Promise<Record<string, unknown>>>()
  for (const kind of KINDS) {
    for (const [name, transports] of WAYS) {
      const seen = run(kind, transports)
      seen.catch(() => {})
      runs.set(`${kind} ${name}`, seen)
    }
  }
  return runs
}
let runs: ReturnType<typeof start> | undefined

for (const kind of KINDS) {
  for (const [name, , last] of WAYS) {
    describe(`python-socketio (${kind} client) over ${name}`, requires("python-socketio"), () => {
      let seen: Record<string, unknown> = {}
      beforeAll(async () => {
        seen = await (runs ??= start()).get(`${kind} ${name}`)!
      })
      for (const [check, value] of Object.entries({ ...expected, transport: last })) {
        it(check, () => {
          assert.deepStrictEqual(seen[check], value)
        })
      }
    })
  }
}
