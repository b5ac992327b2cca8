/**
 * A session of Engine.IO: one client, whichever transport it uses (Engine.IO protocol 4).
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

import type { SessionCloseReason } from "../DisconnectReason.ts"
import { decodeBinaryText, encodeOpen } from "../protocol/EnginePacket.ts"
import { decodeBinaryText as decodeBinaryTextV3 } from "../protocol/EnginePacketV3.ts"
import { isProtocolError } from "../protocol/ProtocolError.ts"
import type { ResolvedEngineOptions } from "./EngineOptions.ts"
import type { ConnectionDetails, EngineRevision, HttpExchange } from "./EngineRequest.ts"
import { type Beat, type Beating, type Heartbeat, PONG_DUE, STOPPED } from "./internal/heartbeat.ts"
import { Outbox, packetsOf } from "./internal/outbox.ts"
import { ReadLimiter } from "./internal/readLimiter.ts"
import { format3, format4 } from "./internal/pollingFormat.ts"
import { type EngineStats, NO_STATS, type SessionStats, type TransportStats } from "./internal/stats.ts"
import { IDLE, type TimerWheel } from "./TimerWheel.ts"
import { UpgradeCandidate } from "./internal/upgradeCandidate.ts"
import { OutboundMessage } from "./OutboundMessage.ts"
import { PollingTransport } from "./PollingTransport.ts"
import type { ServerTransport, TransportName, TransportSink, WebSocketChannel } from "./Transport.ts"
import { type FrameForm, sendBinary, WebSocketTransport } from "./WebSocketTransport.ts"

/**
 * How and why a session ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionClose {
  readonly reason: SessionCloseReason
  /** What exactly happened, where more is known than the reason. For logs. */
  readonly description: string | undefined
}

/**
 * Where a session's messages go. Called synchronously, in the order of arrival, as the message path needs it. It should not
 * throw: what it throws is logged, and ends its session with reason `internal error`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionSink {
  /** The session is open, and this takes its messages from now on. Called once, before everything else. */
  onOpen(): void
  /** A text message: the whole packet, its leading `4` included, so that nothing is copied. */
  onMessage(packet: string): void
  onBinary(bytes: Uint8Array): void
  /** The session has ended. Called once; nothing comes after it. */
  onClose(close: SessionClose): void
}

/**
 * What a session needs of its server.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionOwner {
  readonly options: ResolvedEngineOptions
  readonly wheel: TimerWheel
  /** @internal */
  readonly heartbeat: Heartbeat
  /** @internal */
  readonly stats: EngineStats
  /** The monotonic time, in milliseconds. */
  readonly now: () => number
  /**
   * Runs something after so many milliseconds, unless the function that it gives is called before. After none of them: in a later
   * turn.
   */
  readonly after: (millis: number, run: () => void) => () => void
  /** The session has ended; a transport may still be flushing. */
  onSessionClosed(session: EngineSession, close: SessionClose): void
  /** The session holds nothing any more. */
  onSessionReleased(session: EngineSession): void
  /** Something of the session has thrown. */
  onSessionDefect(session: EngineSession, defect: unknown): void
}

const PING = "2"
const PONG = "3"

/** A stream of the session's messages. */
interface Tap {
  readonly onMessage: (message: string | Uint8Array) => void
  readonly onEnd: () => void
}

/**
 * Why a client is not read: its handlers are behind, it sends too fast, or it has too many namespaces opened.
 *
 * @since 0.1.0
 * @category models
 */
export type PauseReason = "backlog" | "rate" | "openings"

const PAUSED_BY = { backlog: 1, rate: 2, openings: 4 } as const

/**
 * A client for which more waits than `maxOutbox`: how much may, until it has taken enough. See there.
 */
interface Excess {
  limit: number
  /** Ends looking at it again. */
  cancel: () => void
}

/** How much more than the budget may wait within one turn: in it the client has had no chance to take anything. */
const TURN_BUDGETS = 4

/** What may come on top while a client that was sent too much takes it: a part of the budget. */
const EXCESS_MARGIN = 1 / 8

/** How often a client for which too much waits is looked at, in milliseconds. */
const EXCESS_REVIEW = 1_000

