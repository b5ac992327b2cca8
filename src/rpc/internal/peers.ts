import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as RpcServer from "effect/rpc/RpcServer"
import type { FromClientEncoded } from "effect/rpc/RpcMessage"
import type * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import { SESSION, type WithSession, type WithSessions } from "../../internal/socketSession.ts"
import type { ServerConnection } from "../../server/ServerConnection.ts"
import type { ServerSocket } from "../../server/ServerSocket.ts"
import { SocketIoServer, type SocketIoServerShape } from "../../server/SocketIoServer.ts"
import type { Reset } from "./frames.ts"
import { type Load, Peer, type PeerHost, type PeerOptions } from "./peer.ts"
import type { UntypedSocket } from "./slot.ts"

/** A namespace whose clients may come back, and their peers by the ids of their sockets. */
interface Place {
  readonly peers: Map<string, Peer>
  readonly watching: Fiber.Fiber<void>
}

/** A socket that may call. Its peer is another one after a frame was lost. */
interface Attached {
  readonly services: Context.Context<never>
  peer: Peer
}

/** A frame that nobody has asked for: the client's requests are lost. */
const RESET: Reset = { _tag: "Reset" }

/** The peers of one RPC server. */
class Peers implements PeerHost {
  readonly options: PeerOptions
  readonly write: PeerHost["write"]
  private readonly server: SocketIoServerShape
  private readonly disconnects: Queue.Queue<number>
  private readonly runFork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
  private readonly all = new Map<number, Peer>()
  private readonly places = new Map<string, Place>()
  private readonly attached = new WeakMap<UntypedSocket, Attached>()
  private readonly loads = new WeakMap<ServerConnection, Load>()
  /**
   * The peers whose clients are away, with the memory of their requests when they left: the longest
   * first.
   */
  private readonly away = new Map<Peer, number>()
  private awayBytes = 0
  private lastId = 0

  constructor(
    options: PeerOptions,
    write: PeerHost["write"],
    server: SocketIoServerShape,
    disconnects: Queue.Queue<number>,
    runFork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
  ) {
    this.options = options
    this.write = write
    this.server = server
    this.disconnects = disconnects
    this.runFork = runFork
  }

  get ids(): ReadonlySet<number> {
    return new Set(this.all.keys())
  }

  get(id: number): Peer | undefined {
    return this.all.get(id)
  }

  loadOf(connection: ServerConnection): Load {
    let load = this.loads.get(connection)
    if (load === undefined) this.loads.set(connection, (load = { requests: 0, cost: 0 }))
    return load
  }

  /** Lets a socket call, until its scope, or the current one, closes. */
  attach(socket: UntypedSocket): Effect.Effect<void, never, Scope.Scope> {
    return Effect.contextWith((services: Context.Context<Scope.Scope>) =>
      Effect.suspend(() => {
        if (this.attached.has(socket)) throw new Error("a socket is attached twice to one endpoint")
        const attached = { services, peer: this.peerOf(socket, services) }
        this.attached.set(socket, attached)
        return Effect.andThen(
          socket.on(this.options.event, (frame) => attached.peer.receive(frame)),
          Effect.addFinalizer(() => Effect.sync(() => this.onLeft(attached.peer, socket)))
        )
      })
    )
  }

  /** The peer of a socket: that of its session, if its client has been nowhere else. */
  private peerOf(socket: UntypedSocket, services: Context.Context<never>): Peer {
    const former = socket.recovered ? this.places.get(socket.namespace)?.peers.get(socket.id) : undefined
    if (former === undefined) return this.add(socket, services)
    if (former.isForgotten || !(socket as unknown as WithSession)[SESSION].isUnbroken) {
      this.end(former)
      return this.add(socket, services)
    }
    this.notAway(former)
    former.bind(socket, services)
    return former
  }

  /** The client waits for an answer that may not come: it begins anew. */
  onLost(peer: Peer): void {
    if (peer.isEnded) return
    const { socket } = peer
    this.end(peer)
    const attached = this.attached.get(socket)
    if (attached === undefined || !socket.connected) return
    attached.peer = this.add(socket, attached.services)
    this.runFork((socket as unknown as WithSession)[SESSION].emitAtOnce(this.options.event, RESET))
  }

