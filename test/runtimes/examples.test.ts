/**
 * The examples of frameworks for Bun and Deno, run there as their comments say.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { runExample } from "../support/examples.ts"
import { type Peer, requires } from "../support/peers.ts"
import { request } from "../support/RawClient.ts"
import { type RuntimeName, runtimes } from "../support/runtimePrograms.ts"
import { connect, next } from "../support/serve.ts"

const examples: ReadonlyArray<readonly [example: string, framework: string, RuntimeName, Peer]> = [
  ["hono.ts", "Hono", "bun", "Bun"],
  ["hono.ts", "Hono", "deno", "Deno"],
  ["elysia.ts", "Elysia", "bun", "Bun"]
]

for (const [name, framework, runtime, peer] of examples) {
  describe(`${name} on ${peer}`, requires(peer), () => {
    it.live(`answers for ${framework} and for Socket.IO on one port`, () =>
      Effect.gen(function* () {
        const running = yield* Effect.acquireRelease(
          Effect.promise(() => runExample(name, {}, runtimes[runtime].command)),
          (running) => Effect.promise(() => running.stop())
        )
        const { body } = yield* Effect.promise(() => request(running.url))
        assert.strictEqual(body, `hello from ${framework}`)
        for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
          const socket = yield* connect(running.url, { transports })
          const echo = next(socket, "echo")
          socket.emit("echo", 1, Buffer.from([2]))
          assert.deepStrictEqual(yield* echo, [1, Buffer.from([2])])
        }
      })
    )
  })
}
