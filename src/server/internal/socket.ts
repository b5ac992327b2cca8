import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type { BroadcastFlags, EncodedBroadcast, LocalSocket, SocketDetails } from "../../adapter/Adapter.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { Handshake } from "../../Handshake.ts"
import { getOrThrow } from "../../internal/contractCodec.ts"
import { unsent } from "../../internal/decodeAck.ts"
import * as PacketType from "../../protocol/PacketType.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import { AckError } from "../../SocketIoError.ts"
import type { RoomSelection } from "../BroadcastOperator.ts"
import { namespaceRefusals, volatileDropped } from "../ServerMetrics.ts"
import type { EventRefused, IncomingEvent, PlainSocket, SocketBase } from "../ServerSocket.ts"
import { PendingAcks } from "./pendingAcks.ts"
import type { Connection } from "./connection.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { Emitter } from "./emitter.ts"
import { type HandlerRecord, Inbound, type PlainHandler, type RunFork } from "./inbound.ts"
import type { NamespaceRuntime } from "./namespace.ts"
import { asRooms, everybodyElse, noFlags, type Operator } from "./operator.ts"
import type { EncodedEvent } from "./outbound.ts"
import { PlainView } from "./plainView.ts"
import { RoomsView } from "./roomsView.ts"
import type { BroadcastTarget } from "./targets.ts"

/**
 * A client in a namespace: from its CONNECT packet on, whether it is admitted or not, to its end.
 */
export class SocketRuntime implements LocalSocket, SocketBase {
  readonly id: string
  readonly connection: Connection
  readonly home: NamespaceRuntime
  readonly scope: Scope.Closeable = Scope.makeUnsafe()
  /** The auth payload: as it came until the contract has decoded it, and what it made of it from then on. */
  private ownAuth: Readonly<Record<string, unknown>>
  /** What that costs, in bytes; counted in its connection. */
  authBytes = 0
  readonly inbound: Inbound
  /** What it was admitted by; its namespace may be served by another layer, or none, before it has ended. */
  contract: CompiledContract | undefined
  auth: unknown = undefined
  joined: Set<string> | undefined
  state: "connecting" | "connected" | "disconnected" = "connecting"
  /** What it runs in, but for its scope. */
  private base: Context.Context<any> | undefined
  private ownData: Readonly<Record<string, unknown>> = noData
  /** The rooms that it was in when it disconnected, for its finalizers. */
  private lastRooms: ReadonlySet<string> | undefined
  private roomsView: RoomsView | undefined
  private outgoingTaps: Array<PlainHandler> | undefined
  private disconnecting: Array<PlainHandler> | undefined
  /** The handlers of the end are being started: it has its reason, and comes only once. */
  private isTelling = false
  private acks: PendingAcks | undefined
  /** Who waits for room in the client's outbox. */
  private waiting: Set<() => void> | undefined
  private plainView: PlainSocket | undefined
  private ending: Deferred.Deferred<DisconnectReason> | undefined
  private reason: DisconnectReason | undefined

  constructor(id: string, connection: Connection, home: NamespaceRuntime, auth: Readonly<Record<string, unknown>>) {
    this.id = id
    this.connection = connection
    this.home = home
    this.ownAuth = auth
    this.inbound = new Inbound(this)
  }

  // ---------------------------------------------------------------- what handlers see

  get namespace(): string {
    return this.home.name
  }

  get params(): any {
    return this.home.family?.params(this.home.name) ?? {}
  }

  get handshake(): Handshake {
    const { address, headers, issued, query, secure, url } = this.connection.session.details
    return {
      headers,
      query,
      url,
      address,
      secure,
      issued,
      // Seldom asked for, and a microsecond of work.
      get time() {
        return new Date(issued).toString()
      },
      xdomain: Boolean(headers.origin),
      auth: this.ownAuth
    }
  }

  get transport(): string {
    return this.connection.session.transport
  }

