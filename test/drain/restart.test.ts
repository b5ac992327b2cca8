/**
 * A server restarts while clients talk to it, over real connections: another one takes them.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Scope, Stream } from "effect"
import { io, type Socket } from "socket.io-client"

import * as ClientExtras from "../../src/client/ClientExtras.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import { layerHealth } from "../../src/server/Health.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { balance } from "../support/balancer.ts"
import { count } from "../support/extent.ts"
import { eventually } from "../support/official.ts"
import { request } from "../support/RawClient.ts"

/** The events that servers have handled, by client, in its order, with their server. */
type Log = Map<string, Array<{ readonly server: string; readonly n: number }>>

const application = (server: string, log: Log) =>
  SocketIoServer.layerNamespace("/", (socket) =>
    socket.on("note", (client, n) =>
      Effect.sync(() => {
        const mine = log.get(client as string) ?? []
        log.set(client as string, mine)
        mine.push({ server, n: n as number })
        return n
      })
    )
  )

const freePort = Effect.promise(
  () =>
    new Promise<number>((resolve) => {
      const server = createServer().listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        server.close(() => resolve(port))
      })
    })
)

/** A server on a port of its own, in a scope of its own. */
const start = Effect.fnUntraced(function* (
  name: string,
  log: Log,
  options: Partial<NodeSocketIoServer.ListeningOptions>
) {
  const port = yield* freePort
  const scope = yield* Scope.make()
  yield* Layer.buildWithScope(
    NodeSocketIoServer.serve(Layer.merge(application(name, log), layerHealth()), {
      port,
      host: "127.0.0.1",
      drainTimeout: "2 seconds",
      ...options
    }).pipe(Layer.provide(Logger.layer([]))),
    scope
  )
  return { url: `http://127.0.0.1:${port}`, close: Scope.close(scope, Exit.void) }
})

/**
 * Whether an official client's WebSocket has not seen a close frame. From the frame on until it learns that its connection has
 * ended, a round trip later, the client drops what it emits.
 */
const isIntact = ({ io: { engine } }: Socket): boolean =>
  (engine.transport as unknown as { readonly ws?: WebSocket }).ws?.readyState !== WebSocket.CLOSING

/** Asks for the readiness of servers, again and again, and leads new clients to those that are ready. */
const watch = (targets: ReadonlyArray<string>, lead: (ready: ReadonlyArray<string>) => void) =>
  Effect.forever(
    Effect.promise(async () => {
      const ready: Array<string> = []
      for (const url of targets) {
        const status = await request(`${url}/readyz`).then(
          ({ body, status }) => (status === 200 && body === "ready" ? 200 : status),
          () => 0
        )
        if (status === 200) ready.push(url)
      }
      lead(ready)
      await new Promise((resolve) => setTimeout(resolve, 20))
    })
  )

/** Sends numbers one after the other while it may, until it is stopped; gives how many. */
const chatter = (send: (n: number) => void, maySend = () => true) => {
  let n = 0
  const timer = setInterval(() => {
    for (let i = 0; i < 3; i++) if (maySend()) send(n++)
  }, 5)
  return () => {
    clearInterval(timer)
    return n
  }
}