/** The first characters of packets. */
const code = { message: 52, close: 49, ping: 50, pong: 51, open: 48, upgrade: 53, noop: 54, base64: 98 } as const

/**
 * The server's end of a session.
 *
 * Its `…Unsafe` methods are synchronous, for the message path; the others are effects for everything else. It lives until
 * the client or the server closes it, or the server's scope closes.
 *
 * @since 0.1.0
 * @category models
 */
export class EngineSession implements TransportSink, Beating, SessionStats {
  readonly id: string
  /** The revision of Engine.IO that the client speaks. */
  readonly revision: EngineRevision
  readonly details: ConnectionDetails
  /** @internal */
  bucket: number = IDLE
  /** @internal */
  beat: Beat = STOPPED
  /** @internal */
  pace: Beating["pace"]
  /** @internal */
  sink: SessionSink = ignoreEverything
  private readonly owner: SessionOwner
  /** Whether the client reads bytes only as base64. */
  private readonly base64: boolean
  private current!: ServerTransport
  private candidate: UpgradeCandidate | undefined
  private open = true
  /** The WebSockets that are not the session's transport: of an upgrade that has not come about, or not yet. */
  private channels: Set<WebSocketChannel> | undefined
  private held = 0
  private transportGone = false
  /** What waits for the client, where it does not wait in a socket. */
  private outbox: Outbox | undefined
  /** More waits than may, and that has a reason. */
  private excess: Excess | undefined
  /** Who waits for room in it. */
  private waiters: Set<() => void> | undefined
  /** Why the client is not read: a bit for each reason. */
  private paused = 0
  private readonly limiter: ReadLimiter | undefined
  private ending: Deferred.Deferred<SessionClose> | undefined
  private taps: Set<Tap> | undefined
  private ended: SessionClose | undefined

  constructor(id: string, revision: EngineRevision, details: ConnectionDetails, owner: SessionOwner) {
    this.id = id
    this.revision = revision
    this.details = details
    this.owner = owner
    this.base64 = isTruthy(details.query.get("b64"))
    const { rateLimit } = owner.options
    this.limiter = rateLimit && new ReadLimiter(rateLimit, this, owner)
  }

  /** @internal */
  get stats(): TransportStats {
    return this.transportGone ? NO_STATS : this.current
  }

  /** The name of the transport that is in use now. */
  get transport(): TransportName {
    return this.current.name
  }

  /** Whether the session is open. */
  get isOpen(): boolean {
    return this.open
  }

  /** Whether what is sent now leaves at once, rather than waiting for a client that is behind. */
  get writable(): boolean {
    return this.open && this.current.writable
  }

  /** The bytes that wait to be taken by the client. */
  get buffered(): number {
    return this.current.buffered
  }

  /** Opens the session over the poll that asked for it. */
  openPolling(exchange: HttpExchange): void {
    const format = this.revision === 4 ? format4 : format3(this.base64)
    const outbox = (this.outbox = new Outbox(this.owner.options, this.owner.stats))
    const transport = new PollingTransport(this, this.owner.options, this.owner.wheel, format, outbox)
    this.start(transport)
    transport.onRequest(exchange)
  }

  /** Opens the session over a WebSocket. */
  openWebSocket(channel: WebSocketChannel): void {
    if (this.keepsOutbox) this.outbox = new Outbox(this.owner.options, this.owner.stats)
    this.start(this.webSocketTransport(channel))
  }

  private webSocketTransport(channel: WebSocketChannel): WebSocketTransport {
    const outbox = this.keepsOutbox ? this.outbox : undefined
    return new WebSocketTransport(channel, this, this.frameForm, outbox, this.owner.options.maxOutbox)
  }

  /**
   * Sends a message. Nothing happens when the session is not open. `onDropped` is called, in another turn, if the message is
   * dropped because the client is behind (see `outboxOverflow`).
   */
  sendUnsafe(message: OutboundMessage, onDropped?: () => void): void {
    if (!this.open) return
    if (this.keepsOutbox) {
      // It is called in a turn of its own, with nobody else around it.
      return this.sendOrDrop(message, onDropped && (() => this.guarded(onDropped)))
    }
    this.owner.stats.packetsSent += (message.text === undefined ? 0 : 1) + (message.attachments?.length ?? 0)
    this.current.sendMessage(message)
    if (this.current.exceeds(this.owner.options.maxOutbox)) this.onExceeded(message.byteLength)
  }

