import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { SessionCloseReason } from "../../../DisconnectReason.ts"
import { encodeOpen } from "../../../protocol/EnginePacket.ts"
import type { Overflow, OverflowError, StreamOptions } from "../../../StreamOptions.ts"
import type { ResolvedEngineOptions } from "../../EngineOptions.ts"
import type { ConnectionDetails, EngineRevision, HttpExchange } from "../../EngineRequest.ts"
import { EngineSession, type PauseReason, type SessionClose, type SessionHandler } from "../../EngineSession.ts"
import type { OutboundMessage } from "../../OutboundMessage.ts"
import { Outbox } from "../../Outbox.ts"
import { IDLE, type TimerWheel } from "../../TimerWheel.ts"
import type { CloseCause, ServerTransport, TransportDefinition } from "../../Transport.ts"
import type { Excess } from "../excess.ts"
import { type Beat, type Beating, STOPPED } from "../heartbeat.ts"
import type { Leaving } from "../leaving.ts"
import type { MessageStreams } from "../messageStreams.ts"
import { ReadLimiter } from "../readLimiter.ts"
import type { SessionStats } from "../stats.ts"
import { IGNORE } from "./inflow.ts"
import { ENDING, isTransportReleased, type Life, OPEN, RELEASED } from "./life.ts"
import { OtherTransports } from "./otherTransports.ts"
import type { SessionOwner } from "./owner.ts"
import { tellWatchers, watch } from "./transportChanges.ts"

const PING = "2"

/**
 * A session of a server: its life from the opening to the release of all resources, and the way of
 * its packets between transport and handler.
 *
 * It also holds the state of what its server does for all sessions (heartbeats, sends), so that an
 * idle session has few objects.
 */
export class Session extends EngineSession {
  readonly id: string
  readonly revision: EngineRevision
  readonly details: ConnectionDetails
  readonly base64: boolean
  bucket: number = IDLE
  beat: Beat = STOPPED
  pace: Beating["pace"]
  handler: SessionHandler = IGNORE
  private readonly owner: SessionOwner<Session>
  current!: ServerTransport
  private life: Life = OPEN
  private others: OtherTransports | undefined
  excess: Excess | undefined
  waiters: Set<() => void> | undefined
  paused = 0
  readonly limiter: ReadLimiter | undefined
  streams: MessageStreams | undefined
  watchers: Set<(name: string | undefined) => void> | undefined
  private ending: Deferred.Deferred<SessionClose> | undefined
  // Made at the first use; neither of the built-in transports uses it. Measured: a scope for each
  // session and one for each transport would be 0.47 KB of an idle connection's 6.2.
  private ownScope: Scope.Closeable | undefined

  constructor(id: string, revision: EngineRevision, details: ConnectionDetails, owner: SessionOwner<Session>) {
    super()
    this.id = id
    this.revision = revision
    this.details = details
    this.owner = owner
    // Clients write this flag in several forms.
    this.base64 = (details.query.get("b64") ?? "") !== ""
    const { rateLimit } = owner.options
    this.limiter = rateLimit && new ReadLimiter(rateLimit, this, owner)
  }

  get options(): ResolvedEngineOptions {
    return this.owner.options
  }

  get wheel(): TimerWheel {
    return this.owner.wheel
  }

  get stats(): SessionStats["stats"] {
    return isTransportReleased(this.life) ? undefined : this.current
  }

  get transport(): string {
    return this.current.name
  }

  get isPolling(): boolean {
    return this.current.onRequest !== undefined
  }

  get isOpen(): boolean {
    return this.life === OPEN
  }

  get isAlive(): boolean {
    return this.life === OPEN || this.life._tag === "Leaving"
  }

  get writable(): boolean {
    return this.isOpen && this.current.writable
  }

  get buffered(): number {
    return this.current.buffered
  }

  get scope(): Scope.Scope {
    if (this.ownScope === undefined) {
      this.ownScope = Scope.forkUnsafe(this.owner.scope)
      if (this.life._tag === "Released") this.owner.closeScope(this.ownScope)
    }
    return this.ownScope
  }

  fork(): Scope.Closeable {
    return Scope.forkUnsafe(this.scope)
  }

  makeOutbox(): Outbox {
    return new Outbox(this.owner.options, this.owner.stats)
  }

