import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type { CompiledContract } from "../../internal/compileContract.ts"
import type { EventCodec } from "../../internal/contractCodec.ts"
import { log } from "../../internal/log.ts"
import { PendingAcks } from "../../internal/pendingAcks.ts"
import { isReservedEvent, PacketType, type SocketPacket } from "../../protocol/SocketPacket.ts"
import { AckError } from "../../SocketIoError.ts"
import { type ClientDisconnectReason, ConnectError, type SocketStatus } from "../ClientSocket.ts"
import { CAPACITY, Mailbox } from "./mailbox.ts"
import type { Manager } from "./manager.ts"

/** The auth payload, made anew for every connection. */
export type MakeAuth = Effect.Effect<Readonly<Record<string, unknown>> | undefined>

interface OutgoingEvent {
  readonly data: ReadonlyArray<unknown>
  readonly mayHaveBinary: boolean
  readonly id: number | undefined
}

interface Handler {
  readonly run: (effect: Effect.Effect<any, any, any>) => Fiber.Fiber<any, any>
  readonly handle: (...args: Array<any>) => Effect.Effect<any, any, any>
}

type Listener = (event: string, args: ReadonlyArray<unknown>) => void

type RefusedPayload = Extract<ReturnType<CompiledContract["wire"]["decodePayload"]>, { readonly _tag: "Failure" }>

/**
 * A client's socket: it wants to be connected from its making to its end, unless somebody disconnects it or the server refuses it.
 */
export class SocketRuntime {
  readonly namespace: string
  readonly #manager: Manager
  readonly #contract: CompiledContract | undefined
  readonly #auth: MakeAuth
  #sid: string | undefined
  /** What a server that recovers connections knows this one by, and the last packet that came of it. */
  #pid: string | undefined
  #offset: string | undefined
  #wasRecovered = false
  /** Whether CONNECT was sent over the connection that is open. */
  #state: "idle" | "connecting" | "connected" = "idle"
  #connecting: Fiber.Fiber<unknown, unknown> | undefined
  readonly #acks = new PendingAcks()
  #ackIds = 0
  #outbox: Array<OutgoingEvent> = []
  /** Events that came before the CONNECT reply. */
  #early: Array<SocketPacket> = []
  readonly #taps = new Map<string, Set<(payload: unknown) => void>>()
  readonly #handlers = new Map<string, Set<Handler>>()
  readonly #anyListeners = new Set<Listener>()
  readonly #statusListeners = new Set<(status: SocketStatus) => void>()
  readonly #ends = new Set<() => void>()
  #last: SocketStatus = { _tag: "Connecting" }
  #disposed = false

  constructor(manager: Manager, namespace: string, contract: CompiledContract | undefined, auth: MakeAuth) {
    this.#manager = manager
    this.namespace = namespace
    this.#contract = contract
    this.#auth = auth
  }

  // ---------------------------------------------------------------- what users see

  get id(): string | undefined {
    return this.#sid
  }

  get connected(): boolean {
    return this.#state === "connected"
  }

  get recovered(): boolean {
    return this.connected && this.#wasRecovered
  }

