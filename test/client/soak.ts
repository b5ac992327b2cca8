/**
 * Connects and disconnects clients, again and again, and counts what is left: `node --expose-gc test/client/soak.ts 10000`.
 *
 * Prints one line of JSON: what there was before the first cycle, while two clients were open, after the last cycle, and after the
 * server had stopped.
 */
import { setMaxListeners } from "node:events"
import { queryObjects } from "node:v8"
import { Effect, Fiber, Schedule, Stream } from "effect"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as ClientExtras from "../../src/client/ClientExtras.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform, type ClientPlatformShape } from "../../src/engine/ClientPlatform.ts"
import * as TestServer from "../support/TestServer.ts"

const cycles = Number(process.argv[2] ?? 10_000)

/** The resources that the platform has handed out, and not got back. */
const open = { webSockets: 0, requests: 0, listeners: 0 }

/** Objects that must not stay after their client, by kind. */
const made: Record<"clients" | "sockets" | "sessions", Set<WeakRef<object>>> = {
  clients: new Set(),
  sockets: new Set(),
  sessions: new Set()
}

const track = (kind: keyof typeof made, object: object) => {
  made[kind].add(new WeakRef(object))
}

/** The objects that are still there. */
const alive = () =>
  Object.fromEntries(
    Object.entries(made).map(([kind, refs]) => {
      for (const ref of refs) if (ref.deref() === undefined) refs.delete(ref)
      return [`${kind} in memory`, refs.size]
    })
  )

const counting = (platform: ClientPlatformShape): ClientPlatformShape => ({
  ...platform,
  request: (request) =>
    Effect.suspend(() => {
      open.requests++
      return Effect.ensuring(
        platform.request(request),
        Effect.sync(() => open.requests--)
      )
    }),
  openWebSocket: (request, events) => {
    open.webSockets++
    return platform.openWebSocket(request, {
      ...events,
      onClose: (description) => {
        open.webSockets--
        events.onClose(description)
      }
    })
  }
})

/** A page, whose listeners are counted. */
class Page extends EventTarget {
  override addEventListener(type: string, listener: () => void): void {
    open.listeners++
    // A session has this function for as long as it is there itself.
    if (type === "pagehide") track("sessions", listener)
    super.addEventListener(type, listener)
  }

  override removeEventListener(type: string, listener: () => void): void {
    open.listeners--
    super.removeEventListener(type, listener)
  }
}

const page = new Page()
setMaxListeners(0, page)
Object.assign(globalThis, {
  addEventListener: page.addEventListener.bind(page),
  removeEventListener: page.removeEventListener.bind(page)
})

/** All of them, as each keeps something of its own. */
const extras = [...ClientExtras.server, ClientExtras.closeOnPageHide, ClientExtras.rememberUpgrade]

/** The constructor of fibers, which Effect does not export. */
const FiberImpl = Effect.runFork(Effect.void).constructor as new () => unknown

/** Everything that may be left, by kind. */
const count = () => {
  const resources: Record<string, number> = { sockets: 0, timers: 0 }
  for (const kind of process.getActiveResourcesInfo()) {
    if (/TCPSocket|TLS/.test(kind)) resources.sockets!++
    if (/Timeout|Immediate/.test(kind)) resources.timers!++
  }
  const fibers = queryObjects(FiberImpl, { format: "count" })
  return { ...open, ...resources, ...alive(), fibers }
}

/** Lets callbacks that are under way come. */
const settled = async () => {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    ;(globalThis as { gc?: () => void }).gc?.()
  }
}

const webSocket: Partial<ClientOptions> = { transports: ["websocket"] }

/** How a cycle's client connects: an upgrade and polling now and then, as they cost more. */
const wayOf = (i: number): Partial<ClientOptions> =>
  i % 8 === 3 ? {} : i % 8 === 7 ? { transports: ["polling"] } : webSocket

/** One client, from its making to its end, in one of several ways. */
const cycle = (url: string, i: number) => {
  const life = Effect.gen(function* () {
    track("clients", (yield* SocketIoClient.SocketIoClient).manager)
    const socket = yield* SocketIoClient.connect("/")
    const other = yield* SocketIoClient.connect("/custom")
    track("sockets", socket)
    track("sockets", other)
    yield* Effect.forkScoped(Stream.runDrain(socket.stream("message-back")))
    yield* Effect.forkScoped(Stream.runDrain(socket.status))
    yield* socket.respond("question", () => Effect.succeed("answer"))
    yield* socket.emitWithAck("whoami")
    // Its answer never comes.
    yield* Effect.forkScoped(Effect.exit(other.emitWithAck("boom")))
    if (i % 5 === 0) {
      yield* other.disconnect()
      yield* other.reconnect()
    }
    // The server ends the whole connection.
    if (i % 7 === 0) {
      const gone = yield* Effect.forkScoped(
        Stream.runHead(Stream.filter(other.status, ({ _tag }) => _tag === "Disconnected")),
        { startImmediately: true }
      )
      yield* other.emit("bye", true)
      yield* Fiber.join(gone)
    }
  }).pipe(
    Effect.scoped,
    Effect.provide(SocketIoClient.layer({ url, reconnection: Schedule.spaced("1 millis"), extras, ...wayOf(i) }))
  )
  // One in eleven is interrupted on its way.
  return i % 11 === 0 ? Effect.timeoutOption(life, `${i % 6} millis`) : life
}

const server = await TestServer.start({ drainTimeout: 5_000 })
const platform = counting(Effect.runSync(ClientPlatform))
const run = (from: number, to: number) =>
  Effect.runPromise(
    Effect.forEach(
      Array.from({ length: to - from }, (_, i) => from + i),
      (i) => cycle(server.url, i),
      { concurrency: 200, discard: true }
    ).pipe(Effect.provideService(ClientPlatform, platform))
  )

// Resources that are made once, and kept: caches, idle connections of fetch.
const warmUp = Math.min(cycles, 1_000)
await run(0, warmUp)
await settled()
const before = count()
const connected = (options: Partial<ClientOptions>) =>
  Effect.gen(function* () {
    const client = yield* SocketIoClient.make({ url: server.url, extras, ...options })
    const socket = yield* Effect.provideService(SocketIoClient.connect("/"), SocketIoClient.SocketIoClient, client)
    track("clients", client.manager)
    track("sockets", socket)
  })
const during = await Effect.runPromise(
  Effect.gen(function* () {
    yield* connected({ transports: ["websocket"] })
    yield* connected({ transports: ["polling"] })
    // The next poll is on its way.
    yield* Effect.yieldNow
    return count()
  }).pipe(Effect.scoped, Effect.provideService(ClientPlatform, platform))
)
await run(warmUp, warmUp + cycles)
await settled()
const after = count()
await server.stop()
await settled()
console.log(JSON.stringify({ cycles, before, during, after, stopped: count() }))
