import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

import type { SessionCloseReason } from "../../../DisconnectReason.ts"
import { decodeBinaryText } from "../../../protocol/EnginePacket.ts"
import { decodeBinaryText as decodeBinaryTextV3 } from "../../../protocol/EnginePacketV3.ts"
import { isProtocolError } from "../../../protocol/ProtocolError.ts"
import type { Overflow, OverflowError, StreamOptions } from "../../../StreamOptions.ts"
import type { PauseReason, SessionHandler } from "../../EngineSession.ts"
import { type Beating, type Heartbeat, PONG_DUE } from "../heartbeat.ts"
import { MessageStreams } from "../messageStreams.ts"
import type { ReadLimiter } from "../readLimiter.ts"
import type { EngineStats } from "../stats.ts"
import type { Outflow, Sender } from "./outflow.ts"

const PONG = "3"

/** The first characters of packets. */
const code = { message: 52, close: 49, ping: 50, pong: 51, open: 48, upgrade: 53, noop: 54, base64: 98 } as const

const PAUSED_BY: Record<PauseReason, number> = { backlog: 1, rate: 2, openings: 4, streams: 8 }

/**
 * The parts of a session that the reading of its client uses. The state is the session's: sessions
 * that are read through their handler have no object for it.
 */
export interface Receiver extends Sender, Beating {
  /** Whether messages of the client are handled. */
  readonly isAlive: boolean
  readonly handler: SessionHandler
  readonly limiter: ReadLimiter | undefined
  /** One bit for each reason why the client is not read. */
  paused: number
  /** Set while somebody streams the messages, or they are held for that. */
  streams: MessageStreams | undefined
  pauseUnsafe(by: PauseReason): void
  resumeUnsafe(by: PauseReason): void
  onCloseByPeer(): void
  closeUnsafe(reason: SessionCloseReason, description: string): void
}

/** The handler of a session that is not open yet, or not any more. */
export const IGNORE: SessionHandler = { onOpen() {}, onMessage() {}, onBinary() {}, onClose() {} }

/** The packets that clients send to all sessions of a server, and the pauses in their reading. */
export class Inflow {
  private readonly stats: EngineStats
  private readonly heartbeat: Heartbeat
  private readonly outflow: Outflow

  constructor(stats: EngineStats, heartbeat: Heartbeat, outflow: Outflow) {
    this.stats = stats
    this.heartbeat = heartbeat
    this.outflow = outflow
  }

  onPacket(session: Receiver, packet: string): void {
    if (!session.isAlive) return
    this.stats.packetsReceived++
    if (session.limiter !== undefined && !session.limiter.onPacket()) return
    const type = packet.charCodeAt(0)
    if (type !== code.message) return this.onOther(session, type, packet)
    if (session.beat === PONG_DUE) this.heartbeat.onSignOfLife(session)
    if (session.streams !== undefined) session.streams.onMessage(packet.slice(1))
    session.handler.onMessage(packet)
  }

  onBinary(session: Receiver, bytes: Uint8Array): void {
    if (!session.isAlive) return
    this.stats.packetsReceived++
    if (session.limiter !== undefined && !session.limiter.onPacket()) return
    this.onBytes(session, bytes)
  }

  /** Handles a packet that is no text message. */
  private onOther(session: Receiver, type: number, packet: string): void {
    switch (type) {
      case code.pong:
        return this.onPong(session)
      case code.base64:
        return this.onBase64(session, packet)
      case code.close:
        return session.onCloseByPeer()
      case code.ping:
        return this.onPing(session)
      case code.open:
      case code.upgrade:
      case code.noop:
        return
      default:
        return session.closeUnsafe("parse error", "unknown packet type")
    }
  }

  private onBase64(session: Receiver, packet: string): void {
    const bytes = session.revision === 3 ? decodeBinaryTextV3(packet) : decodeBinaryText(packet)
    if (isProtocolError(bytes)) return session.closeUnsafe("parse error", bytes.message)
    this.onBytes(session, bytes)
  }

  private onPing(session: Receiver): void {
    // From revision 4 on, the server pings.
    if (session.revision === 4) return session.closeUnsafe("parse error", "invalid heartbeat direction")
    this.outflow.sendPacket(session, PONG)
    if (this.outflow.isOverflowing(session)) return session.onOverflow()
    this.heartbeat.onPing(session)
  }

  private onPong(session: Receiver): void {
    if (session.revision === 3) return session.closeUnsafe("parse error", "invalid heartbeat direction")
    this.heartbeat.onPong(session)
    session.handler.onPong?.()
  }

  private onBytes(session: Receiver, bytes: Uint8Array): void {
    if (session.beat === PONG_DUE) this.heartbeat.onSignOfLife(session)
    if (session.streams !== undefined) session.streams.onMessage(bytes)
    session.handler.onBinary(bytes)
  }

  pause(session: Receiver, by: PauseReason): void {
    if (!session.isAlive) return
    const { paused } = session
    session.paused |= PAUSED_BY[by]
    if (paused !== 0) return
    this.stats.readPauses++
    session.current.pause()
  }

  resume(session: Receiver, by: PauseReason): void {
    if (session.paused === 0) return
    session.paused &= ~PAUSED_BY[by]
    if (session.paused !== 0 || !session.isAlive) return
    if (session.isOpen) this.heartbeat.onResume(session)
    session.current.resume()
  }

  messages<O extends Overflow>(
    session: Receiver,
    options: StreamOptions<O>
  ): Stream.Stream<string | Uint8Array, OverflowError<O>> {
    return Stream.unwrap(
      Effect.suspend(() => {
        if (session.isAlive) return this.streaming(session).open(options)
        // The session has ended, but the messages that were held for a first reader are still
        // there.
        const streams = session.streams ?? new MessageStreams(session, () => {})
        if (session.streams === undefined) streams.end()
        return streams.open(options)
      })
    )
  }

  /** Holds the messages for the first reader of {@link messages}. */
  hold(session: Receiver): void {
    this.streaming(session).hold()
  }

  /** Calls back when the session has ended and its messages have been read. */
  whenRead(session: Receiver, callback: () => void): void {
    if (session.streams === undefined) callback()
    else session.streams.whenRead(callback)
  }

  private streaming(session: Receiver): MessageStreams {
    return (session.streams ??= new MessageStreams(session, () => {
      session.streams = undefined
    }))
  }
}
