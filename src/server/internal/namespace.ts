import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

import type { Adapter, BroadcastPacket, Host } from "../../adapter/Adapter.ts"
import {
  type Codec,
  compile,
  compileEvents,
  describe,
  encodePayload,
  type EventCodec
} from "../../internal/contractCodec.ts"
import type * as Namespace from "../../Namespace.ts"
import { type AnyService, ConnectRefused } from "../../NamespaceMiddleware.ts"
import { encodeConnect, encodeEvent } from "../../protocol/PacketEncoder.ts"
import { isReservedEvent } from "../../protocol/SocketPacket.ts"
import { decodeAck } from "./acks.ts"
import type { Connection } from "./connection.ts"
import type { BroadcastTarget } from "./operator.ts"
import { outbound } from "./outbound.ts"
import type { ServerRuntime } from "./server.ts"
import { type HandlerRecord, SocketRuntime } from "./socket.ts"

/** How a namespace's sockets are built: what its layer was given. */
export interface Registration {
  readonly contract: Namespace.Any | undefined
  readonly context: Context.Context<any>
  /** Runs once per connected socket, in its scope; yields the contract's handlers. */
  readonly build: (socket: any) => Effect.Effect<HandlerRecord | void, never, any>
}

interface CompiledMiddleware {
  readonly service: AnyService
  readonly auth: Codec
  readonly error: Codec
}

const noEvents: ReadonlyMap<string, EventCodec> = new Map()

/**
 * A namespace of a server. It may be mentioned (by a client that waits for it, by whoever broadcasts to it) before a layer
 * registers it.
 */
export class NamespaceRuntime {
  readonly name: string
  readonly server: ServerRuntime
  readonly sockets = new Map<string, SocketRuntime>()
  readonly accepting: Latch.Latch
  adapter!: Adapter
  incoming: ReadonlyMap<string, EventCodec> = noEvents
  concurrency: number | undefined = undefined
  /** Whether the application knows of it, rather than clients alone. */
  isMentioned = false
  private outgoingEvents: ReadonlyMap<string, EventCodec> = noEvents
  private auth: Codec | undefined
  private middlewares: ReadonlyArray<CompiledMiddleware> = []
  private registration: Registration | undefined
  /** Whether it has been served: clients that come when it is not shall come back, rather than give up. */
  hasServed = false
  private waiting = 0
  private ackIds = 0

  constructor(name: string, server: ServerRuntime, accepting: Latch.Latch) {
    this.name = name
    this.server = server
    this.accepting = accepting
  }

  get isRegistered(): boolean {
    return this.registration !== undefined
  }

  /** Whether nobody would miss it. */
  get isUnused(): boolean {
    return !this.isMentioned && this.waiting === 0
  }

  /** What the adapter needs of the namespace. */
  get host(): Host {
    return {
      namespace: this.name,
      sockets: this.sockets,
      encode: ({ data, mayHaveBinary }) => outbound(encodeEvent(this.name, undefined, data, mayHaveBinary), true),
      encodeForAck: ({ data, mayHaveBinary }) => {
        const id = this.nextAckId()
        return { encoded: outbound(encodeEvent(this.name, id, data, mayHaveBinary), true), id }
      }
    }
  }

  /** Ids of acknowledgements are the namespace's, so that a broadcast can ask everybody by the same. */
  nextAckId(): number {
    return this.ackIds++
  }

  /** Learns a contract's events, to broadcast them. */
  learn(contract: Namespace.Any): void {
    if (this.outgoingEvents === noEvents) this.outgoingEvents = compileEvents(contract.serverToClient)
  }

  register(registration: Registration): void {
    const { contract } = registration
    this.registration = registration
    this.hasServed = true
    if (contract !== undefined) {
      this.incoming = compileEvents(contract.clientToServer)
      this.outgoingEvents = compileEvents(contract.serverToClient)
      this.concurrency = contract.concurrency
      this.auth = compile(contract.auth)
      this.middlewares = contract.middlewares.map((service) => ({
        service,
        auth: compile(service.auth),
        error: compile(service.error)
      }))
    }
    this.accepting.openUnsafe()
  }

  /** No more clients are admitted, and those that are here lose their connection: they may come back to what replaces it. */
  unregister(): void {
    this.registration = undefined
    this.accepting.closeUnsafe()
    this.incoming = noEvents
    this.concurrency = undefined
    this.auth = undefined
    this.middlewares = []
    for (const socket of Array.from(this.sockets.values())) {
      socket.connection.session.closeUnsafe("server shutting down")
    }
  }

  // ---------------------------------------------------------------- out

  outgoing(event: string): EventCodec {
    const codec = this.outgoingEvents.get(event)
    if (codec === undefined) throw new Error(`"${event}" is not among the events that "${this.name}" sends to clients`)
    return codec
  }

  private readonly throughAdapter: Pick<BroadcastTarget, "broadcast" | "broadcastWithAck"> = {
    broadcast: (packet, selection, flags) => this.adapter.broadcast(packet, selection, flags),
    broadcastWithAck: (packet, selection, flags) => this.adapter.broadcastWithAck(packet, selection, flags)
  }

  /** Broadcasts the contract's events. */
  readonly contractTarget: BroadcastTarget = {
    packet: (event, args): BroadcastPacket => {
      const codec = this.outgoing(event)
      return { data: encodePayload(codec, args[0]), mayHaveBinary: codec.payload.mayHaveBinary }
    },
    decodeAck: (event, args) => decodeAck(this.outgoing(event), args),
    ...this.throughAdapter
  }