  get connected(): boolean {
    return this.state === "connected"
  }

  get rooms(): ReadonlySet<string> {
    return (this.roomsView ??= new RoomsView(this))
  }

  get roomsNow(): ReadonlySet<string> | undefined {
    return this.lastRooms ?? this.joined
  }

  get data(): Readonly<Record<string, any>> {
    return this.ownData
  }

  get plain(): PlainSocket {
    return (this.plainView ??= new PlainView(this))
  }

  setData(data: Readonly<Record<string, unknown>>): Effect.Effect<void> {
    return Effect.sync(() => {
      const codecs = this.contract?.data
      const undeclared = Object.keys(data).find((field) => !codecs?.has(field))
      if (undeclared !== undefined) {
        throw new Error(`"${undeclared}" is not among the data of sockets in "${this.home.name}"`)
      }
      this.setPlainData(data)
    })
  }

  /** Sets data, declared or not. Throws on a value that is not of its declared type, and changes nothing then. */
  setPlainData(data: Readonly<Record<string, unknown>>): void {
    // Refused here, at the caller's, rather than where somebody fetches it.
    this.encodeData(data)
    const next: Record<string, unknown> = { ...this.ownData, ...data }
    for (const field of Object.keys(data)) if (data[field] === undefined) delete next[field]
    this.ownData = next
  }

  /** Data as the contract encodes them; what it does not declare stays as it is. */
  private encodeData(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const codecs = this.contract?.data
    if (codecs === undefined || codecs.size === 0) return data
    const encoded: Record<string, unknown> = {}
    for (const field of Object.keys(data)) {
      // What is taken away is of any type.
      if (data[field] === undefined) continue
      const codec = codecs.get(field)
      encoded[field] = codec === undefined ? data[field] : getOrThrow(codec.encode(data[field]), `data "${field}"`)
    }
    return encoded
  }

