/**
 * Clients whose connections can be cut: the official one and this library's, each with a relay of its own. They come back when they are
 * told to.
 */
import { Effect, Exit, Logger, Scope, Stream } from "effect"
import { io } from "socket.io-client"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import { within } from "../support/RawClient.ts"
import { Relay } from "./relay.ts"
import type { Kind } from "./servers.ts"

export type Way = "polling" | "websocket"

/**
 * How a connection is cut.
 *
 * - `reset`: both ends see it go; what is under way is lost.
 * - `close`: the client closes it.
 * - `stall`: the client sees it go and the server does not, as when the client changes networks.
 */
export type Cut = "reset" | "close" | "stall"

export interface ClientOptions {
  readonly transports?: ReadonlyArray<Way>
  readonly rooms?: ReadonlyArray<string>
  readonly auth?: Readonly<Record<string, unknown>>
  /** Is called with each event, when the application is. */
  readonly onEvent?: (event: string, args: ReadonlyArray<any>, id: string) => void
  /** Is called with each connection. */
  readonly onConnect?: (recovered: boolean, id: string) => void
  /** Is called with each end of a connection. */
  readonly onDisconnect?: () => void
}

/** A client that has been connected at least once. */
export interface CutClient {
  readonly kind: Kind
  readonly relay: Relay
  readonly id: string | undefined
  readonly connected: boolean
  /** The secret of its session, and the offset of its last event. Only of the official client. */
  readonly pid: string | undefined
  readonly offset: string | undefined
  /** The events that it has heard, as `[event, ...arguments]`, without an `onEvent`. */
  readonly heard: Array<ReadonlyArray<any>>
  /** For each of its connections whether it was recovered. */
  readonly comings: Array<boolean>
  /** Cuts the connection, and waits until the client knows. Gives what tells the server, if it was not told. */
  cut(how: Cut): Promise<() => void>
  /** Connects again, in the end; tells whether it was recovered. `prepare` runs before each attempt. */
  back(prepare?: () => void): Promise<boolean>
  /** Emits an event and waits for the acknowledgement. */
  call(event: string, ...args: ReadonlyArray<unknown>): Promise<void>
  /** Leaves for good. */
  end(): Promise<void>
}

/** The part that both kinds do in their own ways. */
interface Own {
  readonly id: string | undefined
  readonly pid?: string | undefined
  readonly offset?: string | undefined
  readonly connected: boolean
  /** The client closes the connection, not the namespace. */
  readonly close: () => void
  /** One attempt to connect. */
  readonly attempt: () => Promise<boolean>
  readonly call: (event: string, ...args: ReadonlyArray<unknown>) => Promise<unknown>
  readonly leave: () => Promise<unknown> | unknown
}

interface Hooks {
  readonly onConnect: (recovered: boolean, id: string) => void
  readonly onDisconnect: () => void
  readonly onEvent: (event: string, args: ReadonlyArray<unknown>, id: string) => void
}

type Make = (relay: Relay, transports: ReadonlyArray<Way>, auth: Record<string, unknown>, hooks: Hooks) => Promise<Own>

const official: Make = async (relay, transports, auth, { onConnect, onDisconnect, onEvent }) => {
  const socket = io(relay.url, {
    transports: [...transports],
    forceNew: true,
    reconnection: false,
    autoConnect: false,
    // It waits for that long when a WebSocket is closed before the first packet.
    timeout: 500,
    auth
  })
  socket.onAny((event: string, ...args: ReadonlyArray<unknown>) => onEvent(event, args, socket.id!))
  // The last one that is asked for an answer gives it.
  socket.on("question", (...args) => args.at(-1)("answer"))
  socket.on("connect", () => onConnect(socket.recovered, socket.id!))
  socket.on("disconnect", onDisconnect)
  return {
    get id() {
      return socket.id
    },
    get pid() {
      return (socket as any)._pid
    },
    get offset() {
      return (socket as any)._lastOffset
    },
    get connected() {
      return socket.connected
    },
    close: () => socket.io.engine.close(),
    attempt: () =>
      new Promise((resolve) => {
        const settle = () => {
          for (const event of ["connect", "connect_error", "disconnect"] as const) socket.off(event, settle)
          resolve(socket.connected)
        }
        for (const event of ["connect", "connect_error", "disconnect"] as const) socket.on(event, settle)
        socket.connect()
      }),
    call: (event, ...args) => socket.timeout(5_000).emitWithAck(event, ...args),
    leave: () => socket.disconnect()
  }
}