  watchTransport(onChange: (name: string | undefined) => void): () => void {
    return watch(this, onChange)
  }

  // ---------------------------------------------------------------- opening

  /** Takes the connection, or the request, of the client. */
  take<Carrier>(definition: TransportDefinition<Carrier>, carrier: Carrier): void {
    this.current = definition.open(this, carrier, this)
  }

  /** Tells the client that the session is open. */
  start(): void {
    const { heartbeat, options, outflow } = this.owner
    const { maxPayload, pingInterval, pingTimeout } = options
    const upgrades = this.owner.upgradesOf(this.current)
    outflow.sendPacket(this, encodeOpen({ sid: this.id, upgrades, pingInterval, pingTimeout, maxPayload }))
    heartbeat.start(this)
  }

  // ---------------------------------------------------------------- sending

  sendUnsafe(message: OutboundMessage, onDropped?: () => void): void {
    this.owner.outflow.send(this, message, onDropped)
  }

  get hasCapacity(): boolean {
    return this.owner.outflow.hasCapacity(this)
  }

  onCapacity(action: () => void): (() => void) | undefined {
    return this.owner.outflow.onCapacity(this, action)
  }

  onDrain(): void {
    this.owner.outflow.onDrain(this)
  }

  onAnswered(): void {
    this.owner.outflow.onAnswered(this)
  }

  onOverflow(): void {
    this.closeTransport("abort", "outbox overflow", `${this.current.buffered} bytes were waiting`)
  }

  // ---------------------------------------------------------------- reading

  pauseUnsafe(by: PauseReason = "backlog"): void {
    this.owner.inflow.pause(this, by)
  }

  resumeUnsafe(by: PauseReason = "backlog"): void {
    this.owner.inflow.resume(this, by)
  }

  get isReading(): boolean {
    return this.paused === 0
  }

  messages<O extends Overflow = "fail">(
    options: StreamOptions<O> = {}
  ): Stream.Stream<string | Uint8Array, OverflowError<O>> {
    return this.owner.inflow.messages(this, options)
  }

  /** Holds the messages for the first reader of {@link messages}. */
  holdMessages(): void {
    this.owner.inflow.hold(this)
  }

  /** Calls back when the session has ended and its messages have been read. */
  whenRead(callback: () => void): void {
    this.owner.inflow.whenRead(this, callback)
  }

  onPacket(packet: string): void {
    try {
      this.owner.inflow.onPacket(this, packet)
    } catch (defect) {
      this.onDefect(defect)
    }
  }

  onBinary(bytes: Uint8Array): void {
    try {
      this.owner.inflow.onBinary(this, bytes)
    } catch (defect) {
      this.onDefect(defect)
    }
  }

  // ---------------------------------------------------------------- heartbeat

  onDeadline(): void {
    this.owner.heartbeat.onDeadline(this)
  }

  sendPing(): void {
    this.owner.outflow.sendPacket(this, PING)
    this.handler.onPing?.()
  }

  onSilence(): void {
    this.closeTransport("abort", "ping timeout")
  }

  // ---------------------------------------------------------------- transports

  onRequest(exchange: HttpExchange): boolean {
    if (this.current.onRequest === undefined) return false
    this.current.onRequest(exchange)
    return true
  }

  /** Handles a connection with this session's id: the candidate of an upgrade. */
  onUpgrade<Carrier>(definition: TransportDefinition<Carrier>, carrier: Carrier): void {
    const others = (this.others ??= new OtherTransports(this, this.owner))
    others.take(definition, carrier)
  }

  get isUpgrading(): boolean {
    return this.others !== undefined && this.others.isUpgrading
  }

  changeTo(transport: ServerTransport): void {
    if (this.isOpen) this.owner.onTransportChanged(this.current.name, transport.name)
    this.current = transport
    transport.sink = this
    if (this.paused !== 0) transport.pause()
    tellWatchers(this, transport.name)
  }

  onOthersChanged(): void {
    if (this.others?.isOver === true) this.others = undefined
    this.release()
  }

  onTransportClose(_transport: ServerTransport, reason: SessionCloseReason, description?: string): void {
    if (this.isOpen) this.end(reason, description)
    else if (this.life._tag === "Leaving") this.life.leaving.onAnswered()
  }

