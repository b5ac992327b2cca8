import type { EngineSession } from "../../engine/EngineSession.ts"
import { IDLE, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { Decoder } from "../../protocol/PacketParser.ts"
import type { Environment } from "./environment.ts"

/** A connection, as far as its attachments are watched. */
export interface Watched {
  readonly session: EngineSession
  readonly environment: Environment
}

/**
 * Ends a connection whose announced attachments do not come. It checks the connection once per
 * timeout instead of setting a timer for every packet, so the next attachment may take between one
 * and two timeouts.
 */
export class AttachmentWatch implements WheelEntry {
  bucket: number = IDLE
  /** Counts the messages that came while attachments were awaited. */
  private progress = 0
  private seen = 0
  private readonly connection: Watched
  private readonly decoder: Decoder

  constructor(connection: Watched, decoder: Decoder) {
    this.connection = connection
    this.decoder = decoder
  }

  /** A message has come, and there are attachments to come. */
  onProgress(): void {
    this.progress++
    if (this.bucket === IDLE) this.schedule()
  }

  onDeadline(): void {
    if (this.decoder.pending === 0) return
    if (this.progress === this.seen) {
      return this.connection.session.closeUnsafe("parse error", "announced attachments did not come")
    }
    this.seen = this.progress
    this.schedule()
  }

  onDefect(defect: unknown): void {
    this.connection.session.onDefect(defect)
  }

  private schedule(): void {
    const { options, wheel } = this.connection.environment
    wheel.schedule(this, options.attachmentTimeout)
  }
}
