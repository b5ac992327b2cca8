/**
 * The example of a cluster, run as its comment says: Redis, nginx and three nodes.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { startExample } from "../support/examples.ts"
import { requires } from "../support/peers.ts"
import { request } from "../support/RawClient.ts"
import { call, connect, next } from "../support/serve.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "example-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Both are needed: one that is missing is named. */
const programs = [requires("nginx"), requires("Redis")]

describe("the example of a cluster", programs.find(({ skip }) => skip) ?? programs[0]!, () => {
  it.live(
    "reaches all clients through a balancer that takes turns, and leaves nothing",
    () =>
      Effect.gen(function* () {
        const TMPDIR = yield* folder
        const example = yield* Effect.acquireRelease(
          Effect.sync(() => startExample("cluster/main.ts", [], { TMPDIR })),
          (running) => Effect.promise(() => running.stop())
        )
        const listening = /the cluster is listening on (http:.*)/
        yield* Effect.promise(() => example.printed(listening, 60_000))
        const url = listening.exec(example.output())![1]!
        const pids = Array.from(example.output().matchAll(/node \w is the process (\d+)/g), ([, pid]) => Number(pid))
        assert.strictEqual(pids.length, 3)
        assert.include((yield* Effect.promise(() => request(`${url}/`))).body, "<title>A cluster</title>")

        const enter = Effect.fnUntraced(function* (transports: Array<string>) {
          let node = ""
          const socket = yield* connect(url, { transports }, (socket) => {
            socket.once("welcome", (name: string) => (node = name))
          })
          // The first message of a node comes first.
          yield* call(socket, "clients")
          return { node, socket }
        })
        // One request each: they are on three nodes.
        const sockets = [["websocket"], ["websocket"], ["websocket"]]
        const clients = yield* Effect.forEach([...sockets, ["polling"], ["polling"], ["polling", "websocket"]], enter)
        const counts: Record<string, number> = {}
        for (const { node } of clients) counts[node] = (counts[node] ?? 0) + 1
        assert.sameMembers(Object.keys(counts), ["a", "b", "c"])
        const polling = clients[3]!
        assert.deepStrictEqual(yield* call(polling.socket, "clients"), counts)

        const said = clients.map(({ socket }) => next(socket, "said"))
        const ticked = clients.map(({ socket }) => next(socket, "clock"))
        polling.socket.emit("say", "hello")
        for (const heard of said) assert.deepStrictEqual(yield* heard, [polling.node, "hello"])
        for (const heard of ticked) assert.isNumber((yield* heard)[0])

        assert.strictEqual(yield* Effect.promise(() => example.stop()), 130)
        assert.deepStrictEqual(readdirSync(TMPDIR), [])
        assert.deepStrictEqual(pids.filter(isRunning), [])
      }),
    120_000
  )
})

describe("the example of a cluster without its programs", () => {
  it.live("says what to install", () =>
    Effect.gen(function* () {
      const example = startExample("cluster/main.ts", [], { PATH: "" })
      assert.strictEqual(yield* Effect.promise(() => example.ended()), 1)
      assert.match(example.output(), /needs redis-server and nginx: .*apt-get install/)
    })
  )
})
