/**
 * Effect RPC over Socket.IO, for clients, in pages, too.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as RpcClient from "effect/rpc/RpcClient"
import type * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import type { ClientSocket, ConnectError } from "../client/ClientSocket.ts"
import * as SocketIoClient from "../client/SocketIoClient.ts"
import type * as Namespace from "../Namespace.ts"
import { WireData } from "../internal/wireData.ts"
import { Calls } from "./internal/calls.ts"
import { EVENT } from "./internal/frames.ts"

/**
 * Options of a client's protocol.
 *
 * @since 0.1.0
 * @category options
 */
export interface ProtocolOptions {
  /** The event that carries the frames, on both sides. Default: `rpc`. */
  readonly event?: string
  /**
   * New calls while the socket is not connected: they wait, or fail at once. Default: `wait`. If
   * the socket does not connect again by itself, they fail in any case.
   */
  readonly whenDisconnected?: "wait" | "fail"
  /** The calls that may wait. The next one fails. Default: 1,000. */
  readonly maxWaiting?: number
  /**
   * Whether calls and streams go on after an outage that the session survives, where the server has
   * `recovery`. Otherwise they fail when the connection is lost. Default: true.
   */
  readonly resume?: boolean
}

/** The events of sockets that have a protocol: two would take each other's calls for lost ones. */
const taken = new WeakMap<object, Set<string>>()

const take = (socket: ClientSocket<any>, event: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const events = taken.get(socket) ?? new Set()
      if (events.has(event)) {
        throw new Error(`"${event}" of "${socket.namespace}" has a protocol already: share it, or choose another event`)
      }
      taken.set(socket, events.add(event))
      return events
    }),
    (events) => Effect.sync(() => events.delete(event))
  )

/**
 * The protocol of an RPC client over a socket that is there, until the scope closes: beside the
 * events of its namespace, with a contract or without.
 *
 * **Details**
 *
 * A call fails with `RpcClientError` when the connection is lost; the message of its reason
 * (`RpcClientDefect`) is that of the disconnection. The handler may have done its work. With
 * recovery on the server a call waits for the socket's return instead: the answers of the meantime
 * come then, requests that were lost on their way are sent again, and each request is handled once.
 * The call fails only if the session is over or goes on at another server, or if Redis has lost an
 * answer.
 *
 * An unread stream delays nothing else. Interruption of a call interrupts its handler. If a handler
 * dies and the server has not set `disableFatalDefects`, all calls of the client die, as with any
 * protocol of Effect RPC.
 *
 * `RpcClient.ConnectionHooks` are run, if they are in context.
 *
 * **Gotchas**
 *
 * A socket has one protocol for each event, and all connections of a client to a namespace share
 * its socket. Any number of RPC clients can use the protocol. A second one is a defect.
 *
 * **Example** (Calls beside events)
 *
 * ```ts
 * const chat = yield* SocketIoClient.connect(Chat)
 * const protocol = yield* SocketIoRpcClient.protocolOf(chat)
 * const rpcs = yield* RpcClient.make(Rpcs).pipe(Effect.provideService(RpcClient.Protocol, protocol))
 * yield* chat.emit("say", yield* rpcs.Greeting())
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const protocolOf = (
  socket: ClientSocket<any>,
  { event = EVENT, maxWaiting = 1_000, resume = true, whenDisconnected = "wait" }: ProtocolOptions = {}
): Effect.Effect<RpcClient.Protocol["Service"], never, Scope.Scope> =>
  Effect.gen(function* () {
    yield* take(socket, event)
    // A socket with a contract does not declare the frames. `wire`, which the client's own modules
    // use, says whether it has one.
    const { wire } = socket as { readonly wire?: unknown }
    const context = yield* Effect.context<never>()
    const hooks = yield* Effect.serviceOption(RpcClient.ConnectionHooks)
    const fibers = new Set<Fiber.Fiber<void>>()
    const run = (effect: Effect.Effect<void>) => {
      const fiber = Effect.runForkWith(context)(effect)
      if (fiber.pollUnsafe() === undefined) {
        fibers.add(fiber)
        fiber.addObserver(() => fibers.delete(fiber))
      }
      return fiber
    }
    const calls = new Calls(
      {
        emit: (frame) => socket.emit(event, wire === undefined ? frame : new WireData([event, frame])),
        run,
        waits: whenDisconnected === "wait",
        maxWaiting,
        resumes: resume
      },
      socket.id
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        calls.end()
        for (const fiber of fibers) fiber.interruptUnsafe()
      })
    )
    const plain: ClientSocket<Namespace.Untyped> = socket
    if (wire === undefined) yield* plain.respond(event, (frame) => Effect.sync(() => calls.receive(frame)))
    else {
      yield* plain.onAny((name, [frame]) => {
        if (name === event) calls.receive(frame)
        return Effect.void
      })
    }
    yield* socket.onStatus((status) => {
      calls.onStatus(status, socket.recoverable)
      if (hooks._tag === "None") return Effect.void
      if (status._tag === "Connected") return hooks.value.onConnect
      return status._tag === "Disconnected" ? hooks.value.onDisconnect : Effect.void
    })
    if (hooks._tag === "Some" && socket.connected) yield* hooks.value.onConnect
    return {
      run: (clientId, take) =>
        Effect.suspend(() => {
          const end = calls.begin(clientId, take)
          return Effect.ensuring(Effect.never, Effect.sync(end))
        }),
      send: (clientId, frame) => calls.send(clientId, frame),
      supportsAck: true,
      supportsTransferables: false,
      // The packet's own parser does the rest: frames are objects, and bytes leave as attachments.
      codecFor: Schema.toCodecJson as RpcSerialization.CodecFor
    }
  })

/**
 * The protocol of an RPC client over a namespace, which it connects to, until the layer's scope
 * closes. See {@link protocolOf}.
 *
 * It waits until the socket is connected for the first time, and fails with {@link ConnectError} if
 * the server refuses it. An application that starts without a network takes {@link protocolOf} of a
 * `SocketIoClient.socket`, which waits for nothing.
 *
 * **Example** (A client)
 *
 * ```ts
 * const program = Effect.gen(function*() {
 *   const rpcs = yield* RpcClient.make(Rpcs)
 *   yield* rpcs.Tokens({ prompt: "hello" }).pipe(Stream.runForEach(Console.log))
 * }).pipe(
 *   Effect.scoped,
 *   Effect.provide(SocketIoRpcClient.layerProtocol("/rpc", { auth: { token } })),
 *   Effect.provide(SocketIoClient.layer({ url: "http://localhost:3000" }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerProtocol = <const T extends SocketIoClient.Target, R = never>(
  namespace: T,
  ...options: {} extends SocketIoClient.ConnectOptions<T, R>
    ? [options?: SocketIoClient.ConnectOptions<T, R> & ProtocolOptions]
    : [options: SocketIoClient.ConnectOptions<T, R> & ProtocolOptions]
): Layer.Layer<RpcClient.Protocol, ConnectError, SocketIoClient.SocketIoClient | Exclude<R, Scope.Scope>> =>
  Layer.effect(
    RpcClient.Protocol,
    Effect.flatMap(
      SocketIoClient.connect<T, R>(namespace, ...(options as unknown as SocketIoClient.ConnectArguments<T, R>)),
      // A socket of some contract.
      (socket) => protocolOf(socket as ClientSocket<any>, options[0])
    )
  )
