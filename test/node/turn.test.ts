/**
 * The end of a turn of the event loop, in which everything is written: under fake timers, and when the process exits.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { vi } from "vitest"

import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { openClient, transports, within } from "../support/RawClient.ts"
import { connect, next, serve } from "../support/serve.ts"

describe("under fake timers", () => {
  // The official client's own polling needs timers: the peer is a raw one.
  for (const transport of transports) {
    it.live(`clients are answered over ${transport}, though no time passes`, () =>
      Effect.gen(function* () {
        const { url } = yield* serve(
          SocketIoServer.layerNamespace("/", (socket) => socket.on("ask", (n) => Effect.succeed(n)))
        )
        const client = yield* Effect.promise(() => openClient(transport, url))
        yield* Effect.promise(() => client.send("40"))
        assert.match(String(yield* Effect.promise(() => client.next())), /^40/)
        yield* Effect.acquireRelease(
          Effect.sync(() =>
            vi.useFakeTimers({
              toFake: ["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "performance", "Date"]
            })
          ),
          () => Effect.sync(() => vi.useRealTimers())
        )
        for (const n of [1, 2, 3]) {
          yield* Effect.promise(() => client.send(`42${n}["ask",${n}]`))
          assert.strictEqual(yield* Effect.promise(() => client.next()), `43${n}[${n}]`)
        }
        vi.useRealTimers()
        yield* Effect.promise(() => client.close())
      }).pipe(Effect.scoped)
    )
  }
})

describe("when the process exits", () => {
  /** A server in a process of its own, that says goodbye to who asks it to stop. */
  const start = Effect.acquireRelease(
    Effect.promise(async () => {
      const entry = fileURLToPath(new URL("../support/lastWord.ts", import.meta.url))
      const child = spawn(process.execPath, [entry], { stdio: ["ignore", "pipe", "inherit"] })
      const port = await within(
        "port of a server",
        new Promise<string>((resolve) =>
          child.stdout.once("data", (chunk: Buffer) => resolve(chunk.toString().trim()))
        ),
        20_000
      )
      return { child, url: `http://127.0.0.1:${port}` }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

  for (const transport of transports) {
    it.live(`what was emitted before arrives over ${transport}`, () =>
      Effect.gen(function* () {
        const { url } = yield* start
        const client = yield* connect(url, { transports: [transport] })
        const goodbye = next(client, "goodbye")
        client.emit("stop")
        assert.deepStrictEqual(yield* goodbye, ["bye"])
      })
    )
  }
})
