/**
 * Tests of namespaces, and of clients, without a network: the server and the client are those of
 * production, over connections in memory.
 *
 * There are no real timers and no sockets. Under a `TestClock`, connecting, emitting, acknowledging
 * and disconnecting take no time. Heartbeats, timeouts and reconnection happen when the test
 * adjusts the clock.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"

import type { ClientOptions } from "../client/ClientOptions.ts"
import type { ConnectError } from "../client/ClientSocket.ts"
import * as SocketIoClient from "../client/SocketIoClient.ts"
import { ClientPlatform } from "../engine/ClientPlatform.ts"
import type { EngineServer } from "../engine/EngineServer.ts"
import { NamespaceGrace } from "../internal/namespaceGrace.ts"
import type { ServerOptions } from "../server/ServerOptions.ts"
import * as SocketIoServer from "../server/SocketIoServer.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { headOf, platformOf, request as requestOver } from "./internal/clientEdge.ts"
import { serve } from "./internal/engineEdge.ts"
import * as Link from "./Link.ts"
import * as Network from "./Network.ts"
import * as Raw from "./RawPeer.ts"

/**
 * Options of a client in a test: those of a client. `url` is optional, and `transports` is only
 * WebSocket by default.
 *
 * @since 0.1.0
 * @category options
 */
export interface TestClientOptions extends Partial<Omit<ClientOptions, "path">> {
  /** The client's address, as the server sees it. Default: `127.0.0.1`. */
  readonly address?: string
}

/**
 * Options of a server in a test: those of a server. A client that asks for a namespace that does
 * not exist is refused at once. `onShutdown` has no effect, as no test moves its clock after its
 * end: `SocketIoServer.drain` does the same.
 *
 * @since 0.1.0
 * @category options
 */
export interface TestOptions extends ServerOptions {
  /** The options of the layer's client. */
  readonly client?: TestClientOptions
  /**
   * Decides how sent data arrives. Default: in the order of sending, over all connections, as tasks
   * of the scheduler that runs the test (see `Link.makeLater`).
   */
  readonly deliver?: Link.Deliver
}

/**
 * A client of its own, with a network of its own. It is a `SocketIoClient`, too: pass it to code
 * that needs one with `Effect.provideService`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestClient extends SocketIoClient.SocketIoClientShape {
  /** The network between the client and the server. */
  readonly network: Network.Network
  /** The same as `SocketIoClient.connect`, with this client. */
  readonly connect: <const T extends SocketIoClient.Target, R = never>(
    namespace: T,
    ...options: SocketIoClient.ConnectArguments<T, R>
  ) => Effect.Effect<SocketIoClient.SocketOf<T>, ConnectError, Scope.Scope | R>
  /** The same as `SocketIoClient.socket`, with this client. */
  readonly socket: <const T extends SocketIoClient.Target, R = never>(
    namespace: T,
    ...options: SocketIoClient.ConnectArguments<T, R>
  ) => Effect.Effect<SocketIoClient.SocketOf<T>, never, Scope.Scope | R>
}

/**
 * Options of a raw client.
 *
 * @since 0.1.0
 * @category options
 */
export interface RawClientOptions {
  /** Parameters of the request. They are added to `EIO=4` and `transport`, and override them. */
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** The client's address, as the server sees it. Default: `127.0.0.1`. */
  readonly address?: string
}

/**
 * Options of a request.
 *
 * @since 0.1.0
 * @category options
 */
export interface RawRequestOptions extends RawClientOptions {
  /** Default: GET. */
  readonly method?: string
  readonly body?: string | Uint8Array
}

/**
 * @since 0.1.0
 * @category models
 */
export interface TestSocketIoShape {
  /** The layer's client. */
  readonly client: TestClient
  /** Makes a network between a new peer and the server. @internal */
  readonly makeNetwork: () => Network.NetworkPath
}

/**
 * The server of a test, and the ways to connect to it.
 *
 * @since 0.1.0
 * @category services
 */
export class TestSocketIo extends Context.Service<TestSocketIo, TestSocketIoShape>()(
  "effect-socket.io/testing/TestSocketIo"
) {}

const ORIGIN = "http://localhost"