  private add(socket: UntypedSocket, services: Context.Context<never>): Peer {
    const peer = new Peer(this, ++this.lastId, socket, services)
    this.all.set(peer.id, peer)
    if (peer.isRecoverable) this.placeOf(socket.namespace).peers.set(socket.id, peer)
    return peer
  }

  /** A socket has left, or is not attached any more. Without recovery nobody comes back. */
  private onLeft(peer: Peer, socket: UntypedSocket): void {
    this.attached.delete(socket)
    if (peer.socket !== socket || peer.isEnded) return
    if (!peer.isRecoverable || socket.connected) return this.end(peer)
    peer.onAway()
    this.away.set(peer, peer.memory)
    this.awayBytes += peer.memory
    for (const longest of this.away.keys()) {
      if (this.awayBytes <= this.options.maxAwayBytes) return
      this.end(longest)
    }
  }

  private notAway(peer: Peer): void {
    this.awayBytes -= this.away.get(peer) ?? 0
    this.away.delete(peer)
  }

  end(peer: Peer): void {
    if (peer.isEnded) return
    peer.end()
    this.notAway(peer)
    this.all.delete(peer.id)
    Queue.offerUnsafe(this.disconnects, peer.id)
    const place = this.places.get(peer.namespace)
    if (place?.peers.get(peer.sid) !== peer) return
    place.peers.delete(peer.sid)
    if (place.peers.size > 0) return
    this.places.delete(peer.namespace)
    place.watching.interruptUnsafe()
  }

  private placeOf(namespace: string): Place {
    const known = this.places.get(namespace)
    if (known !== undefined) return known
    const peers = new Map<string, Peer>()
    const handle = Effect.runSync(this.server.namespace(namespace))
    const forget = (sid: string) => {
      const peer = peers.get(sid)
      if (peer !== undefined) peer.isForgotten = true
      return peer
    }
    const watching = this.runFork(
      Stream.runForEach((handle as unknown as WithSessions)[SESSION](forget), (peer) =>
        Effect.sync(() => this.end(peer))
      )
    )
    const place = { peers, watching }
    this.places.set(namespace, place)
    return place
  }
}

export interface RpcEndpoint {
  readonly protocol: RpcServer.Protocol["Service"]
  readonly attach: (socket: ServerSocket<any>) => Effect.Effect<void, never, Scope.Scope>
}

/** Makes a protocol of RPC servers, and the way for sockets to it. */
export const makeEndpoint = Effect.fnUntraced(function* (
  options: PeerOptions
): Effect.fn.Return<RpcEndpoint, never, SocketIoServer | Scope.Scope> {
  const server = yield* SocketIoServer
  const disconnects = yield* Queue.make<number>()
  const scope = yield* Effect.scope
  const context = yield* Effect.context<never>()
  const fibers = new Set<Fiber.Fiber<unknown>>()
  yield* Scope.addFinalizer(
    scope,
    Effect.suspend(() => Fiber.interruptAll(fibers))
  )
  const runFork = <A>(effect: Effect.Effect<A>): Fiber.Fiber<A> => {
    const fiber = Effect.runForkWith(context)(effect)
    fibers.add(fiber)
    fiber.addObserver(() => fibers.delete(fiber))
    return fiber
  }
  let peers!: Peers
  const protocol = yield* RpcServer.Protocol.make(
    (write: (id: number, frame: FromClientEncoded) => Effect.Effect<void>) => {
      peers = new Peers(options, write, server, disconnects, runFork)
      return Effect.succeed({
        disconnects,
        send: (id, response) => peers.get(id)?.send(response) ?? Effect.void,
        end: (id) =>
          Effect.sync(() => {
            const peer = peers.get(id)
            if (peer !== undefined) peers.end(peer)
          }),
        clientIds: Effect.sync(() => peers.ids),
        initialMessage: Effect.succeed(Option.none()),
        supportsAck: true,
        supportsTransferables: false,
        supportsSpanPropagation: true,
        supportsNotifications: true,
        // The packet's own parser does the rest: frames are objects, and bytes leave as
        // attachments.
        codecFor: Schema.toCodecJson as RpcSerialization.CodecFor
      })
    }
  )
  return { protocol, attach: (socket) => peers.attach(socket.untyped) }
})