  /** Broadcasts any event. */
  readonly plainTarget: BroadcastTarget = {
    packet: (event, args): BroadcastPacket => {
      if (isReservedEvent(event)) throw new Error(`"${event}" is a reserved event name`)
      return { data: [event, ...args], mayHaveBinary: true }
    },
    decodeAck: (_event, args) => Effect.succeed(args),
    ...this.throughAdapter
  }

  // ---------------------------------------------------------------- connecting

  makeSocket(connection: Connection, auth: Readonly<Record<string, unknown>>): SocketRuntime {
    return new SocketRuntime(this.server.generateId(), connection, this, auth)
  }

  /** Admits a socket or refuses it: middleware, the CONNECT reply, then its builder. */
  connect(socket: SocketRuntime): void {
    socket.launch(
      Effect.onError(this.connecting(socket), () => Effect.sync(() => this.refuse(socket, "Internal error")))
    )
  }

  remove(socket: SocketRuntime): void {
    this.sockets.delete(socket.id)
  }

  private readonly connecting = Effect.fnUntraced({ self: this }, function* (socket: SocketRuntime) {
    if (this.registration === undefined) yield* this.awaitRegistration
    const registration = this.registration as Registration | undefined
    if (registration === undefined) {
      if (this.hasServed) return socket.connection.session.closeUnsafe("server shutting down")
      return this.refuse(socket, "Invalid namespace")
    }
    const admitted = yield* this.authenticate(socket, registration)
    if (admitted === undefined || !this.admit(socket, registration)) return
    const context = socket.enterContext(admitted)
    const handlers = yield* Effect.suspend(() =>
      registration.build(registration.contract === undefined ? socket.plain : socket)
    ).pipe(
      Effect.provideContext(context),
      // A socket without handlers is of no use to anybody.
      Effect.onError(() => Effect.sync(() => socket.disconnectByServer(false)))
    )
    socket.setReady(handlers ?? undefined)
  })

  private get awaitRegistration(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.waiting++
      return Effect.timeoutOption(this.accepting.await, Duration.millis(this.server.graceLeft)).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            this.waiting--
            this.server.forgetIfUnused(this)
          })
        )
      )
    })
  }

  /** Runs the middlewares; the context of the socket's handlers if all of them admit it. */
  private readonly authenticate = Effect.fnUntraced(
    { self: this },
    function* (socket: SocketRuntime, registration: Registration) {
      if (this.auth !== undefined) {
        const auth = this.auth.decode(socket.rawAuth)
        if (auth._tag === "Failure") return this.refuseAuth(socket, describe(auth))
        socket.auth = auth.value
      }
      let context = registration.context
      for (const { auth: codec, error, service } of this.middlewares) {
        const auth = codec.decode(socket.rawAuth)
        if (auth._tag === "Failure") return this.refuseAuth(socket, describe(auth))
        const middleware = Context.getUnsafe(registration.context, service)
        const request = { id: socket.id, namespace: this.name, handshake: socket.handshake, auth: auth.value }
        const result = yield* Effect.suspend(() => middleware(request) as Effect.Effect<unknown, unknown>).pipe(
          Effect.map((value) => ({ value })),
          Effect.catch((failure) => Effect.sync(() => this.refuseFor(socket, failure, error))),
          Effect.onError(() => Effect.sync(() => this.refuse(socket, "Internal error")))
        )
        if (result === undefined) return undefined
        if (service.provides !== undefined) context = Context.add(context, service.provides, result.value)
      }
      return context
    }
  )

  private admit(socket: SocketRuntime, registration: Registration): boolean {
    const { connection } = socket
    if (socket.state !== "connecting" || !connection.session.isOpen) return false
    if (this.registration !== registration) {
      // Its layer has closed while the middlewares were at work.
      connection.session.closeUnsafe("server shutting down")
      return false
    }
    const reply = outbound(encodeConnect(this.name, { sid: socket.id }), false)
    socket.state = "connected"
    this.sockets.set(socket.id, socket)
    connection.onAdmitted()
    connection.session.sendUnsafe(reply)
    this.server.debug("socket connected", socket.annotations)
    return true
  }

  private refuseAuth(socket: SocketRuntime, description: string): undefined {
    this.server.debug("auth payload refused", { description, ...socket.annotations })
    return this.refuse(socket, "Invalid auth payload")
  }

  private refuseFor(socket: SocketRuntime, failure: unknown, codec: Codec): undefined {
    if (failure instanceof ConnectRefused) return this.refuse(socket, failure.message, failure.data)
    const encoded = codec.encode(failure)
    const data = encoded._tag === "Success" ? encoded.value : undefined
    const { _tag, message } = failure as { readonly _tag?: string; readonly message?: string }
    return this.refuse(socket, message || _tag || "Refused", data)
  }

  private refuse(socket: SocketRuntime, message: string, data?: unknown): undefined {
    if (socket.state !== "connecting") return
    const { connection } = socket
    try {
      connection.refuse(this.name, message, data)
    } catch {
      // Data that cannot be encoded: the refusal counts.
      connection.refuse(this.name, message)
    }
    connection.forget(socket)
    this.server.debug("connection to namespace refused", { message, ...socket.annotations })
    socket.end("server namespace disconnect")
  }
}
