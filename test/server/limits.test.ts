/**
 * What a client can make the server hold.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { RawSocket } from "../support/RawClient.ts"
import { serve } from "../support/serve.ts"

/** A WebSocket that has joined a namespace. */
const enter = Effect.fnUntraced(function* (url: string, namespace = "/") {
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => new RawSocket(url, { EIO: "4", transport: "websocket" })),
    (socket) => Effect.sync(() => socket.terminate())
  )
  yield* Effect.promise(() => socket.opened.then(() => socket.next()))
  socket.send(`40${namespace},`)
  yield* Effect.promise(() => socket.next())
  return socket
})

const main = SocketIoServer.layerNamespace("/", (socket) => socket.on("sync", () => Effect.succeed("synced")))

describe("names of namespaces that are not there", () => {
  setFlagsFromString("--expose-gc")
  const collect: () => void = runInNewContext("gc")
  /** The memory of what is in reach: a collection frees some of it only while the next one runs. */
  const held = () => {
    let least = Infinity
    for (let i = 0; i < 10; i++) {
      collect()
      least = Math.min(least, process.memoryUsage().heapUsed)
    }
    return least
  }
  const padding = "x".repeat(900_000)
  const packets: Record<string, (i: number) => string> = {
    "however long they are": (i) => `40/${i}${padding},`,
    "however large their packets are": (i) => `40/not-there-and-no-short-name-${i},{"padding":"${padding}"}`
  }
  for (const [how, packet] of Object.entries(packets)) {
    it.live(`cost a connection that asks for many of them no memory, ${how}`, () =>
      Effect.gen(function* () {
        const { url } = yield* serve(main)
        const socket = yield* enter(url)
        const before = held()
        for (let i = 0; i < 60; i++) {
          socket.send(packet(i))
          assert.include(String(yield* Effect.promise(() => socket.next())), "Invalid namespace")
        }
        assert.isBelow(held() - before, 20_000_000)
      })
    )
  }

  it.live("are waited for while the server starts, but for those that are too long to be any", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(main, { namespaceGrace: "1 hour" })
      const socket = yield* enter(url)
      socket.send("40/awaited,", `40/${"x".repeat(300)},`, '420["sync"]')
      const answers = [yield* Effect.promise(() => socket.next()), yield* Effect.promise(() => socket.next())]
      assert.include(String(answers[0]), "Invalid namespace")
      assert.strictEqual(answers[1], '430["synced"]')
    })
  )
})