  /**
   * A message has made more wait than may. Of what is sent in one turn the client has had no chance to take anything: it is not
   * taken for one that does not read, up to a multiple of the budget, nor for what one message alone is beyond that. From
   * the next turn on it has to take as much as comes, but for a margin.
   */
  private onExceeded(size: number): void {
    const { maxOutbox } = this.owner.options
    const { buffered } = this.current
    if (this.excess === undefined || buffered - size <= maxOutbox) this.beginExcess()
    const excess = this.excess!
    if (buffered <= excess.limit) return
    // Nothing else waits. As base64 it is a third larger.
    if (buffered - size <= size / 2) excess.limit = buffered + maxOutbox * EXCESS_MARGIN
    else this.overflow()
  }

  private beginExcess(): void {
    this.excess?.cancel()
    this.excess = { limit: TURN_BUDGETS * this.owner.options.maxOutbox, cancel: () => {} }
    this.reviewExcess(this.excess, 0)
  }

  /** Looks later at what is left of it: no more than that, and the margin, may wait from then on. */
  private reviewExcess(excess: Excess, millis: number): void {
    const { after, options } = this.owner
    excess.cancel = after(millis, () =>
      this.guarded(() => {
        if (this.excess !== excess) return
        if (!this.current.exceeds(options.maxOutbox)) return void (this.excess = undefined)
        excess.limit = Math.min(excess.limit, this.current.buffered + options.maxOutbox * EXCESS_MARGIN)
        this.reviewExcess(excess, EXCESS_REVIEW)
      })
    )
  }

  private sendOrDrop(message: OutboundMessage, onDropped: (() => void) | undefined): void {
    if (this.isOverflowing) this.overflow()
    else if (this.current.sendMessage(message, onDropped)) this.owner.stats.packetsSent += message.packets
  }

  /**
   * Sends a message, text or bytes. It never fails: nothing happens when the session is not open. With the policy `suspend` it
   * waits until there is room.
   */
  send(data: string | Uint8Array): Effect.Effect<void> {
    const send = () => {
      if (typeof data === "string") this.sendUnsafe(new OutboundMessage("4" + data, undefined, false))
      else this.sendUnsafe(new OutboundMessage(undefined, [data], false))
    }
    if (this.owner.options.outboxOverflow !== "suspend") return Effect.sync(send)
    return Effect.callback<void>((resume) => {
      const cancel = this.whenRoom(() => {
        send()
        resume(Effect.void)
      })
      return cancel && Effect.sync(cancel)
    })
  }

  /** Whether a message may be sent without waiting. It always may unless the policy is `suspend`. */
  get hasRoom(): boolean {
    const { maxOutbox, outboxOverflow } = this.owner.options
    return !this.open || outboxOverflow !== "suspend" || !this.current.exceeds(maxOutbox - 1)
  }

