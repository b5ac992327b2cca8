/**
 * A session of Engine.IO: one client, over any transport (Engine.IO protocol 4).
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"

import type { SessionCloseReason } from "../DisconnectReason.ts"
import { decodeBinaryText, encodeOpen } from "../protocol/EnginePacket.ts"
import { decodeBinaryText as decodeBinaryTextV3 } from "../protocol/EnginePacketV3.ts"
import { isProtocolError } from "../protocol/ProtocolError.ts"
import type { Overflow, OverflowError, StreamOptions } from "../StreamOptions.ts"
import type { ResolvedEngineOptions } from "./EngineOptions.ts"
import type { ConnectionDetails, EngineRevision, HttpExchange } from "./EngineRequest.ts"
import { Excess } from "./internal/excess.ts"
import { type Beat, type Beating, type Heartbeat, PONG_DUE, STOPPED } from "./internal/heartbeat.ts"
import type { Leaving, LeavingHandler } from "./internal/leaving.ts"
import { MessageStreams, transportsOf } from "./internal/messageStreams.ts"
import { ReadLimiter } from "./internal/readLimiter.ts"
import type { EngineStats, SessionStats } from "./internal/stats.ts"
import { Upgrade } from "./internal/upgrade.ts"
import { OutboundMessage } from "./OutboundMessage.ts"
import { Outbox } from "./Outbox.ts"
import { IDLE, type TimerWheel } from "./TimerWheel.ts"
import type { ServerTransport, TransportDefinition, TransportSink } from "./Transport.ts"

/**
 * The end of a session: its reason and details.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionClose {
  readonly reason: SessionCloseReason
  /** More detail than the reason, where it is known. For logs. */
  readonly description: string | undefined
}

/**
 * The receiver of a session's messages. It is called synchronously, in the order of arrival, to
 * keep the message path fast. It should not throw: an error that it throws is logged, and ends its
 * session with reason `internal error`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionHandler {
  /**
   * The session is open, and sends its messages to this handler from now on. Called once, and
   * first.
   */
  onOpen(): void
  /** A text message: the whole packet with its leading `4`, so that it need not be copied. */
  onMessage(packet: string): void
  onBinary(bytes: Uint8Array): void
  /** A ping was sent, after everything that was sent before. */
  onPing?(): void
  /** A pong has come: the client has read everything that was sent before its ping. */
  onPong?(): void
  /** The session has ended. Called once, and last. */
  onClose(close: SessionClose): void
  /**
   * A drain is about to close the session. It does so when `leave` is called, or after `within`
   * milliseconds. Nothing can be sent after that, but messages of the client may still come. Default:
   * the session is closed at once.
   */
  onLeaving?(within: number, leave: () => void): void
  /**
   * A drain has closed the session, and no more messages can come. The session ends when `end` is
   * called, or after a while (see {@link inFlight}). Default: it ends at once.
   */
  onLeft?(end: () => void): void
  /** The number of messages that are being handled, for the report of a drain. Default: 0. */
  readonly inFlight?: number
}

/**
 * The parts of a server that its sessions use.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionOwner {
  readonly options: ResolvedEngineOptions
  /** The names of the transports that clients may upgrade to. */
  readonly upgrades: ReadonlyArray<string>
  readonly wheel: TimerWheel
  /** The context of the server's layer. */
  readonly context: Context.Context<never>
  /** The scope of all resources of sessions. It closes after the server has drained. */
  readonly scope: Scope.Scope
  /** @internal */
  readonly heartbeat: Heartbeat
  /** @internal */
  readonly stats: EngineStats
  /** The monotonic time, in milliseconds. */
  readonly now: () => number
  /**
   * Runs a task after some milliseconds, unless the returned function is called before. With 0 it
   * runs in a later turn.
   */
  readonly after: (millis: number, run: () => void) => () => void
  /** An open session has changed from a transport to another one. */
  onTransportChanged(from: string, to: string): void
  /** The session has ended; a transport may still be flushing. */
  onSessionClosed(session: EngineSession, close: SessionClose): void
  /** The session holds no resources any more. */
  onSessionReleased(session: EngineSession): void
  /** Code of the session has thrown. */
  onSessionDefect(session: EngineSession, defect: unknown): void
}

