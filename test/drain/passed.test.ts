/**
 * A server is drained through which WebSockets of other servers' sessions pass: they move, too.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"

import * as ClientExtras from "../../src/client/ClientExtras.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { balance } from "../support/balancer.ts"
import { eventually } from "../support/official.ts"
import { RawSocket, request } from "../support/RawClient.ts"
import { threeNodes } from "../support/routed.ts"
import { call, connect } from "../support/serve.ts"

const ours = Effect.fnUntraced(function* (url: string) {
  const client = yield* SocketIoClient.make({ url, transports: ["polling", "websocket"], extras: ClientExtras.server })
  const socket = yield* Effect.provideService(SocketIoClient.connect("/"), SocketIoClient.SocketIoClient, client)
  const tags: Array<string> = []
  yield* socket.status.pipe(
    Stream.runForEach(({ _tag }) => Effect.sync(() => tags.push(_tag))),
    Effect.forkScoped({ startImmediately: true })
  )
  return { client, socket, tags }
})

describe("a server that passes WebSockets on", () => {
  it.live(
    "is drained: their clients move to other connections, ours without an outage",
    () =>
      Effect.gen(function* () {
        const { nodes } = yield* threeNodes()
        const [owner, passes, third] = nodes
        const through = yield* balance([owner.url])
        // Sessions open at the owner. Everything else of theirs passes through another server.
        through.targets = [owner.url, ...Array.from({ length: 50 }, () => passes.url)]
        const { socket, tags } = yield* ours(through.url)
        yield* eventually(() => tags.length === 1)
        const upgrades = () => Effect.map(passes.passed, (passed) => passed["requests_forwarded{upgrade}"] ?? 0)
        while ((yield* upgrades()) < 1) yield* Effect.sleep("10 millis")
        const again = yield* balance([owner.url, ...Array.from({ length: 50 }, () => passes.url)])
        const official = yield* connect(again.url, {
          transports: ["polling", "websocket"],
          reconnection: true,
          reconnectionDelay: 50
        })
        yield* eventually(() => official.io.engine.transport.name === "websocket")
        assert.strictEqual(yield* upgrades(), 2)
        through.targets = again.targets = [third.url]
        const reasons: Array<string> = []
        official.on("disconnect", (reason) => reasons.push(reason))

        const report = yield* passes.server.drain({ notice: 0, over: "300 millis" })
        assert.deepStrictEqual(report, { moved: 2, cut: 0, inFlight: 0 })
        yield* eventually(() => reasons.length > 0 && official.connected)
        assert.deepStrictEqual(reasons, ["transport close"])
        assert.deepStrictEqual(tags, ["Connected", "Connected"])
        assert.deepStrictEqual(yield* call(official, "echo", 1), [1])
        assert.deepStrictEqual(yield* socket.emitWithAck("echo", 1), [[1]])
        // The owner goes on, and has none of them any more.
        assert.strictEqual(yield* owner.server.readiness, "ready")
        yield* eventually(() => Effect.runSync(owner.server.connectionCount) === 0)
        assert.strictEqual(yield* third.server.connectionCount, 2)
      }),
    30_000
  )

  it.live("takes no more of them when its notice is over, so that a balancer asks another server", () =>
    Effect.gen(function* () {
      const { nodes } = yield* threeNodes()
      const [owner, passes] = nodes
      yield* passes.server.drain({ notice: 0, over: 0 })
      const handshake = yield* Effect.promise(() => request(`${owner.url}/socket.io/?EIO=4&transport=polling`))
      const { sid } = JSON.parse(handshake.body.slice(1))
      const refused = new RawSocket(passes.url, { EIO: "4", transport: "websocket", sid })
      const error = yield* Effect.promise(() => refused.opened.then(() => "opened", String))
      assert.include(error, "503")
      const taken = new RawSocket(owner.url, { EIO: "4", transport: "websocket", sid })
      yield* Effect.promise(() => taken.opened)
      taken.terminate()
    })
  )
})