  join(rooms: RoomSelection): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.state === "disconnected") return Effect.void
      const names = asRooms(rooms)
      this.checkRooms(names)
      return this.home.adapter.join(this, names)
    })
  }

  /** Throws if the connection would be in more rooms than it may. */
  private checkRooms(names: ReadonlyArray<string>): void {
    const { maxRooms } = this.home.server.options
    let added = this.connection.rooms
    for (const room of names) added += roomWeight(room)
    if (added <= maxRooms) return
    // Some of them it may be in already, or stand there twice.
    for (const room of names) if (this.joined?.has(room) || room === this.id) added -= roomWeight(room)
    if (added > maxRooms) throw new Error(`a connection may be in ${maxRooms} rooms (maxRooms)`)
  }

  enterRoom(room: string): boolean {
    const { connection } = this
    const rooms = connection.rooms + roomWeight(room)
    if (rooms > this.home.server.options.maxRooms) {
      const annotations = { room, ...this.annotations }
      this.home.server.debug(
        "socket",
        "room not joined: its connection is in as many as it may be",
        annotations,
        connection
      )
      return false
    }
    connection.rooms = rooms
    return true
  }

  leaveRoom(room: string): void {
    this.connection.rooms -= roomWeight(room)
  }

  leave(rooms: RoomSelection): Effect.Effect<void> {
    return Effect.suspend(() => this.home.adapter.leave(this, asRooms(rooms)))
  }

  to(rooms: RoomSelection): Operator {
    return this.broadcast.to(rooms)
  }

  in(rooms: RoomSelection): Operator {
    return this.broadcast.to(rooms)
  }

  except(rooms: RoomSelection): Operator {
    return this.broadcast.except(rooms)
  }

  get broadcast(): Operator {
    return everybodyElse(this.home.contractTarget, this.id)
  }

  get volatile(): Emitter {
    return new Emitter(this, this.home.contractTarget, { ...noFlags, volatile: true })
  }

  compress(compress: boolean): Emitter {
    return new Emitter(this, this.home.contractTarget, { ...noFlags, compress })
  }

  emit(event: string, ...payload: ReadonlyArray<unknown>): Effect.Effect<void> {
    return this.emitFrom(this.home.contractTarget, event, payload, noFlags)
  }

  emitWithAck(event: string, ...payload: ReadonlyArray<unknown>): Effect.Effect<any, any> {
    return new Emitter(this, this.home.contractTarget, noFlags).emitWithAck(event, ...payload)
  }

  stream(event: string): Stream.Stream<any> {
    return Stream.unwrap(this.subscribe(event))
  }

  subscribe(event: string): Effect.Effect<Stream.Stream<any>, never, Scope.Scope> {
    return Effect.suspend(() => {
      if (this.home.registration?.contract?.incoming.has(event) === false) {
        throw new Error(`"${event}" is not among the events that clients send to "${this.home.name}"`)
      }
      return this.inbound.subscribe(event)
    })
  }

  use<R>(middleware: (event: IncomingEvent) => Effect.Effect<unknown, EventRefused, R>): Effect.Effect<void, never, R> {
    return Effect.contextWith((context) =>
      Effect.sync(() => this.inbound.addMiddleware({ context, check: middleware }))
    )
  }

  onAny<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return withRunner((run) => this.inbound.addAnyHandler({ run, handle: handler }))
  }

  onAnyOutgoing<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return withRunner((run) => (this.outgoingTaps ??= []).push({ run, handle: handler }))
  }

  onDisconnecting<E, R>(
    handler: (reason: DisconnectReason) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R> {
    return withRunner((run) =>
      (this.disconnecting ??= []).push({ run, handle: (reason) => handler(reason as DisconnectReason) })
    )
  }

  disconnect(options?: { readonly close?: boolean }): Effect.Effect<void> {
    return Effect.sync(() => this.disconnectUnsafe(options?.close === true))
  }

  get disconnected(): Effect.Effect<DisconnectReason> {
    return Effect.suspend(() =>
      this.reason === undefined
        ? Deferred.await((this.ending ??= Deferred.makeUnsafe<DisconnectReason>()))
        : Effect.succeed(this.reason)
    )
  }

  // ---------------------------------------------------------------- what other servers see

  get details(): SocketDetails {
    // As they are now: whoever gets it may look at it later, or elsewhere.
    const rooms = new Set([this.id])
    for (const room of this.roomsNow ?? []) rooms.add(room)
    return { id: this.id, handshake: this.handshake, rooms, data: this.encodeData(this.ownData) }
  }

  // ---------------------------------------------------------------- out

  deliver(encoded: EncodedBroadcast, flags: BroadcastFlags): void {
    const { data, message } = encoded as EncodedEvent
    if (this.state === "disconnected" || (flags.volatile && this.isBehind())) return
    if (this.outgoingTaps !== undefined) this.tellOutgoing(data)
    this.connection.session.sendUnsafe(message)
  }

  deliverForAck(
    encoded: EncodedBroadcast,
    id: number,
    flags: BroadcastFlags,
    onAck: (args: ReadonlyArray<unknown> | undefined) => void
  ): (() => void) | undefined {
    if (this.state !== "connected" || (flags.volatile && this.isBehind())) return undefined
    if (this.owesTooMany) return undefined
    const acks = (this.acks ??= new PendingAcks(this.connection))
    const { data, message } = encoded as EncodedEvent
    acks.add(id, onAck)
    this.connection.onAwaiting()
    if (this.outgoingTaps !== undefined) this.tellOutgoing(data)
    this.connection.session.sendUnsafe(message, () => acks.settle(id, undefined))
    return () => acks.remove(id)
  }

  /** Whether a volatile packet would have to wait for the client, and is rather dropped. */
  private isBehind(): boolean {
    if (this.connection.session.writable) return false
    this.home.server.count(volatileDropped, { namespace: this.home.label })
    return true
  }

  private tellOutgoing([event, ...args]: readonly [event: string, ...args: Array<unknown>]): void {
    this.inbound.startAll(this.outgoingTaps!, event, args, [event])
  }

  private sendPacket(
    type: SocketPacket["type"],
    id: number | undefined,
    data: unknown,
    mayHaveBinary: boolean,
    compress: boolean,
    onDropped?: () => void
  ): void {
    const message = this.home.server.encode(type, this.home.name, id, data, mayHaveBinary, false)
    message.compress = compress
    this.connection.session.sendUnsafe(message, onDropped)
  }

  /** Sends an event; throws on what cannot be encoded. Whether it was sent. */
  send(
    { data, mayHaveBinary }: { readonly data: ReadonlyArray<unknown>; readonly mayHaveBinary: boolean },
    flags: BroadcastFlags,
    id?: number,
    onDropped?: () => void
  ): boolean {
    if (this.state === "disconnected" || (flags.volatile && this.isBehind())) return false
    if (this.outgoingTaps !== undefined) this.tellOutgoing(data as [string, ...Array<unknown>])
    this.sendPacket(PacketType.EVENT, id, data, mayHaveBinary, flags.compress, onDropped)
    return true
  }

  /** Sends an event: now, or where the policy is to wait for room, then. */
  emitFrom(
    target: BroadcastTarget,
    event: string,
    args: ReadonlyArray<unknown>,
    flags: BroadcastFlags
  ): Effect.Effect<void> {
    if (!this.home.server.options.suspends || flags.volatile) {
      return Effect.sync(() => void this.send(target.packet(event, args), flags))
    }
    return Effect.suspend(() => {
      const packet = target.packet(event, args)
      return this.whenRoom<void, never>((resume) => {
        this.send(packet, flags)
        resume(Effect.void)
      })
    })
  }

  /** Whether the client's outbox has room, or there is nobody left to wait for. */
  get hasRoom(): boolean {
    return this.state === "disconnected" || this.connection.session.hasCapacity
  }

  /** Waits until it has. */
  get awaitRoom(): Effect.Effect<void> {
    return this.whenRoom((resume) => resume(Effect.void))
  }

  /**
   * Does something when there is room in the client's outbox, in the order in which it was asked for, or when the socket has
   * disconnected. Interruption calls it off.
   */
  private whenRoom<A, E>(act: (resume: (effect: Effect.Effect<A, E>) => void) => void): Effect.Effect<A, E> {
    return Effect.callback<A, E>((resume) => {
      let isWaiting = true
      const run = () => {
        isWaiting = false
        this.waiting?.delete(giveUp)
        try {
          act(resume)
        } catch (defect) {
          resume(Effect.die(defect))
        }
      }
      let cancel: (() => void) | undefined
      const giveUp = () => {
        cancel?.()
        run()
      }
      if (this.state === "disconnected") return run()
      cancel = this.connection.session.onCapacity(run)
      if (!isWaiting) return
      ;(this.waiting ??= new Set()).add(giveUp)
      return Effect.sync(() => {
        cancel?.()
        this.waiting?.delete(giveUp)
      })
    })
  }

  /** Sends an event and waits for the arguments of its acknowledgement. */
  request(
    event: string,
    encode: () => { readonly data: ReadonlyArray<unknown>; readonly mayHaveBinary: boolean },
    flags: BroadcastFlags
  ): Effect.Effect<ReadonlyArray<unknown>, AckError> {
    const request = Effect.callback<ReadonlyArray<unknown>, AckError>((resume) => {
      const fail = (reason: AckError["reason"]) => resume(Effect.fail(new AckError({ event, reason })))
      if (this.state === "disconnected") return fail("disconnected")
      if (this.owesTooMany) return fail("too many pending")
      const acks = (this.acks ??= new PendingAcks(this.connection))
      const id = this.home.nextAckId()
      acks.add(id, (args) => (args === undefined ? fail("disconnected") : resume(Effect.succeed(args))))
      this.connection.onAwaiting()
      const onDropped = () => {
        acks.remove(id)
        fail("not sent")
      }
      try {
        if (!this.send(encode(), flags, id, onDropped)) return onDropped()
      } catch (defect) {
        acks.remove(id)
        return resume(unsent(event, Cause.die(defect)))
      }
      return Effect.sync(() => acks.remove(id))
    })
    return this.home.server.options.suspends && !flags.volatile ? Effect.andThen(this.awaitRoom, request) : request
  }

  /** Whether the client owes as many acknowledgements as it may, over all of its sockets. */
  private get owesTooMany(): boolean {
    return this.connection.owedAcks >= this.home.server.options.maxPendingAcks
  }

  sendAck(id: number, args: ReadonlyArray<unknown>, mayHaveBinary: boolean): void {
    if (this.state === "connected") this.sendPacket(PacketType.ACK, id, args, mayHaveBinary, true)
  }

  // ---------------------------------------------------------------- in

  /** A packet of the client for this socket, other than CONNECT. */
  onPacket(packet: SocketPacket): void {
    switch (packet.type) {
      case PacketType.EVENT:
        return this.inbound.onEvent(packet)
      case PacketType.ACK:
        // Acknowledgements pass: the builder may be waiting for one.
        return this.acks?.settle(packet.id!, packet.data as ReadonlyArray<unknown>)
      case PacketType.DISCONNECT:
        this.connection.forget(this)
        return this.end("client namespace disconnect")
      default:
        return this.connection.session.closeUnsafe("parse error", "CONNECT_ERROR from a client")
    }
  }

  get annotations(): Record<string, string> {
    return { sid: this.id, namespace: this.home.name }
  }

  // ---------------------------------------------------------------- life

  /**
   * Runs the effect that connects the socket, in its scope, and in the context of who serves the namespace, if that is known. It is
   * interrupted when the socket ends. One whose effect fails is refused, or disconnected: without handlers it is of no use to
   * anybody.
   */
  launch(make: () => Effect.Effect<unknown>, onExit: () => void): void {
    const { home } = this
    this.enterContext(home.registration?.context ?? (home.server.context as Context.Context<any>))
    this.inbound.launch(make, (exit) => {
      if (exit._tag === "Failure") {
        if (this.state === "connecting") this.refuse("Internal error")
        else this.disconnectUnsafe(false)
      }
      onExit()
      if (exit._tag === "Failure" && !Cause.hasInterruptsOnly(exit.cause)) {
        home.server.error("connecting a socket failed", exit.cause, this.annotations, this.connection)
      }
    })
  }

  /**
   * The context in which the builder and handlers run from now on: the given one, with the socket's scope. Nothing if they do
   * already.
   */
  enterContext(context: Context.Context<any>): Context.Context<any> | undefined {
    if (context === this.base) return undefined
    this.base = context
    const own: Context.Context<any> = Context.add(context, Scope.Scope, this.scope)
    this.inbound.useRunner(Effect.runForkWith(own) as RunFork)
    return own
  }

  /** What the client has sent with its CONNECT, for whoever decides whether it may come in. */
  get rawAuth(): Readonly<Record<string, unknown>> {
    return this.ownAuth
  }

  /** It is decided: of an auth payload only what the contract declares is kept. */
  private keepAuth(): void {
    if (this.contract === undefined) return
    if (!this.contract.declaresAuth) {
      this.auth = undefined
      this.releaseAuth()
    }
    const { auth } = this
    this.ownAuth = typeof auth === "object" && auth !== null ? (auth as Readonly<Record<string, unknown>>) : noData
  }

  private releaseAuth(): void {
    this.connection.authBytes -= this.authBytes
    this.authBytes = 0
  }

  /** The client is told that it is in. */
  admit(): void {
    const { connection, home } = this
    this.state = "connected"
    this.keepAuth()
    home.sockets.set(this.id, this)
    connection.onAdmitted()
    const data = connection.isLegacy ? undefined : { sid: this.id }
    this.sendPacket(PacketType.CONNECT, undefined, data, false, true)
    home.server.debug("namespace", "socket connected", this.annotations, connection)
  }

  /** The handlers are there. */
  setReady(handlers: HandlerRecord | undefined): void {
    if (this.state === "connected") this.inbound.setReady(handlers)
  }

  /** The client is told that it does not get in. */
  refuse(message: string, data?: unknown): undefined {
    if (this.state !== "connecting") return
    const { connection, home } = this
    try {
      connection.refuse(home.name, message, data)
    } catch {
      // Data that cannot be encoded: the refusal counts.
      connection.refuse(home.name, message)
    }
    connection.forget(this)
    home.server.count(namespaceRefusals, { namespace: home.isRegistered ? home.label : "" })
    const annotations = { message, ...this.annotations }
    home.server.debug("namespace", "connection to namespace refused", annotations, connection)
    this.end("server namespace disconnect")
  }

  /** Nothing serves the default namespace, and a client of protocol 4 is in it without having asked: it ends, and the client stays. */
  leaveUnserved(): void {
    if (this.state !== "connecting") return
    this.connection.forget(this)
    this.connection.enterUnserved()
    this.end("server namespace disconnect")
  }

  disconnectUnsafe(close: boolean): void {
    if (this.state === "disconnected" || this.isTelling) return
    if (close) return this.connection.disconnectAll()
    // Whoever listens for the end can still send something before it.
    this.tellDisconnecting("server namespace disconnect")
    this.sendPacket(PacketType.DISCONNECT, undefined, undefined, false, true)
    this.connection.forget(this)
    this.end("server namespace disconnect")
  }

  /** Tells those who want to know before it happens, once: the rooms are still intact. */
  tellDisconnecting(reason: DisconnectReason): void {
    const { disconnecting } = this
    if (disconnecting === undefined || this.state !== "connected") return
    this.disconnecting = undefined
    this.isTelling = true
    this.inbound.startAll(disconnecting, reason, [], 0)
    this.isTelling = false
  }

  /** The end, whatever brought it: nothing is delivered any more, acknowledgements fail, the scope closes. */
  end(reason: DisconnectReason): void {
    this.tellDisconnecting(reason)
    if (this.state === "disconnected") return
    const admitted = this.state === "connected"
    // A copy, as it leaves them; one that was in none looks at none.
    if (admitted) this.lastRooms = new Set(this.joined)
    this.state = "disconnected"
    this.reason = reason
    const { acks, connection, ending, home, waiting } = this
    this.acks = this.ending = this.waiting = undefined
    home.remove(this, reason)
    acks?.abandon()
    if (waiting !== undefined) for (const giveUp of waiting) giveUp()
    if (ending !== undefined) Deferred.doneUnsafe(ending, Effect.succeed(reason))
    connection.leaving++
    this.inbound.close((running) => {
      // Finalizers start before the rooms are left, so that what they send at once still finds them, unless handlers take
      // their time to end: what they use is not taken from them.
      const onClosed = () => {
        connection.leaving--
        this.releaseAuth()
      }
      home.server.closeScope(this.scope, this.annotations, onClosed, running, connection)
      // Who was never in has no rooms; an adapter that nobody needs is not made for it.
      if (admitted) home.leaveAll(this)
    })
    if (admitted) home.server.debug("namespace", "socket disconnected", { reason, ...this.annotations }, connection)
  }
}

const noData: Readonly<Record<string, unknown>> = {}

/** For how many rooms a room counts: a name is memory, too. */
const roomWeight = (room: string): number => 1 + (room.length >> 8)

/** Registers something that runs in the context in which it is registered. */
export const withRunner = <R>(register: (run: RunFork) => unknown): Effect.Effect<void, never, R> =>
  Effect.contextWith((context: Context.Context<R>) =>
    Effect.sync(() => void register(Effect.runForkWith(context) as RunFork))
  )