/** The parts that all connections of a test share, on the scheduler that runs the test. */
const makeMedium = (
  deliver: Link.Deliver | undefined,
  observer?: Network.MediumObserver
): Effect.Effect<Network.Medium> =>
  Effect.map(Scheduler.Scheduler, (scheduler) => {
    const dispatcher = scheduler.makeDispatcher()
    return Network.makeMedium(
      Link.makeLater((task) => dispatcher.scheduleTask(task, 0)),
      deliver,
      observer
    )
  })

/** The arguments of a connection, whatever the namespace. */
type ConnectAny = [namespace: string, ...SocketIoClient.ConnectArguments<string, any>]

const makeClientOver = Effect.fnUntraced(function* (network: Network.NetworkPath, options: TestClientOptions = {}) {
  const { address = "127.0.0.1", ...others } = options
  const platform = platformOf(network, { address, headers: {} })
  const client = yield* SocketIoClient.make({ url: ORIGIN, transports: ["websocket"], ...others }).pipe(
    Effect.provideService(ClientPlatform, platform)
  )
  const provide = Effect.provideService(SocketIoClient.SocketIoClient, client)
  const self: TestClient = {
    ...client,
    network,
    connect: ((...args: ConnectAny) => provide(SocketIoClient.connect(...args))) as TestClient["connect"],
    socket: ((...args: ConnectAny) => provide(SocketIoClient.socket(...args))) as TestClient["socket"]
  }
  return self
})

/** After this many turns in which nothing is sent, no peer is expected to send anything more. */
const QUIET_TURNS = 50

/**
 * Ends the sessions as a server does on shutdown, but does not wait for time to pass: no test moves
 * its `TestClock` after its end. Connections that are still open when nothing moves any more
 * (half-open connections, raw clients that do not poll) are cut.
 */
const shutDown = ({ drain, terminate }: EngineServer, { transmissions }: Network.Medium): Effect.Effect<void> =>
  Effect.gen(function* () {
    const draining = yield* Effect.forkChild(Effect.interruptible(drain), { startImmediately: true })
    let seen = transmissions()
    for (let quiet = 0; quiet < QUIET_TURNS && draining.pollUnsafe() === undefined; quiet++) {
      yield* Effect.yieldNow
      if (transmissions() === seen) continue
      seen = transmissions()
      quiet = 0
    }
    terminate()
    yield* Fiber.interrupt(draining)
  })

/**
 * A server, and a client of it, over connections in memory. Namespaces are layers on top of it, as
 * they are on the server of a platform.
 *
 * **Details**
 *
 * Fails with {@link InvalidOptionError} on an option that makes no sense. Closing the layer's scope
 * closes the client, and then the server: see `SocketIoServer.make`. Connections whose peer does
 * not close them are cut without waiting. More than 500 connections at once are closed in batches,
 * with pauses: with so many, set `drainTimeout: 0`, or they are cut, too.
 *
 * **Gotchas**
 *
 * Provide a layer per test, or state of one test (rooms, connections) is visible in the next. The
 * clock does not move by itself under a `TestClock`: heartbeats, timeouts and reconnection wait for
 * `TestClock.adjust`.
 *
 * **Example** (A test of a namespace)
 *
 * ```ts
 * const Test = ChatLive.pipe(Layer.provideMerge(TestSocketIo.layer()))
 *
 * it.effect("counts who joins", () =>
 *   Effect.gen(function*() {
 *     const chat = yield* SocketIoClient.connect(Chat)
 *     assert.strictEqual(yield* chat.emitWithAck("join", { room: "lobby" }), 1)
 *   }).pipe(Effect.provide(Test)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: TestOptions = {}
): Layer.Layer<SocketIoServer.SocketIoServer | SocketIoClient.SocketIoClient | TestSocketIo, InvalidOptionError> =>
  layerObserved(options)

/**
 * The same with an observer. With one, time passes by itself: the server may take its time to shut
 * down. @internal
 */
export const layerObserved = (options: TestOptions, observer?: Network.MediumObserver): ReturnType<typeof layer> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { client: clientOptions, deliver, ...serverOptions } = options
      const clock = yield* Clock.Clock
      const medium = yield* makeMedium(deliver, observer)
      const grace = yield* NamespaceGrace
      const { onShutdown, ...others } = serverOptions
      const server = yield* Effect.provideService(
        SocketIoServer.make(observer === undefined || onShutdown === undefined ? others : { ...others, onShutdown }),
        NamespaceGrace,
        grace ?? 0
      )
      const engine = yield* server.engine
      if (observer === undefined) yield* Effect.addFinalizer(() => shutDown(engine, medium))
      const accept = serve(engine, () => clock.currentTimeMillisUnsafe(), medium.later)
      const makeNetwork = () => Network.make(medium, accept)
      const client = yield* makeClientOver(makeNetwork(), clientOptions)
      return Context.make(SocketIoServer.SocketIoServer, server).pipe(
        Context.add(SocketIoClient.SocketIoClient, client),
        Context.add(TestSocketIo, { client, makeNetwork })
      )
    })
  )

