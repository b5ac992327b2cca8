/**
 * Clients that do not read what they are sent, or send more than their share, on real connections.
 */
import type { Socket as NetSocket } from "node:net"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Metric, Queue, Stream } from "effect"
import { WebSocket } from "ws"

import type * as Namespace from "../../src/Namespace.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { soon } from "../support/handshake.ts"
import { readOnly } from "../support/metrics.ts"
import { engineUrl, Inbox, PollingClient, within } from "../support/RawClient.ts"
import { connect, serve } from "../support/serve.ts"

/** A namespace without a contract, its sockets as they come, and what is counted. */
const plain = Effect.fnUntraced(function* (
  options: NodeOptions,
  prepare: (socket: ServerSocket<Namespace.Untyped>) => Effect.Effect<unknown, never, any> = () => Effect.void
) {
  const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
  const registry = new Map()
  const serving = yield* serve(
    SocketIoServer.layerNamespace("/", (socket) =>
      Effect.asVoid(Effect.andThen(prepare(socket) as Effect.Effect<unknown>, Queue.offer(sockets, socket)))
    ),
    { drainTimeout: "50 millis", ...options }
  ).pipe(Effect.provideService(Metric.MetricRegistry, registry))
  const counted = (...names: ReadonlyArray<string>) =>
    Effect.provideService(readOnly(...names), Metric.MetricRegistry, registry)
  const everybody = Effect.provide(SocketIoServer.namespace("/"), serving.server)
  return { ...serving, socket: Queue.take(sockets), counted, everybody }
})

/** A client in the default namespace that does not read, and what it is sent once it does. */
const stalled = Effect.fnUntraced(function* (transport: "polling" | "websocket", url: string) {
  const inbox = new Inbox<string | Buffer>()
  if (transport === "polling") {
    const sid = yield* Effect.promise(() => PollingClient.handshake(url))
    const silent = new PollingClient(url, sid, false)
    yield* Effect.promise(() => silent.send("40"))
    let reading: PollingClient | undefined
    yield* Effect.addFinalizer(() => Effect.promise(async () => reading?.close()))
    return {
      send: (...packets: ReadonlyArray<string>) => Effect.promise(() => silent.send(...packets)),
      read: Effect.sync(() => {
        reading = new PollingClient(url, sid)
      }),
      next: Effect.promise(() => reading!.next())
    }
  }
  const target = engineUrl(url, { EIO: "4", transport: "websocket" }).replace("http", "ws")
  const ws = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(target)),
    (ws) => Effect.sync(() => ws.terminate())
  )
  ws.on("message", (data: Buffer, isBinary) => inbox.push(isBinary ? data : data.toString()))
  yield* Effect.promise(() => within("open WebSocket", new Promise((resolve) => ws.once("open", resolve))))
  const { _socket: connection } = ws as unknown as { readonly _socket: NetSocket }
  ws.send("40")
  yield* Effect.promise(() => inbox.next("open packet"))
  yield* Effect.promise(() => inbox.next("CONNECT"))
  connection.pause()
  return {
    send: (...packets: ReadonlyArray<string>) => Effect.sync(() => packets.forEach((packet) => ws.send(packet))),
    read: Effect.sync(() => void connection.resume()),
    next: Effect.promise(() => inbox.next("WebSocket message"))
  }
})

const size = 100_000
const count = 300
const maxOutbox = 1_000_000

/** The number of an event, filled up to its size. */
const numbered = (n: number) => String(n).padEnd(size, ".")

