import type { EngineSession } from "../../engine/EngineSession.ts"
import { IDLE, type WheelEntry } from "../../engine/TimerWheel.ts"
import { costOf } from "../../internal/cost.ts"
import type { Decoder } from "../../protocol/PacketParser.ts"
import type { Backlog } from "./backlog.ts"
import type { Environment } from "./environment.ts"

/** A connection, as far as its attachments are watched. */
export interface Watched {
  readonly session: EngineSession
  readonly environment: Environment
  readonly backlog: Backlog
}

/** The data of a smaller message is not worth counting while it waits. */
const LARGE = 16 * 1024

/**
 * Ends a connection whose announced attachments do not come. It checks the connection once per
 * timeout instead of setting a timer for every packet, so the next attachment may take between one
 * and two timeouts.
 *
 * Meanwhile the data that waits for them counts in the backlog: a megabyte of text may be 20 of
 * objects.
 */
export class AttachmentWatch implements WheelEntry {
  bucket: number = IDLE
  /** Counts the messages that came while attachments were awaited. */
  private progress = 0
  private seen = 0
  /** The cost of the data that waits. */
  private cost = 0
  private readonly connection: Watched
  private readonly decoder: Decoder

  constructor(connection: Watched, decoder: Decoder) {
    this.connection = connection
    this.decoder = decoder
  }

  /** A message of this size has come, and there are attachments to come. */
  onProgress(size: number): void {
    this.progress++
    if (this.bucket === IDLE) this.schedule()
    const { incomplete } = this.decoder
    if (this.cost > 0 || size < LARGE || incomplete === undefined) return
    this.cost = costOf(incomplete.data)
    this.connection.backlog.holdIncomplete(this.cost)
  }

  /** The last attachment has come. */
  onComplete(): void {
    const { cost } = this
    if (cost === 0) return
    this.cost = 0
    this.connection.backlog.releaseIncomplete(cost)
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
