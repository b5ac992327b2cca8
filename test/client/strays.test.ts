/**
 * Packets for a namespace that somebody has left, or was refused. The official server closes the connection over them; ours lets them
 * pass, as they may have been on their way. Nobody waits for what does not come.
 */
import { createRequire } from "node:module"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { fakeClient } from "../support/fakeClient.ts"
import { call, connect, refusal, serve } from "../support/serve.ts"

/** It has no types. */
const ioV2: (url: string, options: object) => any = createRequire(import.meta.url)("socket.io-client-v2")

const Main = SocketIoServer.layerNamespace("/", (socket) => socket.on("echo", (value) => Effect.succeed(value)))

describe("a client that was refused, or was sent away", () => {
  it.live("of version 4 knows it, waits with what it emits, and keeps its other namespaces", () =>
    Effect.gen(function* () {
      const Door = SocketIoServer.layerNamespace("/door", (socket) => socket.on("go", () => socket.disconnect()))
      const { url } = yield* serve(Layer.merge(Main, Door))
      const main = yield* connect(url)
      const door = main.io.socket("/door", {})
      door.connect()
      yield* Effect.promise(() => new Promise<void>((resolve) => void door.once("connect", resolve)))
      const gone = new Promise<string>((resolve) => void door.once("disconnect", resolve))
      door.emit("go")
      // These are on their way, or follow.
      for (let i = 0; i < 10; i++) door.emit("late", i)
      assert.strictEqual(yield* Effect.promise(() => gone), "io server disconnect")
      const pending = door.timeout(50).emitWithAck("later")
      assert.strictEqual(yield* call(main, "echo", 1), 1)
      const failed = yield* Effect.promise(() => pending.catch((error: Error) => error.message))
      assert.strictEqual(failed, "operation has timed out")
      assert.match((yield* refusal(`${url}/nowhere`)).message, /Invalid namespace/)
      assert.isTrue(main.connected)
    })
  )

  it.live("of version 2 is told, too, and its connection goes on", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(Main, { allowEIO3: true })
      const main = ioV2(url, { forceNew: true, transports: ["websocket"] })
      yield* Effect.addFinalizer(() => Effect.sync(() => main.close()))
      yield* Effect.promise(() => new Promise<void>((resolve) => void main.once("connect", resolve)))
      const nowhere = main.io.socket("/nowhere", {})
      const told = new Promise<unknown>((resolve) => void nowhere.once("error", resolve))
      nowhere.emit("early", () => {})
      assert.isDefined(yield* Effect.promise(() => told))
      const echoed = yield* Effect.promise(() => new Promise((resolve) => void main.emit("echo", 1, resolve)))
      assert.strictEqual(echoed, 1)
    })
  )
})

it.effect("a client of ours lets pass what comes for a namespace that it has left", () =>
  Effect.gen(function* () {
    const { platform, use } = yield* fakeClient()
    const main = yield* use(SocketIoClient.socket("/"))
    const other = yield* use(SocketIoClient.socket("/other"))
    const server = platform.sockets[0]!
    server.accept()
    server.events.onText('40{"sid":"main"}')
    server.events.onText('40/other,{"sid":"other"}')
    yield* other.disconnect()
    server.events.onText('42/other,["late"]')
    server.events.onText('42/never,["stray"]')
    server.events.onText("43/other,0[1]")
    assert.isTrue(main.connected)
    assert.isFalse(server.closed)
  })
)