describe("a rolling restart", () => {
  it.live(
    "loses no event of a client, and handles none twice: official clients come back, and ours see no outage",
    () =>
      Effect.gen(function* () {
        const log: Log = new Map()
        const onShutdown = { notice: "200 millis", over: "1 second" } as const
        const first = yield* start("first", log, { onShutdown })
        const second = yield* start("second", log, {})
        yield* Effect.addFinalizer(() => second.close)
        const balancer = yield* balance([first.url], { sticky: true })
        const each = count(6, 3)
        const stops = new Map<string, () => number>()
        const disconnections: Array<string> = []

        // Official clients, over WebSocket and after an upgrade.
        const officials: Array<Socket> = []
        for (let i = 0; i < 2 * each; i++) {
          const transports = i % 2 === 0 ? ["websocket"] : ["polling", "websocket"]
          const socket = io(balancer.url, { transports, forceNew: true, reconnectionDelay: 100 })
          officials.push(socket)
          socket.on("disconnect", (reason) => disconnections.push(reason))
          yield* eventually(() => socket.connected && socket.io.engine.transport.name === "websocket")
          const name = `official ${i}`
          stops.set(
            name,
            chatter(
              (n) => socket.emit("note", name, n),
              () => isIntact(socket)
            )
          )
        }
        yield* Effect.addFinalizer(() => Effect.sync(() => officials.forEach((socket) => socket.disconnect())))

        // One over polling. It loses what waits in it for a request when its connection ends, so it sends again.
        const polling = io(balancer.url, {
          transports: ["polling"],
          forceNew: true,
          reconnectionDelay: 100,
          retries: 10,
          ackTimeout: 2_000
        })
        officials.push(polling)
        let polled = 0
        let isStopped = false
        const poll = () => {
          if (!isStopped) polling.emit("note", "polling", polled++, poll)
        }
        poll()
        yield* eventually(() => polling.connected)

        // Ours, over each transport.
        const statuses: Array<string> = []
        const answers: Array<number> = []
        for (let i = 0; i < each; i++) {
          const transports = ([["websocket"], ["polling", "websocket"], ["polling"]] as const)[i % 3]!
          const client = yield* SocketIoClient.make({ url: balancer.url, transports, extras: [ClientExtras.moves] })
          const provide = Effect.provideService(SocketIoClient.SocketIoClient, client)
          const socket = yield* provide(SocketIoClient.connect("/"))
          yield* socket.status.pipe(
            Stream.runForEach(({ _tag }) => Effect.sync(() => statuses.push(_tag))),
            Effect.forkScoped({ startImmediately: true })
          )
          const name = `ours ${i}`
          stops.set(
            name,
            chatter((n) => {
              // Every other one waits for its acknowledgement, which comes in any case.
              if (n % 2 === 0) Effect.runFork(socket.emit("note", name, n))
              else Effect.runFork(Effect.map(socket.emitWithAck("note", name, n), () => answers.push(n)))
            })
          )
        }

        yield* Effect.forkScoped(
          watch([first.url, second.url], (ready) => {
            if (ready.length > 0) balancer.targets = ready
          })
        )
        yield* Effect.sleep("200 millis")
        const began = performance.now()
        yield* first.close
        const took = performance.now() - began
        yield* eventually(() => disconnections.length >= 2 * each && officials.every(({ connected }) => connected))
        yield* Effect.sleep("200 millis")
        isStopped = true
        const sent = new Map(Array.from(stops, ([name, stop]) => [name, stop()]))
        yield* eventually(() => Array.from(sent).every(([name, n]) => (log.get(name)?.at(-1)?.n ?? -1) >= n - 1))
        for (const [name, n] of sent) {
          const handled = log.get(name)!
          assert.deepStrictEqual(
            handled.map(({ n }) => n),
            Array.from({ length: n }, (_, i) => i),
            name
          )
          assert.deepStrictEqual(
            handled.map(({ server }) => server),
            handled.map(({ server }) => server).toSorted(),
            name
          )
          assert.strictEqual(handled.at(-1)!.server, "second", name)
        }
        // The last one may still be on its way.
        yield* eventually(() => new Set(log.get("polling")!.map(({ n }) => n)).size === polled)
        yield* eventually(
          () =>
            answers.length ===
            Array.from(sent)
              .filter(([name]) => name.startsWith("ours"))
              .reduce((sum, [, n]) => sum + Math.floor(n / 2), 0)
        )
        assert.isTrue(disconnections.every((reason) => reason === "transport close"))
        assert.lengthOf(disconnections, 2 * each)
        assert.deepStrictEqual(new Set(statuses), new Set(["Connected"]))
        // In its time: five seconds beside what it was told to take.
        assert.isBelow(took, 6_200)
      }),
    60_000
  )
})