  /**
   * Does something now, or when there is room again, behind those who wait already; at the session's end at the latest. Gives the
   * function that calls it off, if it has to wait.
   */
  whenRoom(action: () => void): (() => void) | undefined {
    if (this.hasRoom && this.waiters === undefined) {
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

  /**
   * Stops reading from the client, until {@link resumeUnsafe} for the same reason: what it sends waits with it. It is not taken for dead
   * meanwhile, as its pongs are not read; pings are still sent, so that a connection that is gone is noticed. That a client closes may
   * be noticed only when reading resumes.
   */
  pauseUnsafe(by: PauseReason = "backlog"): void {
    if (!this.open) return
    const { paused } = this
    this.paused |= PAUSED_BY[by]
    if (paused !== 0) return
    this.owner.stats.readPauses++
    this.current.pause()
  }

  /** Reads again, unless there is another reason not to. */
  resumeUnsafe(by: PauseReason = "backlog"): void {
    if (this.paused === 0) return
    this.paused &= ~PAUSED_BY[by]
    if (this.paused !== 0 || !this.open) return
    this.owner.heartbeat.onResume(this)
    this.current.resume()
  }

  /** Closes the session: what is buffered is sent first. */
  closeUnsafe(reason: SessionCloseReason = "forced close", description?: string): void {
    if (!this.open) return
    // Who breaks the protocol may never poll again: nothing is kept for it.
    const isAborted = reason === "parse error" || reason === "internal error"
    if (isAborted && this.current instanceof PollingTransport) this.current.abort()
    else this.current.close()
    this.end(reason, description)
  }

  /** Closes the session: what is buffered is sent first. */
  close(reason: SessionCloseReason = "forced close"): Effect.Effect<void> {
    return Effect.sync(() => this.closeUnsafe(reason))
  }

  /** Waits for the session's end and says how it ended. */
  get closed(): Effect.Effect<SessionClose> {
    return Effect.suspend(() =>
      this.ended === undefined
        ? Deferred.await((this.ending ??= Deferred.makeUnsafe<SessionClose>()))
        : Effect.succeed(this.ended)
    )
  }

  /**
   * The messages that come in from now on, text and bytes, beside the session's own sink; it ends with the session. A reader
   * that falls behind by more than `maxBuffered` messages (default 10,000) ends the session with reason
   * `inbound overflow`: nothing is dropped silently.
   */
  messages(options: { readonly maxBuffered?: number } = {}): Stream.Stream<string | Uint8Array> {
    return Stream.callback<string | Uint8Array>(
      (queue) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const tap: Tap = {
              onMessage: (message) => {
                if (Queue.offerUnsafe(queue, message)) return
                this.closeUnsafe("inbound overflow", "a reader of the session's messages has fallen behind")
              },
              onEnd: () => Queue.endUnsafe(queue)
            }
            if (this.open) (this.taps ??= new Set()).add(tap)
            else tap.onEnd()
            return tap
          }),
          (tap) => Effect.sync(() => this.taps?.delete(tap))
        ),
      // Not "dropping": an offer that does not fit is refused, and that is noticed.
      { bufferSize: options.maxBuffered ?? 10_000, strategy: "dropping" }
    )
  }

  /** A long-polling request with this session's id. `false`: the session does not poll (any more). */
  onRequest(exchange: HttpExchange): boolean {
    if (!(this.current instanceof PollingTransport)) return false
    this.current.onRequest(exchange)
    return true
  }

  /** A WebSocket with this session's id: the candidate of an upgrade. */
  onUpgrade(channel: WebSocketChannel): void {
    // Also one that is refused takes its time to close, and a server that shuts down waits for it.
    this.held++
    const channels = (this.channels ??= new Set())
    channels.add(channel)
    const onReleased = () => {
      channels.delete(channel)
      this.release()
    }
    if (!this.open || this.candidate !== undefined || !(this.current instanceof PollingTransport)) {
      channel.receiver = { onText() {}, onBinary() {}, onClose: onReleased }
      return channel.close()
    }
    const polling = this.current
    this.candidate = new UpgradeCandidate(channel, this.owner.wheel, this.owner.options.upgradeTimeout, {
      onProbe: () => polling.beginUpgrade(),
      onComplete: () => {
        if (polling.isBehind) this.completeUpgradeLater(polling, channel)
        else this.completeUpgrade(polling, channel)
      },
      onFailed: () => {
        this.candidate = undefined
        polling.cancelUpgrade()
      },
      onReleased
    })
  }

  /** Drops everything at once; for a server whose time to drain is over. */
  terminate(): void {
    this.candidate?.abort()
    for (const channel of this.channels ?? []) channel.terminate()
    this.current.abort()
    if (this.open) this.end("server shutting down")
  }

  // ---------------------------------------------------------------- transport to session

  onPacket(packet: string): void {
    try {
      this.takePacket(packet)
    } catch (defect) {
      this.onDefect(defect)
    }
  }

  private takePacket(packet: string): void {
    if (!this.open) return
    this.owner.stats.packetsReceived++
    if (this.limiter !== undefined && !this.limiter.onPacket()) return
    const type = packet.charCodeAt(0)
    if (type === code.message) {
      if (this.beat === PONG_DUE) this.owner.heartbeat.onSignOfLife(this)
      if (this.taps !== undefined) this.tapped(packet.slice(1))
      return this.sink.onMessage(packet)
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

  onBinary(bytes: Uint8Array): void {
    if (!this.open) return
    this.owner.stats.packetsReceived++
    try {
      if (this.limiter !== undefined && !this.limiter.onPacket()) return
      this.onBinaryMessage(bytes)
    } catch (defect) {
      this.onDefect(defect)
    }
  }

  /** The client has sent a ping of WebSocket's own: it is answered, and the answer waits with what else was not taken. */
  onAnswered(): void {
    if (this.open && this.isOverflowing) this.overflow()
  }

  /**
   * Something has thrown that must not: an application's parser, adapter or sink, or a bug of ours. It is this session's end and nobody
   * else's.
   *
   * @internal
   */
  onDefect(defect: unknown): void {
    // What fails on the way out is nothing new.
    if (this.ended?.reason !== "internal error") this.owner.onSessionDefect(this, defect)
    if (!this.open) return
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

  onDrain(): void {
    const { waiters } = this
    if (waiters === undefined) return
    for (const action of waiters) {
      if (!this.hasRoom) return
      waiters.delete(action)
      this.guarded(action)
    }
    if (waiters.size === 0 && this.waiters === waiters) this.waiters = undefined
  }

  onTransportClose(_transport: ServerTransport, reason: SessionCloseReason, description?: string): void {
    if (this.open) this.end(reason, description)
  }

  onTransportReleased(transport: ServerTransport): void {
    this.owner.stats.onTransportGone(transport)
    if (transport === this.current) this.transportGone = true
    if (!this.open && transport === this.current) this.candidate?.abort()
    this.release()
  }

  private tapped(message: string | Uint8Array): void {
    for (const tap of this.taps!) tap.onMessage(message)
  }

  // ---------------------------------------------------------------- heartbeat

  /** @internal */
  onDeadline(): void {
    this.owner.heartbeat.onDeadline(this)
  }

  /** @internal */
  sendPing(): void {
    this.sendControl(PING)
  }

  /** @internal */
  onSilence(): void {
    this.closeAtOnce("ping timeout")
  }

  /** @internal */
  get isReading(): boolean {
    return this.paused === 0
  }

  private onPing(): void {
    // Since revision 4 the server pings.
    if (this.revision === 4) return this.closeUnsafe("parse error", "invalid heartbeat direction")
    this.sendControl(PONG)
    if (this.isOverflowing) return this.overflow()
    this.owner.heartbeat.onPing(this)
  }

  private onPong(): void {
    if (this.revision === 3) return this.closeUnsafe("parse error", "invalid heartbeat direction")
    this.owner.heartbeat.onPong(this)
  }

  // ---------------------------------------------------------------- opening, upgrade, end

  private start(transport: PollingTransport | WebSocketTransport): void {
    const { allowUpgrades, maxPayload, pingInterval, pingTimeout, transports } = this.owner.options
    this.current = transport
    this.held++
    const upgrades =
      transport.name === "polling" && allowUpgrades && transports.includes("websocket") ? ["websocket"] : []
    this.sendControl(encodeOpen({ sid: this.id, upgrades, pingInterval, pingTimeout, maxPayload }))
    this.owner.heartbeat.start(this)
  }

  private sendControl(packet: string): void {
    this.owner.stats.packetsSent++
    this.current.sendPacket(packet)
  }

  /** What comes by the new transport waits for what came by the old one. */
  private completeUpgradeLater(polling: PollingTransport, channel: WebSocketChannel): void {
    channel.pause()
    polling.whenHandled(() => {
      if (this.channels?.has(channel) !== true) {
        // It is gone; the session may still be there.
        this.candidate = undefined
        return polling.cancelUpgrade()
      }
      this.completeUpgrade(polling, channel)
      if (this.paused === 0) channel.resume()
    })
  }

  private completeUpgrade(polling: PollingTransport, channel: WebSocketChannel): void {
    this.candidate = undefined
    const outbox = this.outbox!
    const transport = this.open ? this.webSocketTransport(channel) : undefined
    if (transport !== undefined) {
      this.current = transport
      this.channels?.delete(channel)
      if (this.paused !== 0) transport.pause()
    }
    if (transport !== undefined && this.keepsOutbox) transport.flush()
    else {
      for (const waiting of outbox.takeAll()) {
        for (const packet of packetsOf(waiting)) {
          if (typeof packet === "string") channel.sendText(packet)
          else sendBinary(channel, this.frameForm, packet)
        }
      }
    }
    polling.finishUpgrade()
    // The session was closed meanwhile, and the client has heard so by what was just sent.
    if (transport === undefined) channel.close()
  }

  private onBase64(packet: string): void {
    const bytes = this.revision === 3 ? decodeBinaryTextV3(packet) : decodeBinaryText(packet)
    if (isProtocolError(bytes)) return this.closeUnsafe("parse error", bytes.message)
    this.onBinaryMessage(bytes)
  }

  private onBinaryMessage(bytes: Uint8Array): void {
    if (this.beat === PONG_DUE) this.owner.heartbeat.onSignOfLife(this)
    if (this.taps !== undefined) this.tapped(bytes)
    this.sink.onBinary(bytes)
  }

  private get frameForm(): FrameForm {
    return this.base64 ? (this.revision === 3 ? V3_BASE64 : V4_BASE64) : this.revision === 3 ? V3_BYTES : V4_BYTES
  }

  private onCloseByPeer(): void {
    if (this.current instanceof PollingTransport) this.current.closeByPeer()
    else this.current.close()
    this.end("transport close")
  }

  /** Whether what waits is kept where it can be taken back from, as more than fits is not the end. */
  private get keepsOutbox(): boolean {
    return this.owner.options.outboxOverflow !== "disconnect"
  }

  /** Whether there is an end to waiting, whatever the policy. */
  private get isOverflowing(): boolean {
    const { maxOutbox } = this.owner.options
    // What is in the socket does not count: a message that is larger than the budget may be there.
    if (this.keepsOutbox) return this.outbox!.exceeds(2 * maxOutbox)
    return this.current.exceeds(maxOutbox) && !(this.excess && this.current.buffered <= this.excess.limit)
  }

  private overflow(): void {
    this.closeAtOnce("outbox overflow", `${this.current.buffered} bytes were waiting`)
  }

  /** For a client that does not take what is sent: waiting for it to do so is of no use. */
  private closeAtOnce(reason: SessionCloseReason, description?: string): void {
    if (!this.open) return
    this.current.abort()
    this.end(reason, description)
  }

  private end(reason: SessionCloseReason, description?: string): void {
    this.open = false
    this.owner.heartbeat.stop(this)
    this.limiter?.close()
    this.excess?.cancel()
    this.excess = undefined
    // A client that is changing over takes the last packets by the new transport, if it polls no more.
    const lingering = this.current instanceof PollingTransport && this.current.lingering
    if (!lingering) this.candidate?.abort()
    const close: SessionClose = { reason, description }
    this.ended = close
    this.owner.onSessionClosed(this, close)
    const { sink } = this
    this.sink = ignoreEverything
    this.guarded(() => sink.onClose(close))
    if (this.taps !== undefined) {
      for (const tap of this.taps) this.guarded(tap.onEnd)
      this.taps = undefined
    }
    const { waiters } = this
    this.waiters = undefined
    if (waiters !== undefined) for (const action of waiters) this.guarded(action)
    if (this.ending !== undefined) Deferred.doneUnsafe(this.ending, Effect.succeed(close))
    if (this.held === 0) this.owner.onSessionReleased(this)
  }

  private release(): void {
    this.held--
    if (this.held === 0 && !this.open) this.owner.onSessionReleased(this)
  }
}

const V3_BYTES: FrameForm = { revision: 3, base64: false }
const V3_BASE64: FrameForm = { revision: 3, base64: true }
const V4_BYTES: FrameForm = { revision: 4, base64: false }
const V4_BASE64: FrameForm = { revision: 4, base64: true }

/** A flag of the query, as clients write them. */
const isTruthy = (flag: string | undefined): boolean => flag !== undefined && flag !== ""

const ignoreEverything: SessionSink = { onOpen() {}, onMessage() {}, onBinary() {}, onClose() {} }