const ours: Make = async (relay, transports, auth, { onConnect, onDisconnect, onEvent }) => {
  const scope = Scope.makeUnsafe()
  const program = Effect.gen(function* () {
    const client = yield* SocketIoClient.make({ url: relay.url, transports, reconnection: false })
    const start = Effect.gen(function* () {
      // It begins to connect: who listens from now on hears everything.
      const socket = yield* SocketIoClient.socket("/", { auth })
      yield* socket.onAny((event, args) => Effect.sync(() => onEvent(event, args, socket.id!)))
      yield* socket.respond("question", () => Effect.succeed("answer"))
      yield* Effect.forkScoped(
        Stream.runForEach(socket.status, (status) =>
          Effect.sync(() => {
            if (status._tag === "Connected") onConnect(status.recovered, status.id)
            else if (status._tag === "Disconnected") onDisconnect()
          })
        ),
        { startImmediately: true }
      )
      return socket
    })
    return yield* Effect.provideService(start, SocketIoClient.SocketIoClient, client)
  })
  const socket = await Effect.runPromise(
    program.pipe(Scope.provide(scope), Effect.provide(NodeClientPlatform.layer), Effect.provide(Logger.layer([])))
  )
  return {
    get id() {
      return socket.id
    },
    get connected() {
      return socket.connected
    },
    close: () => relay.finish(),
    attempt: () =>
      Effect.runPromise(
        Effect.match(socket.reconnect(), { onFailure: () => socket.connected, onSuccess: () => socket.connected })
      ),
    call: (event, ...args) =>
      Effect.runPromise(Effect.timeout(socket.emitWithAck(event, ...args) as Effect.Effect<unknown>, "5 seconds")),
    leave: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Waits for what must come, and fails with a name for it. */
export const eventually = async (what: string, holds: () => boolean, milliseconds = 15_000): Promise<void> => {
  const end = performance.now() + milliseconds
  while (!holds()) {
    if (performance.now() > end) throw new Error(`gave up waiting for ${what}`)
    await pause(2)
  }
}

/** A client of a server on a port of this machine, connected. */
export const startClient = async (
  kind: Kind,
  port: number,
  { auth = {}, onConnect, onDisconnect, onEvent, rooms = [], transports = ["websocket"] }: ClientOptions = {}
): Promise<CutClient> => {
  const relay = await Relay.start(port)
  const heard: Array<ReadonlyArray<unknown>> = []
  const comings: Array<boolean> = []
  const own = await (kind === "official" ? official : ours)(
    relay,
    transports,
    { rooms, ...auth },
    {
      onConnect: (recovered, id) => {
        // The official client says `undefined` where the server knows nothing of recovery.
        comings.push(recovered === true)
        onConnect?.(recovered === true, id)
      },
      onDisconnect: () => onDisconnect?.(),
      onEvent: (event, args, id) => {
        const values = args.filter((value) => typeof value !== "function")
        // Those who listen keep what they need.
        if (onEvent === undefined) heard.push([event, ...values])
        else onEvent(event, values, id)
      }
    }
  )
  const connect = async (prepare = () => {}) => {
    const before = comings.length
    for (;;) {
      prepare()
      if (await own.attempt()) break
      await pause(10)
    }
    await eventually("news of the connection", () => comings.length > before || !own.connected)
    return comings.at(-1)!
  }
  await within("connection", connect())
  return {
    kind,
    relay,
    heard,
    comings,
    get id() {
      return own.id
    },
    get pid() {
      return own.pid
    },
    get offset() {
      return own.offset
    },
    get connected() {
      return own.connected
    },
    cut: async (how) => {
      const finishes: Array<() => void> = []
      // A client that polls has moments without a connection.
      const strike = () => {
        if (how === "close") own.close()
        else if (how === "reset") relay.reset()
        else finishes.push(relay.stall())
        return !own.connected
      }
      if (!own.connected) return () => {}
      await eventually("the cut", strike)
      return () => {
        for (const finish of finishes) finish()
      }
    },
    back: (prepare) => within("return of a client", connect(prepare), 30_000),
    call: async (event, ...args) => void (await own.call(event, ...args)),
    end: async () => {
      await own.leave()
      relay.close()
    }
  }
}
