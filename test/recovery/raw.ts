/**
 * A server with recovery in memory, and clients of which a test says every packet.
 */
import { Effect, Layer, Queue, type Scope, Stream } from "effect"

import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type { NamespaceHandle } from "../../src/server/NamespaceHandle.ts"
import type { RecoveryOptions } from "../../src/server/RecoveryOptions.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import type * as Link from "../../src/testing/Link.ts"
import type { RawPeer } from "../../src/testing/RawPeer.ts"
import type { Network } from "../../src/testing/Network.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

export type Socket = ServerSocket<Namespace.Untyped>

/** A client without a library. */
export interface Peer extends RawPeer {
  readonly network: Network
  /** Asks for a namespace; gives the answer. */
  connect(auth?: object, namespace?: string): Effect.Effect<Answer>
  /** The name and the arguments of the next event. */
  readonly event: Effect.Effect<ReadonlyArray<any>>
  /** The events that are there, without waiting. */
  readonly events: Effect.Effect<ReadonlyArray<ReadonlyArray<any>>>
}

/** The data of a CONNECT, or of the error in its place. */
export interface Answer {
  readonly sid: string
  readonly pid: string
  readonly message?: string
  readonly fx?: { readonly recovered: { readonly reason: string } }
}

export interface World {
  readonly namespace: NamespaceHandle<Namespace.Untyped>
  /** The namespace `/other`. */
  readonly another: NamespaceHandle<Namespace.Untyped>
  /** The next socket that is admitted. */
  readonly next: Effect.Effect<Socket>
  /** Opens a connection. */
  readonly open: Effect.Effect<Peer, never, Scope.Scope>
  readonly ends: Queue.Dequeue<{ readonly sid: string; readonly reason: string }>
}

interface Options extends Omit<ServerOptions, "recovery"> {
  readonly recovery?: RecoveryOptions
  /** Decides how data arrives. */
  readonly deliver?: Link.Deliver
  /** Decides on clients, as middleware does. */
  readonly decide?: Effect.Effect<void, NamespaceMiddleware.ConnectRefused>
  readonly build?: (socket: Socket, namespace: World["namespace"]) => Effect.Effect<void, never, Scope.Scope>
}

class Guard extends NamespaceMiddleware.Service<Guard>()("test/Guard") {}

const Plain = Namespace.untyped("/")

const Guarded = Plain.middleware(Guard)

export const world = Effect.fnUntraced(function* ({ build, decide, recovery = {}, ...options }: Options = {}) {
  const sockets = yield* Queue.unbounded<Socket>()
  const live = SocketIoServer.layerNamespace(decide === undefined ? Plain : Guarded, (socket) =>
    Effect.gen(function* () {
      if (build !== undefined) yield* build(socket, yield* SocketIoServer.namespace(Plain))
      yield* Queue.offer(sockets, socket)
    })
  ).pipe(Layer.provide(Layer.succeed(Guard, () => decide ?? Effect.void)))
  const other = SocketIoServer.layerNamespace("/other", () => Effect.void)
  const context = yield* Layer.build(
    Layer.merge(live, other).pipe(Layer.provideMerge(TestSocketIo.layer({ recovery, ...options })))
  )
  const namespace = yield* Effect.provideContext(SocketIoServer.namespace(Plain), context)
  const another = yield* Effect.provideContext(SocketIoServer.namespace("/other"), context)
  const ends = yield* Queue.unbounded<{ readonly sid: string; readonly reason: string }>()
  yield* Effect.forkScoped(
    Stream.runForEach(namespace.sessionEnds(), (end) => Queue.offer(ends, end)),
    { startImmediately: true }
  )
  const open = Effect.gen(function* () {
    const peer = yield* TestSocketIo.rawClient({ query: { fx: "1" } })
    yield* peer.receive
    return peerOf(peer)
  }).pipe(Effect.orDie, Effect.provideContext(context))
  return { namespace, another, next: Queue.take(sockets), open, ends, context } satisfies World & { context: unknown }
})

const eventOf = (packet: string | Uint8Array): ReadonlyArray<any> | undefined => {
  const json = /^4[25](?:\d-)?\d*(\[.*)$/s.exec(String(packet))?.[1]
  return json === undefined ? undefined : JSON.parse(json)
}

const peerOf = (peer: RawPeer & { readonly network: Network }): Peer => {
  const event: Effect.Effect<ReadonlyArray<any>> = Effect.flatMap(Effect.orDie(peer.receive), (packet) => {
    const data = eventOf(packet)
    return data === undefined ? event : Effect.succeed(data)
  })
  return {
    ...peer,
    connect: Effect.fnUntraced(function* (auth?: object, namespace = "/") {
      yield* peer.send(`40${namespace},${auth === undefined ? "" : JSON.stringify(auth)}`)
      for (;;) {
        const packet = String(yield* Effect.orDie(peer.receive))
        if (/^4[04]/.test(packet)) return JSON.parse(packet.slice(packet.indexOf("{"))) as Answer
      }
    }),
    event,
    events: Effect.map(Effect.andThen(settle, peer.received), (packets) =>
      packets.map(eventOf).filter((data) => data !== undefined)
    )
  }
}

/** Lets everything arrive. */
export const settle: Effect.Effect<void> = Effect.gen(function* () {
  for (let i = 0; i < 50; i++) yield* Effect.yieldNow
})