/**
 * The network between the layer's client and its server. Tests cut it, stall it, and restore it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const network: Effect.Effect<Network.Network, never, TestSocketIo> = Effect.map(
  TestSocketIo,
  ({ client }) => client.network
)

/**
 * Makes another client of the server, over a network of its own. See `SocketIoClient.make`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeClient = (
  options?: TestClientOptions
): Effect.Effect<TestClient, InvalidOptionError, TestSocketIo | Scope.Scope> =>
  Effect.flatMap(TestSocketIo, ({ makeNetwork }) => makeClientOver(makeNetwork(), options))

const urlOf = (query: Readonly<Record<string, string>> | undefined, transport: string): string =>
  `${ORIGIN}/socket.io/?${new URLSearchParams({ EIO: "4", transport, ...query }).toString()}`

/**
 * Opens a WebSocket to the server, for raw packets. The first packet that it receives is the open
 * packet. Closing the scope closes it. Fails with `RawPeerRefused` if the server does not accept
 * it.
 *
 * **Example** (The first packets of a connection)
 *
 * ```ts
 * const client = yield* TestSocketIo.rawClient()
 * const open = yield* client.receive       // 0{"sid":"…","upgrades":[],…}
 * yield* client.send("40")
 * const connect = yield* client.receive    // 40{"sid":"…"}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const rawClient = Effect.fnUntraced(function* ({
  address = "127.0.0.1",
  headers = {},
  query
}: RawClientOptions = {}): Effect.fn.Return<
  Raw.RawPeer & { readonly network: Network.Network },
  Raw.RawPeerRefused,
  TestSocketIo | Scope.Scope
> {
  const { makeNetwork } = yield* TestSocketIo
  const network = makeNetwork()
  const head = headOf({ address, headers }, { url: urlOf(query, "websocket"), upgrade: true })
  return { ...(yield* Raw.connect(network, head)), network }
})

/**
 * Sends one HTTP request to the server, as long-polling does, and waits for its response;
 * interruption ends its connection.
 *
 * @since 0.1.0
 * @category accessors
 */
export const request = ({
  address = "127.0.0.1",
  headers = {},
  query,
  ...others
}: RawRequestOptions = {}): Effect.Effect<Network.ServerResponse, Error, TestSocketIo> =>
  Effect.flatMap(TestSocketIo, ({ makeNetwork }) =>
    requestOver(makeNetwork(), headOf({ address, headers }, { url: urlOf(query, "polling"), ...others }))
  )

/**
 * A server under the control of a test, and a client of it. Tests check what the client sends, and
 * its reaction to any answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawServerShape extends Raw.RawServer {
  readonly client: TestClient
}

/**
 * A server that is the test itself, for tests of a client's behaviour.
 *
 * @since 0.1.0
 * @category services
 */
export class RawServer extends Context.Service<RawServer, RawServerShape>()("effect-socket.io/testing/RawServer") {}

/**
 * A client, and the test as its server.
 *
 * **Example** (A test that answers a client)
 *
 * ```ts
 * const server = yield* TestSocketIo.RawServer
 * const connecting = yield* Effect.forkChild(SocketIoClient.connect("/"))
 * const connection = yield* server.accept
 * yield* connection.send('0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}')
 * const connect = yield* connection.receive    // 40
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRawServer = (
  options: TestClientOptions & Pick<TestOptions, "deliver"> = {}
): Layer.Layer<SocketIoClient.SocketIoClient | RawServer, InvalidOptionError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { deliver, ...clientOptions } = options
      const medium = yield* makeMedium(deliver)
      const { serve, ...server } = yield* Raw.makeServer
      const client = yield* makeClientOver(Network.make(medium, serve), clientOptions)
      return Context.make(SocketIoClient.SocketIoClient, client).pipe(Context.add(RawServer, { ...server, client }))
    })
  )
