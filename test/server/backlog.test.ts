/**
 * The backlog of handlers: counted for a connection with all of its namespaces, by its cost.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Metric, Queue, Stream } from "effect"

import * as EngineMetrics from "../../src/engine/EngineMetrics.ts"
import type * as Namespace from "../../src/Namespace.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { openClient, type RawClient, transports } from "../support/RawClient.ts"
import { call, connect, serve } from "../support/serve.ts"
import { soon } from "../support/handshake.ts"

const names = ["/a", "/b", "/c"]

/** Three namespaces whose handlers of `wait` do not end before the gate opens, and why their sockets have gone. */
const open = Effect.fnUntraced(function* (options: NodeOptions = {}) {
  const gate = yield* Deferred.make<void>()
  const ends = yield* Queue.unbounded<string>()
  const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
  const registry = new Map()
  let handled = 0
  const layers = names.map((name) =>
    SocketIoServer.layerNamespace(
      name,
      Effect.fnUntraced(function* (socket) {
        yield* socket.on("wait", () =>
          Effect.andThen(
            Deferred.await(gate),
            Effect.sync(() => handled++)
          )
        )
        yield* socket.on("sync", () => Effect.succeed("synced"))
        yield* socket.onDisconnecting((reason) => Queue.offer(ends, reason))
        yield* Queue.offer(sockets, socket)
      })
    )
  )
  const { url } = yield* serve(Layer.mergeAll(layers[0]!, layers[1]!, layers[2]!), {
    drainTimeout: "50 millis",
    ...options
  }).pipe(Effect.provideService(Metric.MetricRegistry, registry))
  const pauses = Effect.map(
    Effect.provideService(Metric.value(EngineMetrics.readPauses), Metric.MetricRegistry, registry),
    ({ count }) => Number(count)
  )
  /** A client that is in all of them. */
  const enter = (transport: "polling" | "websocket") =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const client = await openClient(transport, url)
        await client.send(...names.map((name) => `40${name},`))
        for (const name of names) assert.match(String(await client.next()), new RegExp(`^40${name},{"sid"`))
        return client
      }),
      (client) => Effect.promise(() => client.close())
    )
  return { url, gate, end: Queue.take(ends), socket: Queue.take(sockets), enter, pauses, handled: () => handled }
})

const synced = (client: RawClient, name: string) =>
  Effect.promise(async () => {
    await client.send(`42${name},0["sync"]`)
    assert.strictEqual(await client.next(), `43${name},0["synced"]`)
  })

for (const transport of transports) {
  describe(`the events of one connection that are not done, over ${transport}`, () => {
    it.live("are counted over all of its namespaces", () =>
      Effect.gen(function* () {
        const { end, enter, url } = yield* open({ limits: { maxPendingEvents: 30 }, reading: { pauseAt: 1_000 } })
        const other = yield* connect(`${url}/a`)
        const client = yield* enter(transport)
        // Ten for each, which is as many as there may be.
        yield* Effect.promise(() => client.send(...names.flatMap((name) => Array(10).fill(`42${name},["wait"]`))))
        yield* Effect.promise(() => client.send('42/a,["sync"]'))
        for (const _ of names) assert.strictEqual(yield* soon("end", end), "inbound overflow")
        assert.strictEqual(yield* call(other, "sync"), "synced")
      })
    )

    it.live("cost what their objects do", () =>
      Effect.gen(function* () {
        const { end, enter } = yield* open({
          limits: { maxPendingBytes: 1_000_000 },
          reading: { pauseTimeout: "1 millis" }
        })
        const client = yield* enter(transport)
        // 15 KB of text are 320 KB of objects: four of them are more than there may be, and then one more comes.
        const objects = `42/a,["wait",${Array(5_000).fill("{}").join()}]`
        for (let i = 0; i < 3; i++) yield* Effect.promise(() => client.send(objects))
        yield* synced(client, "/b")
        // A pause may hold the request, and the end of the session may reset the connection of either.
        client
          .send(objects)
          .then(() => client.send('42/b,["sync"]'))
          .catch(() => {})
        assert.strictEqual(yield* soon("end", end), "inbound overflow")
      })
    )

    it.live("pause reading when half of the bytes are reached, so that a client that is only fast loses nothing", () =>
      Effect.gen(function* () {
        const { enter, gate, handled, pauses } = yield* open({
          limits: { maxPendingBytes: 1_000_000 },
          reading: { pauseTimeout: "1 hour" }
        })
        const client = yield* enter(transport)
        const text = "x".repeat(50_000)
        const sent = client.send(...Array.from({ length: 19 }, () => `42/a,["wait","${text}"]`))
        sent.catch(() => {})
        yield* soon("pause", Effect.repeat(Effect.andThen(Effect.sleep("1 millis"), pauses), { until: (n) => n > 0 }))
        yield* Deferred.succeed(gate, undefined)
        yield* synced(client, "/b").pipe((sync) =>
          Effect.andThen(
            Effect.promise(() => sent),
            sync
          )
        )
        assert.strictEqual(handled(), 19)
      })
    )
  })
}