  onTransportReleased(transport: ServerTransport): void {
    this.owner.stats.onTransportReleased(transport)
    if (transport !== this.current) return this.others?.onOtherReleased(transport)
    if (this.life._tag === "Leaving") {
      const { leaving } = this.life
      this.life = { _tag: "Leaving", leaving, isReleased: true }
      if (transport.scope !== undefined) this.owner.closeScope(transport.scope)
      return leaving.onGone()
    }
    if (this.isOpen) this.end("transport error", "the transport has vanished")
    if (this.life._tag === "Ending") this.life = RELEASED
    else this.others?.abortUpgrade()
    if (this.life._tag === "Closing") this.life = { _tag: "Closed", close: this.life.close }
    if (transport.scope !== undefined) this.owner.closeScope(transport.scope)
    this.release()
  }

  // ---------------------------------------------------------------- leaving

  beginLeaving(leaving: Leaving): void {
    const { current } = this
    if (this.isUpgrading || current.leave === undefined) return this.closeUnsafe(leaving.reason)
    this.life = { _tag: "Leaving", leaving, isReleased: false }
    this.owner.heartbeat.stop(this)
    this.owner.outflow.stop(this)
    current.leave()
    // A client that is not read because it is too fast stays so: its messages are still bounded.
    if (this.paused !== 0) current.pause()
  }

  onCloseByPeer(): void {
    const { life } = this
    if (life._tag !== "Leaving") return this.closeTransport("peer", "transport close")
    life.leaving.onAnswered()
    this.current.abort()
    life.leaving.onGone()
  }

  cut(): void {
    this.current.abort()
  }

  endLeaving(): void {
    if (this.life._tag === "Leaving") this.end(this.life.leaving.reason)
  }

  // ---------------------------------------------------------------- the end

  closeUnsafe(reason: SessionCloseReason = "forced close", description?: string): void {
    const cause = reason === "parse error" || reason === "internal error" ? "fault" : "server"
    this.closeTransport(this.isOpen ? cause : "abort", reason, description)
  }

  keepPlace(): () => void {
    return this.owner.keepPlace(this)
  }

  get closed(): Effect.Effect<SessionClose> {
    return Effect.suspend(() =>
      "close" in this.life
        ? Effect.succeed(this.life.close)
        : Deferred.await((this.ending ??= Deferred.makeUnsafe<SessionClose>()))
    )
  }

  /** Drops everything at once, when the server's time to drain is over. */
  terminate(): void {
    this.others?.abort()
    if (this.isAlive) this.closeTransport("abort", "server shutting down")
    else this.current.abort()
  }

  /** With `abort`, nothing is sent any more: waiting for the client would be useless. */
  private closeTransport(how: CloseCause | "abort", reason: SessionCloseReason, description?: string): void {
    if (!this.isAlive) return
    const isReleased = isTransportReleased(this.life)
    this.life = isReleased ? RELEASED : ENDING
    try {
      if (isReleased) return
      if (how === "abort") this.current.abort()
      else this.current.close(how)
    } finally {
      this.end(reason, description)
    }
  }

  private end(reason: SessionCloseReason, description?: string): void {
    const close: SessionClose = { reason, description }
    this.life = { _tag: isTransportReleased(this.life) ? "Closed" : "Closing", close }
    this.owner.heartbeat.stop(this)
    this.limiter?.close()
    // During an upgrade, a client that does not poll any more gets the last packets over the new
    // transport.
    if (this.life._tag === "Closed" || !this.current.isLingering) this.others?.abortUpgrade()
    this.owner.onSessionClosed(this, close)
    const { handler } = this
    this.handler = IGNORE
    this.guarded(() => handler.onClose(close))
    this.streams?.end()
    tellWatchers(this, undefined)
    this.owner.outflow.stop(this)
    if (this.ending !== undefined) Deferred.doneUnsafe(this.ending, Effect.succeed(close))
    this.release()
  }

  private release(): void {
    if (this.life._tag !== "Closed" || this.others?.isReleased === false) return
    this.life = { _tag: "Released", close: this.life.close }
    if (this.ownScope !== undefined) this.owner.closeScope(this.ownScope)
    this.owner.onSessionReleased(this)
  }

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

  guarded(action: () => void): void {
    try {
      action()
    } catch (defect) {
      this.onDefect(defect)
    }
  }
}