  get status(): Stream.Stream<SocketStatus> {
    return Stream.unwrap(
      this.#tap((offer) => {
        offer(this.#last)
        this.#statusListeners.add(offer)
        return () => this.#statusListeners.delete(offer)
      })
    )
  }

  /** What a listener is told until the scope closes, or the socket's own; `listen` gives the function that ends it. */
  #tap(listen: (offer: (value: any) => void) => () => unknown): Effect.Effect<Stream.Stream<any>, never, Scope.Scope> {
    return Effect.suspend(() => {
      const { end, offer, stream } = new Mailbox<any>()
      return Effect.acquireRelease(
        Effect.sync(() => {
          const unlisten = listen(offer)
          if (this.#disposed) end()
          this.#ends.add(end)
          return unlisten
        }),
        (unlisten) =>
          Effect.sync(() => {
            unlisten()
            this.#ends.delete(end)
          })
      ).pipe(Effect.as(stream))
    })
  }

  get disconnect(): Effect.Effect<void> {
    return Effect.sync(() => this.#leave())
  }

  get reconnect(): Effect.Effect<void, ConnectError> {
    return Effect.suspend(() => {
      this.want()
      return this.awaitConnected
    })
  }

  /** Waits until the socket is connected, or an attempt has failed that none follows. */
  get awaitConnected(): Effect.Effect<void, ConnectError> {
    return Effect.callback<void, ConnectError>((resume) => {
      if (this.#state === "connected") {
        resume(Effect.void)
        return undefined
      }
      const fail = (message: string) =>
        resume(Effect.fail(new ConnectError({ namespace: this.namespace, message, willRetry: false })))
      if (this.#disposed) {
        fail("the socket's scope has closed")
        return undefined
      }
      const listener = (status: SocketStatus) => {
        if (status._tag === "Connected") resume(Effect.void)
        else if (status._tag === "Failed" && !status.error.willRetry) resume(Effect.fail(status.error))
        else if (status._tag === "Disconnected" && !status.willRetry) fail(status.reason)
      }
      this.#statusListeners.add(listener)
      return Effect.sync(() => this.#statusListeners.delete(listener))
    })
  }

  get volatile(): { readonly emit: SocketRuntime["emit"] } {
    return {
      emit: (event, ...args) =>
        Effect.sync(() => {
          const packet = this.#packet(event, args)
          if (this.#state === "connected" && this.#manager.session?.writable)
            this.#transmit({ ...packet, id: undefined })
        })
    }
  }

  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void> {
    return Effect.sync(() => void this.#send({ ...this.#packet(event, args), id: undefined }))
  }

  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<any, any> {
    const answered = Effect.callback<ReadonlyArray<unknown>, AckError>((resume) => {
      const fail = (reason: AckError["reason"]): undefined =>
        resume(Effect.fail(new AckError({ event, reason }))) as undefined
      if (this.#acks.size >= this.#manager.options.maxPendingAcks) return fail("too many pending")
      let outgoing: OutgoingEvent
      try {
        outgoing = { ...this.#packet(event, args), id: this.#ackIds++ }
        this.#acks.add(outgoing.id!, (answer) =>
          answer === undefined ? fail("disconnected") : resume(Effect.succeed(answer))
        )
        if (!this.#send(outgoing)) {
          this.#acks.remove(outgoing.id!)
          return fail("not sent")
        }
      } catch (defect) {
        resume(Effect.die(defect))
        return undefined
      }
      return Effect.sync(() => {
        this.#acks.remove(outgoing.id!)
        this.#outbox = this.#outbox.filter((waiting) => waiting !== outgoing)
      })
    })
    const codec = this.#contract?.incoming.get(event)
    return codec === undefined
      ? answered
      : Effect.flatMap(answered, (answer) => this.#contract!.wire.decodeAck(codec, answer))
  }

  stream(event: string): Stream.Stream<any> {
    return Stream.unwrap(this.subscribe(event))
  }

  subscribe(event: string): Effect.Effect<Stream.Stream<any>, never, Scope.Scope> {
    return Effect.suspend(() => {
      this.#checkIncoming(event)
      return this.#tap((offer) => {
        addTo(this.#taps, event, offer)
        return () => removeFrom(this.#taps, event, offer)
      })
    })
  }

  respond(
    event: string,
    handle: (...args: Array<any>) => Effect.Effect<any, any, any>
  ): Effect.Effect<void, never, any> {
    return Effect.contextWith((context) =>
      Effect.suspend(() => {
        this.#checkIncoming(event)
        const handler: Handler = { run: Effect.runForkWith(context), handle }
        return Effect.acquireRelease(
          Effect.sync(() => addTo(this.#handlers, event, handler)),
          () => Effect.sync(() => removeFrom(this.#handlers, event, handler))
        )
      })
    )
  }

  onAny(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, never, any>
  ): Effect.Effect<void, never, any> {
    return Effect.contextWith((context) => {
      const run = Effect.runForkWith(context)
      const listener: Listener = (event, args) => this.#watch(event, run(Effect.suspend(() => handler(event, args))))
      return Effect.acquireRelease(
        Effect.sync(() => void this.#anyListeners.add(listener)),
        () => Effect.sync(() => this.#anyListeners.delete(listener))
      )
    })
  }

  /** The end of the socket's scope. */
  dispose(): void {
    this.#disposed = true
    this.#leave()
    for (const end of Array.from(this.#ends)) end()
  }

  // ---------------------------------------------------------------- connecting

  /** It wants to be connected, from now on. */
  want(): void {
    if (this.#disposed || this.#manager.get(this.namespace) === this) return
    this.#tell({ _tag: "Connecting" })
    this.#manager.add(this)
  }

  /** The connection to the server is open. */
  onConnection(): void {
    if (this.#state !== "idle") return
    this.#state = "connecting"
    if (this.#last._tag !== "Connecting") this.#tell({ _tag: "Connecting" })
    this.#connecting = this.#manager.runFork(this.#auth)
    this.#connecting.addObserver((exit) => {
      this.#connecting = undefined
      if (this.#state !== "connecting") return
      if (Exit.isSuccess(exit)) {
        const pid = this.#pid
        const auth = pid === undefined ? exit.value : { pid, offset: this.#offset, ...(exit.value as object) }
        return this.#sendPacket(PacketType.CONNECT, undefined, auth, true)
      }
      if (Cause.hasInterruptsOnly(exit.cause)) return
      this.#refused(`the auth payload could not be made: ${String(Cause.squash(exit.cause))}`, undefined)
    })
  }

  onConnectionLost(reason: ClientDisconnectReason, willRetry: boolean): void {
    if (!willRetry) this.#manager.remove(this)
    this.#lose(reason, willRetry)
  }

  /** The connection to the server could not be opened. */
  onFailed(message: string, willRetry: boolean): void {
    if (!willRetry) this.#manager.remove(this)
    this.#fail(message, willRetry)
  }

  #fail(message: string, willRetry: boolean): void {
    this.#tell({ _tag: "Failed", error: new ConnectError({ namespace: this.namespace, message, willRetry }) })
  }

  #refused(message: string, data: unknown): void {
    this.#state = "idle"
    this.#early = []
    this.#manager.remove(this)
    const refusal = { namespace: this.namespace, message, willRetry: false }
    this.#tell({ _tag: "Failed", error: new ConnectError(data === undefined ? refusal : { ...refusal, data }) })
  }

  #leave(): void {
    if (this.#manager.get(this.namespace) !== this) return
    const isAsking = this.#state === "connecting" && this.#connecting === undefined
    if (this.#state === "connected") this.#sendPacket(PacketType.DISCONNECT, undefined, undefined, false)
    this.#manager.leave(this, isAsking)
    this.#lose("io client disconnect", false)
    this.#outbox = []
    this.#acks.abandon()
  }

  #lose(reason: ClientDisconnectReason, willRetry: boolean): void {
    const before = this.#state
    this.#state = "idle"
    this.#sid = undefined
    this.#early = []
    this.#connecting?.interruptUnsafe()
    // First of all: who learns that an answer will not come may look how it stands.
    if (before === "connected" || !willRetry) this.#tell({ _tag: "Disconnected", reason, willRetry })
    else if (before === "connecting") this.#fail(reason, willRetry)
    // What was not sent yet keeps waiting for its answer.
    const waiting = new Set(this.#outbox.map(({ id }) => id))
    this.#acks.abandon((id) => !waiting.has(id))
  }

  #tell(status: SocketStatus): void {
    this.#last = status
    for (const listener of Array.from(this.#statusListeners)) listener(status)
  }

  // ---------------------------------------------------------------- out

  #packet(event: string, args: ReadonlyArray<unknown>): Omit<OutgoingEvent, "id"> {
    // First of all: what is overdue is lost, and takes what is sent over it along.
    this.#manager.checkAlive()
    if (this.#contract === undefined) {
      if (isReservedEvent(event)) throw new Error(`"${event}" is a reserved event name`)
      return { data: [event, ...args], mayHaveBinary: true }
    }
    const codec = this.#contract.incoming.get(event)
    if (codec === undefined)
      throw new Error(`"${event}" is not among the events that clients send to "${this.namespace}"`)
    return { data: this.#contract.wire.encodePayload(codec, args[0]), mayHaveBinary: codec.payload.mayHaveBinary }
  }

  /** Sends an event, or keeps it until it can be sent; `false` if there is no room for it. */
  #send(event: OutgoingEvent): boolean {
    if (this.#disposed) return false
    if (this.#state === "connected") {
      this.#transmit(event)
      return true
    }
    const { bufferOverflow, maxBuffered } = this.#manager.options
    if (this.#outbox.length >= maxBuffered) {
      const oldest = bufferOverflow === "oldest" ? this.#outbox.shift() : undefined
      if (oldest === undefined) return false
      if (oldest.id !== undefined) this.#acks.settle(oldest.id, undefined)
    }
    this.#outbox.push(event)
    return true
  }

  #transmit({ data, id, mayHaveBinary }: OutgoingEvent): void {
    this.#sendPacket(PacketType.EVENT, id, data, mayHaveBinary)
  }

  #sendPacket(type: SocketPacket["type"], id: number | undefined, data: unknown, mayHaveBinary: boolean): void {
    this.#manager.send({ type, namespace: this.namespace, id, data }, mayHaveBinary)
  }

  // ---------------------------------------------------------------- in

  onPacket(packet: SocketPacket): void {
    switch (packet.type) {
      case PacketType.CONNECT:
        this.#manager.onAnswered()
        return this.#onConnected(packet.data)
      case PacketType.CONNECT_ERROR:
        return this.#onRefused(packet.data)
      case PacketType.DISCONNECT:
        this.#manager.remove(this)
        return this.#lose("io server disconnect", false)
      case PacketType.EVENT:
        if (this.#state === "connected") return this.#onEvent(packet)
        if (this.#state === "connecting" && this.#early.length < CAPACITY) this.#early.push(packet)
        return
      case PacketType.ACK:
        return this.#acks.settle(packet.id!, packet.data as ReadonlyArray<unknown>)
    }
  }

  #onConnected(data: unknown): void {
    if (this.#state !== "connecting") return
    const { pid, sid } = (data ?? {}) as { readonly sid?: unknown; readonly pid?: unknown }
    if (typeof sid !== "string" || sid === "") {
      return this.#refused("the server speaks an older protocol: it gave no id (Socket.IO 2?)", undefined)
    }
    this.#sid = sid
    this.#wasRecovered = pid !== undefined && pid === this.#pid
    if (!this.#wasRecovered) {
      this.#pid = typeof pid === "string" ? pid : undefined
      this.#offset = undefined
    }
    this.#state = "connected"
    const [early, outbox] = [this.#early, this.#outbox]
    this.#early = []
    this.#outbox = []
    for (const packet of early) this.#onEvent(packet)
    for (const event of outbox) this.#transmit(event)
    this.#tell({ _tag: "Connected", id: sid, recovered: this.#wasRecovered })
  }

  #onRefused(data: unknown): void {
    if (this.#state !== "connecting") return
    const refusal = data as { readonly message?: unknown; readonly data?: unknown } | string
    if (typeof refusal === "string") return this.#refused(refusal, undefined)
    this.#refused(typeof refusal.message === "string" ? refusal.message : "refused", refusal.data)
  }

  #onEvent({ data, id }: SocketPacket): void {
    const [name, ...args] = data as ReadonlyArray<unknown>
    const event = String(name)
    // Behind the arguments stands the packet's offset, if the server recovers connections: it cannot be told from an argument.
    const offset = args.at(-1)
    if (this.#pid !== undefined && typeof offset === "string") this.#offset = offset
    for (const listener of Array.from(this.#anyListeners)) listener(event, args)
    const codec = this.#contract?.outgoing.get(event)
    let payload: unknown = args
    if (codec !== undefined) {
      const decoded = this.#contract!.wire.decodePayload(codec, data as ReadonlyArray<unknown>)
      if (decoded._tag === "Failure") return this.#onRefusedPayload(codec, id, decoded)
      payload = decoded.value
    }
    for (const tap of Array.from(this.#taps.get(event) ?? [])) tap(payload)
    let answered = id === undefined
    for (const { handle, run } of Array.from(this.#handlers.get(event) ?? [])) {
      const fiber = run(Effect.suspend(() => (codec === undefined ? handle(...args) : handle(payload))))
      this.#watch(event, fiber, (exit) => {
        if (answered) return
        const answer = codec === undefined ? toAnswer(exit) : this.#contract!.wire.encodeExit(codec, exit)
        if (answer === undefined) return
        answered = true
        if (this.#state === "connected") this.#sendPacket(PacketType.ACK, id, answer, true)
      })
    }
  }

  #onRefusedPayload(codec: EventCodec, id: number | undefined, decoded: RefusedPayload): void {
    const event = codec.event._tag
    const description = this.#contract!.wire.describe(decoded)
    // A schema that throws is a bug on this side, and none of the server's business.
    const died = Cause.hasDies(decoded.cause)
    if (died) this.#report(event, decoded.cause)
    else this.#debug("payload refused", { event, description })
    if (id === undefined || !codec.event.hasError || !this.#handlers.has(event)) return
    const error = died ? { _tag: "InternalError" } : { _tag: "PayloadRefused", message: description }
    this.#sendPacket(PacketType.ACK, id, [{ _tag: "Failure", error }], false)
  }

  /** Looks after a handler: what it dies of is logged, and nobody else's business. */
  #watch(
    event: string,
    fiber: Fiber.Fiber<unknown, unknown>,
    onExit: (exit: Exit.Exit<unknown, unknown>) => void = () => {}
  ): void {
    fiber.addObserver((exit) => {
      try {
        onExit(exit)
      } catch (defect) {
        return this.#report(event, Cause.die(defect))
      }
      if (exit._tag === "Failure" && !Cause.hasInterruptsOnly(exit.cause)) this.#report(event, exit.cause)
    })
  }

  #report(event: string, cause: Cause.Cause<unknown>): void {
    const { namespace } = this
    this.#manager.runFork(log("Error", "event handler failed", { event, namespace }, cause))
  }

  #debug(message: string, annotations: Record<string, unknown>): void {
    const { namespace } = this
    this.#manager.runFork(log("Debug", message, { namespace, ...annotations }))
  }

  #checkIncoming(event: string): void {
    if (this.#contract?.outgoing.has(event) !== false) return
    throw new Error(`"${event}" is not among the events that "${this.namespace}" sends to clients`)
  }
}

/** What a handler without a contract answers; nothing if it has failed. */
const toAnswer = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<unknown> | undefined =>
  exit._tag === "Failure" ? undefined : exit.value === undefined ? [] : [exit.value]

const addTo = <A>(map: Map<string, Set<A>>, key: string, value: A): void => {
  const existing = map.get(key)
  if (existing === undefined) map.set(key, new Set([value]))
  else existing.add(value)
}

const removeFrom = <A>(map: Map<string, Set<A>>, key: string, value: A): void => {
  const set = map.get(key)
  if (set?.delete(value) && set.size === 0) map.delete(key)
}