for (const transport of transports) {
  describe(`data that waits for attachments, over ${transport}`, () => {
    const options = { limits: { maxPendingBytes: 1_000_000 }, reading: { pauseTimeout: "1 hour" } } as const

    /** An event with an attachment and so many objects, of 64 bytes each. */
    const withObjects = (event: string, count: number, id = "") =>
      `451-/a,${id}["${event}",{"_placeholder":true,"num":0},${Array(count).fill("{}").join()}]`

    it.live("counts as its objects do, together with events that are not done", () =>
      Effect.gen(function* () {
        const { end, enter } = yield* open(options)
        const client = yield* enter(transport)
        // A third of what may wait, and then most of it.
        yield* Effect.promise(() => client.send(`42/a,["wait",${Array(5_000).fill("{}").join()}]`))
        yield* synced(client, "/b")
        client.send(withObjects("wait", 14_000)).catch(() => {})
        assert.strictEqual(yield* soon("end", end), "inbound overflow")
      })
    )

    it.live("may be as much as a message holds if it is alone, and the attachments are read", () =>
      Effect.gen(function* () {
        const { enter, handled, gate, pauses } = yield* open(options)
        yield* Deferred.succeed(gate, undefined)
        const client = yield* enter(transport)
        for (let i = 0; i < 3; i++) {
          yield* Effect.promise(() => client.send(withObjects("wait", 40_000), Buffer.from("bytes")))
          yield* synced(client, "/b")
          assert.strictEqual(handled(), i + 1)
        }
        assert.strictEqual(yield* pauses, 0)
      })
    )
  })
}

describe("an event that is larger than all that may wait", () => {
  const options = {
    limits: { maxPayload: 100_000, maxPendingBytes: 100_000 },
    reading: { pauseTimeout: "1 millis" }
  } as const

  it.live("may wait alone", () =>
    Effect.gen(function* () {
      const { enter, gate, handled } = yield* open(options)
      const client = yield* enter("websocket")
      // Two megabytes, of 100 KB.
      yield* Effect.promise(() => client.send(`42/a,["wait",[${Array(33_000).fill("{}").join()}]]`))
      yield* synced(client, "/b")
      assert.strictEqual(handled(), 0)
      yield* Deferred.succeed(gate, undefined)
      yield* synced(client, "/b")
      assert.strictEqual(handled(), 1)
    })
  )

  it.live("may not take more than 32 bytes for each byte of the longest message", () =>
    Effect.gen(function* () {
      const { end, enter } = yield* open(options)
      const client = yield* enter("websocket")
      // Four and a half megabytes, of 90 KB.
      const sparse = `${'{"34":'.repeat(50)}0${"}".repeat(50)}`
      client.send(`42/a,["wait",[${Array(250).fill(sparse).join()}]]`).catch(() => {})
      assert.strictEqual(yield* soon("end", end), "inbound overflow")
    })
  )
})