const PING = "2"
const PONG = "3"

/**
 * The reasons why a client is not read: its handlers are too slow, it sends too fast, it has too
 * many namespaces opened, or readers of its messages are too slow.
 *
 * @since 0.1.0
 * @category models
 */
export type PauseReason = "backlog" | "rate" | "openings" | "streams"

const PAUSED_BY = { backlog: 1, rate: 2, openings: 4, streams: 8 } as const

/** The first characters of packets. */
const code = { message: 52, close: 49, ping: 50, pong: 51, open: 48, upgrade: 53, noop: 54, base64: 98 } as const

/** The state of a session. */
type Life =
  | { readonly _tag: "Open" }
  /** A drain has closed its transport; the client may not know yet, and its messages are handled. */
  | { readonly _tag: "Leaving"; readonly leaving: Leaving; readonly isReleased: boolean }
  /** The session closes its transport, which may release everything within that call. */
  | { readonly _tag: "Ending"; readonly isReleased: boolean }
  /** The session has ended; its transport may still be telling the client. */
  | { readonly _tag: "Closing"; readonly close: SessionClose }
  /** Its transport has released everything; other transports of the session may not have. */
  | { readonly _tag: "Closed"; readonly close: SessionClose }
  /** All resources are released. */
  | { readonly _tag: "Released"; readonly close: SessionClose }

// All sessions share this object: each message compares it with the state to see whether the
// session is open.
const OPEN: Life = { _tag: "Open" }
const ENDING: Life = { _tag: "Ending", isReleased: false }
const RELEASED: Life = { _tag: "Ending", isReleased: true }