const isNumbered = /^42\["n","(\d+)/

/** The numbers of the events up to the one called `end`; attachments must follow their event. */
const numbersUntilEnd = Effect.fnUntraced(function* (next: Effect.Effect<string | Buffer>) {
  const numbers: Array<number> & { acks?: number } = []
  for (;;) {
    const packet = String(yield* next)
    if (packet === '42["end"]') return numbers
    if (packet.startsWith("43")) numbers.acks = (numbers.acks ?? 0) + 1
    const match = isNumbered.exec(packet)
    if (match !== null) numbers.push(Number(match[1]))
  }
})

const ascending = (numbers: ReadonlyArray<number>) => numbers.toSorted((a, b) => a - b)

for (const transport of ["polling", "websocket"] as const) {
  for (const policy of ["dropNewest", "dropOldest"] as const) {
    it.live(`${policy} over ${transport}: what is sent is either received, in its order, or counted`, () =>
      Effect.gen(function* () {
        let asked = 0
        const { counted, everybody, socket, url } = yield* plain(
          { limits: { maxOutbox, outboxOverflow: policy } },
          (socket) => socket.on("ask", () => Effect.sync(() => numbered(++asked)))
        )
        const { next, read, send } = yield* stalled(transport, url)
        const ours = yield* socket
        const all = yield* everybody
        // In turns, so that the connection has time to take what it does, and both ways.
        for (let n = 0; n < count; n++) {
          yield* n % 2 === 0 ? ours.emit("n", numbered(n)) : all.emit("n", numbered(n))
          if (n % 10 === 0) yield* Effect.sleep("1 millis")
          const { outbox_bytes: waiting = 0 } = yield* counted("outbox_bytes")
          assert.isAtMost(waiting, maxOutbox + 200)
        }
        assert.isTrue(ours.connected)
        // Answers are not dropped, and make room for themselves among the oldest.
        yield* send(...Array.from({ length: 5 }, (_, id) => `42${id}["ask"]`))
        yield* soon("questions", Effect.repeat(Effect.sleep("1 millis"), { until: () => asked === 5 }))
        yield* read
        yield* soon(
          "empty outbox",
          Effect.repeat(Effect.andThen(Effect.sleep("5 millis"), counted("outbox_bytes")), {
            until: ({ outbox_bytes: waiting = 0 }) => waiting === 0
          })
        )
        yield* ours.emit("end")
        const numbers = yield* numbersUntilEnd(next)
        assert.strictEqual(numbers.acks, 5)
        assert.deepStrictEqual(Array.from(numbers), ascending(numbers))
        assert.strictEqual(numbers.includes(count - 1), policy === "dropOldest")
        assert.isTrue(numbers.includes(0) || transport === "polling")
        const lost = count - numbers.length
        assert.isAbove(lost, 0)
        assert.deepStrictEqual(yield* counted("packets_dropped", "bytes_dropped"), {
          [`packets_dropped{${policy}}`]: lost,
          // `42["n","…"]`
          [`bytes_dropped{${policy}}`]: lost * (size + 10)
        })
      })
    )
  }

  describe(`suspend over ${transport}`, () => {
    it.live.each(["an emit", "a sink"])("%s waits until there is room, and nothing is lost", (way) =>
      Effect.gen(function* () {
        const { counted, socket, url } = yield* plain({ limits: { maxOutbox, outboxOverflow: "suspend" } })
        const { next, read } = yield* stalled(transport, url)
        const ours = yield* socket
        let sent = 0
        const texts = Array.from({ length: count }, (_, n) => numbered(n))
        const emitting = yield* Effect.forkChild(
          way === "an emit"
            ? Effect.forEach(
                texts,
                (text) =>
                  Effect.andThen(
                    ours.emit("n", text),
                    Effect.sync(() => sent++)
                  ),
                { discard: true }
              )
            : Stream.fromIterable(texts).pipe(
                Stream.rechunk(1),
                Stream.map((text) => {
                  sent++
                  return [text]
                }),
                Stream.run(ours.sink("n"))
              )
        )
        // It comes to a halt, with the outbox as full as it may be.
        yield* soon(
          "full outbox",
          Effect.repeat(Effect.andThen(Effect.sleep("5 millis"), counted("outbox_bytes")), {
            until: ({ outbox_bytes: waiting = 0 }) => waiting >= maxOutbox
          })
        )
        const atHalt = sent
        yield* Effect.sleep("30 millis")
        assert.isBelow(sent, count)
        const { outbox_bytes: waiting = 0 } = yield* counted("outbox_bytes")
        assert.isAtMost(waiting, maxOutbox + size + 200)
        if (transport === "polling") assert.strictEqual(sent, atHalt)
        yield* read
        const received = yield* Effect.forkChild(numbersUntilEnd(next))
        yield* soon("end of the emits", Fiber.join(emitting))
        yield* ours.emit("end")
        const numbers = yield* soon("end of the events", Fiber.join(received))
        assert.deepStrictEqual(
          numbers,
          Array.from({ length: count }, (_, n) => n)
        )
        assert.deepStrictEqual(yield* counted("packets_dropped"), {})
      })
    )

    /** Two clients, of which one does not read, and its outbox is full. */
    const full = Effect.gen(function* () {
      const { counted, everybody, socket, url } = yield* plain({ limits: { maxOutbox, outboxOverflow: "suspend" } })
      const slow = yield* stalled(transport, url)
      const ours = yield* socket
      const quick = yield* connect(url)
      yield* socket
      const all = yield* everybody
      const heard: Array<number> = []
      quick.on("n", (text: string) => heard.push(Number.parseInt(text, 10)))
      // As much as the connection takes, and the outbox beyond that; whatever becomes free is taken again.
      yield* Effect.forkScoped(
        Effect.forEach(
          Array.from({ length: count }, () => numbered(0)),
          (text) => ours.emit("n", text),
          { discard: true }
        )
      )
      yield* soon(
        "full outbox",
        Effect.repeat(Effect.andThen(Effect.sleep("5 millis"), counted("outbox_bytes")), {
          until: ({ outbox_bytes: waiting = 0 }) => waiting >= maxOutbox
        })
      )
      return { slow, ours, quick, all, heard }
    })

    it.live("a broadcast reaches the others at once, and then waits for the slowest", () =>
      Effect.gen(function* () {
        const { all, heard, quick, slow } = yield* full
        const first = new Promise((resolve) => quick.once("n", resolve))
        const broadcast = yield* Effect.forkChild(all.emit("n", numbered(7)), { startImmediately: true })
        yield* soon(
          "broadcast",
          Effect.promise(() => first)
        )
        assert.deepStrictEqual(heard, [7])
        assert.isUndefined(broadcast.pollUnsafe())
        yield* slow.read
        yield* soon("room", Fiber.join(broadcast))
      })
    )

    it.live("a broadcast and an emit wait no longer than the slow client is there", () =>
      Effect.gen(function* () {
        const { all, ours } = yield* full
        const waiting = yield* Effect.forkChild(
          Effect.all([all.emit("n", "8"), ours.emit("n", "9"), Effect.exit(ours.emitWithAck("n", "10"))], {
            concurrency: "unbounded"
          }),
          { startImmediately: true }
        )
        assert.isUndefined(waiting.pollUnsafe())
        yield* ours.disconnect()
        const [, , answer] = yield* soon("end of the wait", Fiber.join(waiting))
        assert.include(String(answer), "Disconnected")
      })
    )

    it.live("what is volatile does not wait", () =>
      Effect.gen(function* () {
        const { all, ours } = yield* full
        yield* soon("volatile emit", ours.volatile.emit("n", "8"))
        yield* soon("volatile broadcast", all.all.volatile.emit("n", "9"))
      })
    )
  })

  it.live(`an emitWithAck that is dropped fails, and a broadcast does not wait for its answer (${transport})`, () =>
    Effect.gen(function* () {
      const { everybody, socket, url } = yield* plain({ limits: { maxOutbox: 1_000, outboxOverflow: "dropOldest" } })
      yield* stalled(transport, url)
      const ours = yield* socket
      const quick = yield* connect(url)
      quick.on("ask", (_text: string, answer: (n: number) => void) => answer(1))
      yield* socket
      const all = yield* everybody
      // The connection has taken its part: then the outbox is used.
      yield* Effect.forEach(
        Array.from({ length: 200 }),
        () => Effect.andThen(ours.emit("n", numbered(0)), Effect.yieldNow),
        {
          discard: true
        }
      )
      const one = yield* Effect.forkChild(Effect.flip(ours.emitWithAck("ask", "x".repeat(2_000))), {
        startImmediately: true
      })
      const answers = yield* soon("answers", Stream.runCollect(all.emitWithAck("ask", "x".repeat(2_000))))
      assert.deepStrictEqual(
        answers.map(({ sid }) => sid),
        [quick.id!]
      )
      assert.strictEqual((yield* soon("failure", Fiber.join(one))).reason._tag, "NotSent")
    })
  )
}

describe("a client that floods", () => {
  it.live("takes turns with the others", () =>
    Effect.gen(function* () {
      const handled: Array<string> = []
      const done = yield* Queue.unbounded<void>()
      const { url } = yield* plain({}, (socket) =>
        socket.on("n", (name) =>
          Effect.suspend(() => {
            handled.push(String(name))
            return handled.length === 6_001 ? Queue.offer(done, undefined) : Effect.void
          })
        )
      )
      const options = { transports: ["websocket"] }
      const [flooding, other] = [yield* connect(url, options), yield* connect(url, options)]
      for (let i = 0; i < 6_000; i++) flooding.emit("n", "flood")
      other.emit("n", "other")
      yield* soon("end of the flood", Queue.take(done))
      assert.isBelow(handled.indexOf("other"), 1_500)
    })
  )

  it.live("is handled in its order, whatever the sizes of its messages and of what is read at once", () =>
    Effect.gen(function* () {
      const handled: Array<string> = []
      const done = yield* Queue.unbounded<void>()
      const { url } = yield* plain({}, (socket) =>
        socket.on("n", (text) =>
          Effect.suspend(() => {
            handled.push(String(text))
            return handled.length === sent.length ? Queue.offer(done, undefined) : Effect.void
          })
        )
      )
      // Thousands of small ones, large ones among them: some in one piece, some over many reads.
      const sizes = [10, 20_000, 300, 150_000, 2_000, 70_000]
      const sent = Array.from({ length: 9_000 }, (_, i) =>
        `${i}`.padEnd(i % 700 === 0 ? sizes[(i / 700) % 6]! : 1, ".")
      )
      const ws = yield* Effect.acquireRelease(
        Effect.sync(() => new WebSocket(engineUrl(url, { EIO: "4", transport: "websocket" }).replace("http", "ws"))),
        (ws) => Effect.sync(() => ws.terminate())
      )
      yield* Effect.promise(() => within("open WebSocket", new Promise((resolve) => ws.once("open", resolve))))
      const { _socket: connection } = ws as unknown as { readonly _socket: NetSocket }
      connection.cork()
      ws.send("40")
      for (const text of sent) ws.send(`42${JSON.stringify(["n", text])}`)
      connection.uncork()
      yield* soon("end of the flood", Queue.take(done))
      assert.deepStrictEqual(handled, sent)
    })
  )

  it.live("and leaves is heard to the end", () =>
    Effect.gen(function* () {
      let handled = 0
      const { socket, url } = yield* plain({}, (socket) => socket.on("n", () => Effect.sync(() => void handled++)))
      const official = yield* connect(url, { transports: ["websocket"] })
      const ours = yield* socket
      for (let i = 0; i < 3_000; i++) official.emit("n")
      official.disconnect()
      assert.strictEqual(yield* soon("end", ours.disconnected), "client namespace disconnect")
      assert.strictEqual(handled, 3_000)
    })
  )
})