it.live("packets that wait for builders are counted over all namespaces of a connection", () =>
  Effect.gen(function* () {
    const ends = yield* Queue.unbounded<string>()
    const layer = (name: string) =>
      SocketIoServer.layerNamespace(name, (socket) =>
        Effect.andThen(
          socket.onDisconnecting((reason) => Queue.offer(ends, reason)),
          Effect.never
        )
      )
    const { url } = yield* serve(Layer.mergeAll(layer("/a"), layer("/b")), { limits: { maxPendingPackets: 10 } })
    const client = yield* Effect.promise(() => openClient("websocket", url))
    yield* Effect.promise(() => client.send("40/a,", "40/b,"))
    yield* Effect.promise(() => client.send(...["/a", "/b"].flatMap((name) => Array(5).fill(`42${name},["x"]`))))
    yield* Effect.promise(() => client.send('42/a,["x"]'))
    assert.strictEqual(yield* soon("end", Queue.take(ends)), "inbound overflow")
    yield* Effect.promise(() => client.close())
  })
)

it.live(
  "acknowledgements that a client owes are counted over all of its namespaces, and no more when they have come",
  () =>
    Effect.gen(function* () {
      const { enter, socket } = yield* open({ limits: { maxPendingAcks: 3 } })
      const client = yield* enter("websocket")
      const [a, b, c] = [yield* socket, yield* socket, yield* socket]
      const asked = yield* Effect.forEach([a, b, c], (socket) =>
        Effect.forkChild(socket.emitWithAck("ask"), { startImmediately: true })
      )
      const error = yield* Effect.flip(a.emitWithAck("ask"))
      assert.deepInclude(error, { _tag: "AckError", reason: { _tag: "TooManyPending" } })
      for (const name of names) {
        assert.match(String(yield* Effect.promise(() => client.next())), new RegExp(`^42${name},0\\["ask"\\]`))
      }
      const ask = (socket: ServerSocket<Namespace.Untyped>) =>
        Effect.forkChild(Effect.ignore(socket.emitWithAck("ask")), { startImmediately: true })
      const isFull = Effect.map(Effect.flip(c.emitWithAck("ask")), ({ reason }) => reason._tag === "TooManyPending")
      // One that is not awaited any more is none that is owed.
      yield* Fiber.interrupt(asked[1]!)
      yield* ask(a)
      assert.isTrue(yield* isFull)
      yield* Effect.promise(() => client.send(`43${a.namespace},0[]`))
      yield* soon("answer", Fiber.join(asked[0]!))
      yield* ask(b)
      assert.isTrue(yield* isFull)
    })
)

it.live("an event for two streams of a socket is one for its connection, and counts until both have read it", () =>
  Effect.gen(function* () {
    const { enter, pauses, socket } = yield* open({
      limits: { maxPendingBytes: 100_000 },
      reading: { pauseTimeout: "1 hour" }
    })
    const client = yield* enter("websocket")
    const ours = yield* socket
    const streams = [yield* ours.subscribe("x"), yield* ours.subscribe("x")]
    yield* Effect.promise(() => client.send(`42${ours.namespace},["x","${"x".repeat(30_000)}"]`))
    yield* soon("pause", Effect.repeat(Effect.andThen(Effect.sleep("1 millis"), pauses), { until: (n) => n === 1 }))
    yield* Effect.forEach(streams, (stream) => Stream.runDrain(Stream.take(stream, 1)))
    yield* synced(client, "/b")
  })
)

it.live("a stream that has ended no longer makes its connection wait, though nobody has read it", () =>
  Effect.gen(function* () {
    const { enter, pauses, socket } = yield* open({ reading: { pauseTimeout: "1 hour" } })
    const client = yield* enter("websocket")
    const ours = yield* socket
    yield* ours.subscribe("x", { capacity: 1 })
    yield* Effect.promise(() => client.send(`42${ours.namespace},["x"]`))
    yield* soon("pause", Effect.repeat(Effect.andThen(Effect.sleep("1 millis"), pauses), { until: (n) => n === 1 }))
    yield* ours.disconnect()
    assert.strictEqual(yield* Effect.promise(() => client.next()), `41${ours.namespace},`)
    yield* synced(client, "/b")
  })
)