/**
 * The server's end of a session.
 *
 * **Details**
 *
 * Its `…Unsafe` methods are synchronous, for the message path; the others are effects and streams.
 * It lives until the client or the server closes it, or the server's scope closes.
 *
 * **Gotchas**
 *
 * Sends to a session that is not open do nothing: `closed` yields the reason of the end.
 *
 * **Example** (Echo)
 *
 * ```ts
 * const echo = (session: EngineSession.EngineSession) => Stream.run(session.messages(), session.sink)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export class EngineSession extends Inspectable.Class {
  readonly id: string
  /** The revision of Engine.IO that the client speaks. */
  readonly revision: EngineRevision
  readonly details: ConnectionDetails
  /** Whether the client reads bytes only as base64. */
  readonly base64: boolean
  /** @internal */
  bucket: number = IDLE
  /** @internal */
  beat: Beat = STOPPED
  /** @internal */
  pace: Beating["pace"]
  /** @internal */
  handler: SessionHandler = ignoreEverything
  private readonly owner: SessionOwner
  private current!: ServerTransport
  private life: Life = OPEN
  private upgrade: Upgrade | undefined
  /**
   * Transports that hold resources beside the current one: candidates, and those that the session
   * has left.
   */
  private others: Set<ServerTransport> | undefined
  /** Set while more bytes wait than `maxOutbox`. */
  private excess: Excess | undefined
  /** Actions that wait for capacity. */
  private waiters: Set<() => void> | undefined
  /** One bit for each reason why the client is not read. */
  private paused = 0
  private readonly limiter: ReadLimiter | undefined
  private streams: MessageStreams | undefined
  private watchers: Set<(name: string | undefined) => void> | undefined
  private ending: Deferred.Deferred<SessionClose> | undefined
  // Made at the first use; neither of the built-in transports uses it. Measured: a scope for each
  // session and one for each transport would be 0.47 KB of an idle connection's 6.2.
  private ownScope: Scope.Closeable | undefined

  constructor(id: string, revision: EngineRevision, details: ConnectionDetails, owner: SessionOwner) {
    super()
    this.id = id
    this.revision = revision
    this.details = details
    this.owner = owner
    this.base64 = isTruthy(details.query.get("b64"))
    const { rateLimit } = owner.options
    this.limiter = rateLimit && new ReadLimiter(rateLimit, this, owner)
  }

  override toJSON(): unknown {
    const { id, isOpen, revision, transport } = this
    return { _id: "EngineSession", id, transport, revision, isOpen }
  }

  /** The options of its server. */
  get options(): ResolvedEngineOptions {
    return this.owner.options
  }

  /** The timer of its server. */
  get wheel(): TimerWheel {
    return this.owner.wheel
  }

  /** @internal */
  get stats(): SessionStats["stats"] {
    const { life } = this
    if (life._tag === "Closed" || life._tag === "Released") return undefined
    return life._tag === "Leaving" && life.isReleased ? undefined : this.current
  }

  /** The name of the current transport. */
  get transport(): string {
    return this.current.name
  }

  /**
   * Streams the name of the current transport, and then of each one that the session changes to.
   * The stream ends with the session.
   */
  get transportChanges(): Stream.Stream<string> {
    return transportsOf(this)
  }

  /**
   * Calls back with the name of each transport that the session changes to, within the turn of the
   * change, and with `undefined` when the session ends. Returns the function that stops it.
   */
  watchTransport(onChange: (name: string | undefined) => void): () => void {
    if (!this.isOpen) {
      onChange(undefined)
      return () => {}
    }
    const watchers = (this.watchers ??= new Set())
    watchers.add(onChange)
    return () => {
      watchers.delete(onChange)
      if (watchers.size === 0 && this.watchers === watchers) this.watchers = undefined
    }
  }

  /** Whether its transport takes further requests of the client, such as polls. */
  get isPolling(): boolean {
    return this.current.onRequest !== undefined
  }

  /** Whether the session is open. */
  get isOpen(): boolean {
    return this.life === OPEN
  }

  /** Whether messages of the client are handled: a drain lets them in until the client has left. */
  get isAlive(): boolean {
    return this.life === OPEN || this.life._tag === "Leaving"
  }

  /** Whether a message that is sent now leaves at once, rather than waiting for a slow client. */
  get writable(): boolean {
    return this.isOpen && this.current.writable
  }

  /** The bytes that wait for the client to read them. */
  get buffered(): number {
    return this.current.buffered
  }

  /** @internal */
  exceeds(bytes: number): boolean {
    return this.current.exceeds(bytes)
  }

  /**
   * The scope of the session. It closes when the session has ended and its transports have released
   * everything. Made at the first call.
   */
  get scope(): Scope.Scope {
    if (this.ownScope === undefined) {
      this.ownScope = Scope.forkUnsafe(this.owner.scope)
      if (this.life._tag === "Released") this.closeScope(this.ownScope)
    }
    return this.ownScope
  }

  /** @internal */
  fork(): Scope.Closeable {
    return Scope.forkUnsafe(this.scope)
  }

  /** @internal */
  makeOutbox(): Outbox {
    return new Outbox(this.owner.options, this.owner.stats)
  }

  // ---------------------------------------------------------------- opening

  /** Takes the connection, or the request, of the client. @internal */
  take<Carrier>(definition: TransportDefinition<Carrier>, carrier: Carrier): void {
    this.current = definition.open(this, carrier, this)
  }

  /** Tells the client that the session is open. @internal */
  start(): void {
    const { allowUpgrades, maxPayload, pingInterval, pingTimeout } = this.owner.options
    const transport = this.current
    const upgrades =
      allowUpgrades && transport.handover !== undefined
        ? this.owner.upgrades.filter((name) => name !== transport.name)
        : []
    this.sendControl(encodeOpen({ sid: this.id, upgrades, pingInterval, pingTimeout, maxPayload }))
    this.owner.heartbeat.start(this)
  }

  // ---------------------------------------------------------------- sending

  /**
   * Sends a message. It does nothing if the session is not open. `onDropped` is called, in another
   * turn, if the message is dropped because the client is slow (see `outboxOverflow`).
   */
  sendUnsafe(message: OutboundMessage, onDropped?: () => void): void {
    if (!this.isOpen) return
    if (this.keepsOutbox) {
      // It is called in a turn of its own, outside of everything that catches errors.
      return this.sendOrDrop(message, onDropped && (() => this.guarded(onDropped)))
    }
    this.owner.stats.packetsSent += (message.text === undefined ? 0 : 1) + (message.attachments?.length ?? 0)
    this.current.sendMessage(message)
    if (this.current.exceeds(this.owner.options.maxOutbox)) this.onExceeded(message.byteLength)
  }

  private onExceeded(size: number): void {
    const { after, options } = this.owner
    this.excess ??= new Excess(this, options.maxOutbox, after, () => {
      this.excess = undefined
    })
    if (!this.excess.admits(size)) this.overflow()
  }

  private sendOrDrop(message: OutboundMessage, onDropped: (() => void) | undefined): void {
    if (this.isOverflowing) this.overflow()
    else if (this.current.sendMessage(message, onDropped)) this.owner.stats.packetsSent += message.packets
  }

  /**
   * Sends a message, text or bytes. It never fails, and does nothing if the session is not open.
   * With the policy `suspend` it waits until there is capacity; if it is interrupted meanwhile, it
   * sends nothing.
   */
  send(data: string | Uint8Array): Effect.Effect<void> {
    const send = () => {
      if (typeof data === "string") this.sendUnsafe(new OutboundMessage("4" + data, undefined, false))
      else this.sendUnsafe(new OutboundMessage(undefined, [data], false))
    }
    if (this.owner.options.outboxOverflow !== "suspend") return Effect.sync(send)
    return Effect.callback<void>((resume) => {
      const cancel = this.onCapacity(() => {
        send()
        resume(Effect.void)
      })
      return cancel && Effect.sync(cancel)
    })
  }

  /**
   * A sink that sends every message as {@link send} does. It ends when the session has ended, with
   * the next message at the latest.
   */
  get sink(): Sink.Sink<void, string | Uint8Array> {
    return Sink.forEachWhile((data: string | Uint8Array) => Effect.map(this.send(data), () => this.isOpen))
  }

  /**
   * Whether a message may be sent without waiting. This is always so unless the policy is
   * `suspend`.
   */
  get hasCapacity(): boolean {
    const { maxOutbox, outboxOverflow } = this.owner.options
    return !this.isOpen || outboxOverflow !== "suspend" || !this.current.exceeds(maxOutbox - 1)
  }

  /**
   * Runs an action now, or when there is capacity again, after actions that already wait. It runs
   * at the session's end at the latest. Returns the function that cancels it, if it has to wait.
   */
  onCapacity(action: () => void): (() => void) | undefined {
    if (this.hasCapacity && this.waiters === undefined) {
      action()
      return undefined
    }
    const waiters = (this.waiters ??= new Set())
    waiters.add(action)
    return () => {
      waiters.delete(action)
      if (waiters.size === 0 && this.waiters === waiters) this.waiters = undefined
    }
  }

  // ---------------------------------------------------------------- reading

  /**
   * Stops reading from the client, until {@link resumeUnsafe} for the same reason: its messages
   * wait on its side. The client is not treated as dead meanwhile, as its pongs are not read. Pings
   * are still sent, so that a broken connection is noticed. Its close may be noticed only when
   * reading resumes.
   */
  pauseUnsafe(by: PauseReason = "backlog"): void {
    if (!this.isAlive) return
    const { paused } = this
    this.paused |= PAUSED_BY[by]
    if (paused !== 0) return
    this.owner.stats.readPauses++
    this.current.pause()
  }

  /** Resumes reading, unless there is another reason not to. */
  resumeUnsafe(by: PauseReason = "backlog"): void {
    if (this.paused === 0) return
    this.paused &= ~PAUSED_BY[by]
    if (this.paused !== 0 || !this.isAlive) return
    if (this.isOpen) this.owner.heartbeat.onResume(this)
    this.current.resume()
  }

  /** @internal */
  get isReading(): boolean {
    return this.paused === 0
  }

  /**
   * Streams the messages that come in from now on, text and bytes, beside the session's handler.
   * The stream ends with the session, after the waiting messages.
   *
   * **Details**
   *
   * With `overflow: "fail"`, the default, a reader for which more than `capacity` messages wait
   * (default 10,000) gets a `StreamOverflow`; the session stays open. With `suspend`, the client is
   * not read while that many wait; see {@link pauseUnsafe} for the consequences.
   *
   * **Gotchas**
   *
   * The stream misses messages that came before it runs, except for the first stream of a session
   * from `EngineServer.run` or `EngineServer.sessions`.
   *
   * With `suspend`, a connection that closes while it is not read loses its unread messages.
   */
  messages<O extends Overflow = "fail">(
    options: StreamOptions<O> = {}
  ): Stream.Stream<string | Uint8Array, OverflowError<O>> {
    return Stream.unwrap(
      Effect.suspend(() => {
        if (this.isAlive) return this.streaming.open(options)
        // The session has ended, but the messages that were held for a first reader are still
        // there.
        const streams = this.streams ?? new MessageStreams(this, () => {})
        if (this.streams === undefined) streams.end()
        return streams.open(options)
      })
    )
  }

  /** Holds the messages for the first reader of {@link messages}. @internal */
  holdMessages(): void {
    this.streaming.hold()
  }

  /** Calls back when the session has ended and its messages have been read. @internal */
  whenRead(callback: () => void): void {
    if (this.streams === undefined) callback()
    else this.streams.whenRead(callback)
  }

  private get streaming(): MessageStreams {
    return (this.streams ??= new MessageStreams(this, () => {
      this.streams = undefined
    }))
  }

  // ---------------------------------------------------------------- closing

  /** Closes the session: waiting messages are sent first. */
  closeUnsafe(reason: SessionCloseReason = "forced close", description?: string): void {
    if (!this.isAlive) return
    const cause = reason === "parse error" || reason === "internal error" ? "fault" : "server"
    if (this.isOpen) this.leave((transport) => transport.close(cause), reason, description)
    else this.closeAtOnce(reason, description)
  }

  /** Closes the session: waiting messages are sent first. */
  close(reason: SessionCloseReason = "forced close"): Effect.Effect<void> {
    return Effect.sync(() => this.closeUnsafe(reason))
  }

  /** Waits for the session's end and yields its reason. */
  get closed(): Effect.Effect<SessionClose> {
    return Effect.suspend(() =>
      "close" in this.life
        ? Effect.succeed(this.life.close)
        : Deferred.await((this.ending ??= Deferred.makeUnsafe<SessionClose>()))
    )
  }

  /** Drops everything at once, when the server's time to drain is over. @internal */
  terminate(): void {
    this.upgrade?.abort()
    for (const transport of Array.from(this.others ?? [])) transport.abort()
    if (this.isAlive) this.closeAtOnce("server shutting down")
    else this.current.abort()
  }

  // ---------------------------------------------------------------- leaving

  /** @internal */
  get isUpgrading(): boolean {
    return this.upgrade !== undefined
  }

  /** @internal */
  get leavingHandler(): LeavingHandler {
    return this.handler
  }

  /** @internal */
  beginLeaving(leaving: Leaving): void {
    const { current } = this
    if (this.upgrade !== undefined || current.leave === undefined) return this.closeUnsafe(leaving.reason)
    this.life = { _tag: "Leaving", leaving, isReleased: false }
    this.owner.heartbeat.stop(this)
    this.excess?.stop()
    this.excess = undefined
    this.runWaiters()
    current.leave()
    // A client that is not read because it is too fast stays so: what it has sent is still bounded.
    if (this.paused !== 0) current.pause()
  }

  /** @internal */
  cut(): void {
    this.current.abort()
  }

  /** @internal */
  endLeaving(): void {
    if (this.life._tag === "Leaving") this.end(this.life.leaving.reason)
  }

  // ---------------------------------------------------------------- requests and upgrades

  /**
   * Handles another request with this session's id. Returns false if its transport does not take
   * any.
   */
  onRequest(exchange: HttpExchange): boolean {
    if (this.current.onRequest === undefined) return false
    this.current.onRequest(exchange)
    return true
  }

  /** Handles a connection with this session's id: the candidate of an upgrade. @internal */
  onUpgrade<Carrier>(definition: TransportDefinition<Carrier>, carrier: Carrier): void {
    const { options, wheel } = this.owner
    const { handover } = this.current
    const make = definition.upgrade ?? definition.open
    // A refused candidate takes its time to close, too, and a shutdown waits for it.
    const others = (this.others ??= new Set())
    if (!this.isOpen || this.upgrade !== undefined || handover === undefined) {
      const refused = make(this, carrier, new Refused(this))
      others.add(refused)
      return refused.close("server")
    }
    const upgrade = (this.upgrade = new Upgrade(this, this.current, handover, wheel))
    const candidate = make(this, carrier, upgrade)
    others.add(candidate)
    upgrade.start(candidate, options.upgradeTimeout)
  }

  /** @internal */
  onUpgradeEnd(): void {
    this.upgrade = undefined
  }

  /** @internal */
  changeTo(transport: ServerTransport): void {
    this.others!.add(this.current)
    this.others!.delete(transport)
    if (this.isOpen) this.owner.onTransportChanged(this.current.name, transport.name)
    this.current = transport
    transport.sink = this
    if (this.paused !== 0) transport.pause()
    this.tellWatchers(transport.name)
  }

  /** @internal */
  onOtherReleased(transport: ServerTransport): void {
    if (transport.scope !== undefined) this.closeScope(transport.scope)
    this.others?.delete(transport)
    if (this.others?.size === 0) this.others = undefined
    this.release()
  }

  private tellWatchers(name: string | undefined): void {
    for (const onChange of this.watchers ?? []) this.guarded(() => onChange(name))
  }

  // ---------------------------------------------------------------- transport to session

  /** @internal */
  onPacket(packet: string): void {
    try {
      this.takePacket(packet)
    } catch (defect) {
      this.onDefect(defect)
    }
  }

  private takePacket(packet: string): void {
    if (this.life !== OPEN && this.life._tag !== "Leaving") return
    this.owner.stats.packetsReceived++
    if (this.limiter !== undefined && !this.limiter.onPacket()) return
    const type = packet.charCodeAt(0)
    if (type === code.message) {
      if (this.beat === PONG_DUE) this.owner.heartbeat.onSignOfLife(this)
      if (this.streams !== undefined) this.streams.onMessage(packet.slice(1))
      return this.handler.onMessage(packet)
    }
    switch (type) {
      case code.pong:
        return this.onPong()
      case code.base64:
        return this.onBase64(packet)
      case code.close:
        return this.onCloseByPeer()
      case code.ping:
        return this.onPing()
      case code.open:
      case code.upgrade:
      case code.noop:
        return
      default:
        return this.closeUnsafe("parse error", "unknown packet type")
    }
  }

  /** @internal */
  onBinary(bytes: Uint8Array): void {
    if (this.life !== OPEN && this.life._tag !== "Leaving") return
    this.owner.stats.packetsReceived++
    try {
      if (this.limiter !== undefined && !this.limiter.onPacket()) return
      this.onBinaryMessage(bytes)
    } catch (defect) {
      this.onDefect(defect)
    }
  }

  private onBinaryMessage(bytes: Uint8Array): void {
    if (this.beat === PONG_DUE) this.owner.heartbeat.onSignOfLife(this)
    if (this.streams !== undefined) this.streams.onMessage(bytes)
    this.handler.onBinary(bytes)
  }

  private onBase64(packet: string): void {
    const bytes = this.revision === 3 ? decodeBinaryTextV3(packet) : decodeBinaryText(packet)
    if (isProtocolError(bytes)) return this.closeUnsafe("parse error", bytes.message)
    this.onBinaryMessage(bytes)
  }

  private onCloseByPeer(): void {
    const { life } = this
    if (life._tag !== "Leaving") return this.leave((transport) => transport.close("peer"), "transport close")
    life.leaving.onAnswered()
    this.current.abort()
    life.leaving.onGone()
  }

  /**
   * The answer to the client's ping waits with everything else that the client does not read.
   * @internal
   */
  onAnswered(): void {
    if (this.isOpen && this.isOverflowing) this.overflow()
  }

  /** @internal */
  onDrain(): void {
    const { waiters } = this
    if (waiters === undefined) return
    for (const action of waiters) {
      if (!this.hasCapacity) return
      waiters.delete(action)
      this.guarded(action)
    }
    if (waiters.size === 0 && this.waiters === waiters) this.waiters = undefined
  }

  /** @internal */
  onTransportClose(_transport: ServerTransport, reason: SessionCloseReason, description?: string): void {
    if (this.isOpen) this.end(reason, description)
    else if (this.life._tag === "Leaving") this.life.leaving.onAnswered()
  }

  /** @internal */
  onTransportReleased(transport: ServerTransport): void {
    this.owner.stats.onTransportReleased(transport)
    if (transport !== this.current) return this.onOtherReleased(transport)
    if (this.life._tag === "Leaving") {
      const { leaving } = this.life
      this.life = { _tag: "Leaving", leaving, isReleased: true }
      if (transport.scope !== undefined) this.closeScope(transport.scope)
      return leaving.onGone()
    }
    if (this.isOpen) this.end("transport error", "the transport has vanished")
    if (this.life._tag === "Ending") this.life = RELEASED
    else this.upgrade?.abort()
    if (this.life._tag === "Closing") this.life = { _tag: "Closed", close: this.life.close }
    if (transport.scope !== undefined) this.closeScope(transport.scope)
    this.release()
  }

  /**
   * Code has thrown that must not: an application's parser, adapter or handler, or a bug of this
   * library. It ends this session and no other.
   *
   * @internal
   */
  onDefect(defect: unknown): void {
    // Later errors of the same end are not reported again.
    if (!("close" in this.life) || this.life.close.reason !== "internal error") {
      this.owner.onSessionDefect(this, defect)
    }
    if (!this.isAlive) return
    try {
      this.closeUnsafe("internal error", "see the error that was logged")
    } catch (again) {
      this.owner.onSessionDefect(this, again)
    }
  }

  private guarded(action: () => void): void {
    try {
      action()
    } catch (defect) {
      this.onDefect(defect)
    }
  }

  // ---------------------------------------------------------------- heartbeat

  /** @internal */
  onDeadline(): void {
    this.owner.heartbeat.onDeadline(this)
  }

  /** @internal */
  sendPing(): void {
    this.sendControl(PING)
    this.handler.onPing?.()
  }

  /** @internal */
  onSilence(): void {
    this.closeAtOnce("ping timeout")
  }

  private onPing(): void {
    // From revision 4 on, the server pings.
    if (this.revision === 4) return this.closeUnsafe("parse error", "invalid heartbeat direction")
    this.sendControl(PONG)
    if (this.isOverflowing) return this.overflow()
    this.owner.heartbeat.onPing(this)
  }

  private onPong(): void {
    if (this.revision === 3) return this.closeUnsafe("parse error", "invalid heartbeat direction")
    this.owner.heartbeat.onPong(this)
    this.handler.onPong?.()
  }

  private sendControl(packet: string): void {
    this.owner.stats.packetsSent++
    this.current.sendPacket(packet)
  }

  // ---------------------------------------------------------------- the end

  /** Whether waiting messages can be taken back, because an overflow does not end the session. */
  private get keepsOutbox(): boolean {
    return this.owner.options.outboxOverflow !== "disconnect"
  }

  /** Whether more bytes wait than any policy allows. */
  private get isOverflowing(): boolean {
    const { maxOutbox } = this.owner.options
    // Data in the socket does not count: it may hold a message that is larger than the budget.
    if (this.keepsOutbox) return (this.current.outbox ?? this.current).exceeds(2 * maxOutbox)
    return this.current.exceeds(maxOutbox) && this.excess?.isWithin !== true
  }

  private overflow(): void {
    this.closeAtOnce("outbox overflow", `${this.current.buffered} bytes were waiting`)
  }

  /** Closes a client that does not read: waiting for it would be useless. */
  private closeAtOnce(reason: SessionCloseReason, description?: string): void {
    if (this.isAlive) this.leave((transport) => transport.abort(), reason, description)
  }

  private leave(
    closeTransport: (transport: ServerTransport) => void,
    reason: SessionCloseReason,
    description?: string
  ): void {
    const isReleased = this.life._tag === "Leaving" && this.life.isReleased
    this.life = isReleased ? RELEASED : ENDING
    try {
      if (!isReleased) closeTransport(this.current)
    } finally {
      this.end(reason, description)
    }
  }

  private end(reason: SessionCloseReason, description?: string): void {
    const close: SessionClose = { reason, description }
    const isReleased = "isReleased" in this.life && this.life.isReleased
    this.life = { _tag: isReleased ? "Closed" : "Closing", close }
    this.owner.heartbeat.stop(this)
    this.limiter?.close()
    this.excess?.stop()
    this.excess = undefined
    // During an upgrade, a client that does not poll any more gets the last packets over the new
    // transport.
    if (this.life._tag === "Closed" || !this.current.isLingering) this.upgrade?.abort()
    this.owner.onSessionClosed(this, close)
    const { handler } = this
    this.handler = ignoreEverything
    this.guarded(() => handler.onClose(close))
    this.streams?.end()
    this.tellWatchers(undefined)
    this.watchers = undefined
    this.runWaiters()
    if (this.ending !== undefined) Deferred.doneUnsafe(this.ending, Effect.succeed(close))
    this.release()
  }

  /** Nothing waits for capacity any more. */
  private runWaiters(): void {
    const { waiters } = this
    this.waiters = undefined
    if (waiters !== undefined) for (const action of waiters) this.guarded(action)
  }

  private release(): void {
    if (this.life._tag !== "Closed" || this.others !== undefined) return
    this.life = { _tag: "Released", close: this.life.close }
    if (this.ownScope !== undefined) this.closeScope(this.ownScope)
    this.owner.onSessionReleased(this)
  }

  private closeScope(scope: Scope.Closeable): void {
    Effect.runForkWith(this.owner.context)(Scope.close(scope, Exit.void))
  }
}

/**
 * The receiver of a connection that was refused as a candidate: it only waits for the connection's
 * end.
 */
class Refused implements TransportSink {
  private readonly session: EngineSession

  constructor(session: EngineSession) {
    this.session = session
  }

  onPacket(): void {}
  onBinary(): void {}
  onAnswered(): void {}
  onDrain(): void {}
  onTransportClose(): void {}

  onTransportReleased(transport: ServerTransport): void {
    this.session.onOtherReleased(transport)
  }
}

/** Reads a flag of the query in the forms that clients write. */
const isTruthy = (flag: string | undefined): boolean => flag !== undefined && flag !== ""

const ignoreEverything: SessionHandler = { onOpen() {}, onMessage() {}, onBinary() {}, onClose() {} }
