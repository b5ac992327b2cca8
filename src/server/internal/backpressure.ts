import { IDLE, type TimerWheel, type WheelEntry } from "../../engine/internal/timerWheel.ts"
import type { EngineSession } from "../../engine/EngineSession.ts"
import type { ResolvedServerOptions } from "../ServerOptions.ts"

/**
 * Pauses reading from a client whose events come faster than their handlers are done.
 *
 * What a handler waits for may be something that the client sends: then nothing would ever go on. So reading is not paused
 * while an acknowledgement of the client is awaited, on any of its sockets, and a pause during which no handler gets done
 * ends after `pauseTimeout`; there is none again before the backlog is down to `resumeReadingAt`. In both cases
 * `maxPendingEvents` is the bound.
 */
export class Backpressure implements WheelEntry {
  bucket: number = IDLE
  /** Events whose handlers are not done. */
  private pending = 0
  private isPaused = false
  /** Pausing has not helped. */
  private isFutile = false
  /** Whether anything was done since the last look. */
  private hasProgress = false
  private readonly options: ResolvedServerOptions
  private readonly wheel: TimerWheel
  private readonly client: { readonly session: EngineSession; readonly awaitsAck: boolean }

  constructor(
    client: { readonly session: EngineSession; readonly awaitsAck: boolean },
    options: ResolvedServerOptions,
    wheel: TimerWheel
  ) {
    this.client = client
    this.options = options
    this.wheel = wheel
  }

  /** An event waits for its handler, or the handler has been suspended. */
  onPending(): void {
    if (++this.pending < this.options.pauseReadingAt || this.isPaused || this.isFutile || this.client.awaitsAck) return
    this.isPaused = true
    this.hasProgress = false
    this.wheel.schedule(this, this.options.pauseTimeout)
    this.client.session.pauseUnsafe()
  }

  /** One of those is done. */
  onDone(): void {
    this.hasProgress = true
    if (--this.pending > this.options.resumeReadingAt) return
    this.isFutile = false
    this.resume()
  }

  /** Somebody waits for an acknowledgement of the client. */
  onAwaiting(): void {
    this.resume()
  }

  onDeadline(): void {
    if (this.hasProgress) {
      this.hasProgress = false
      return this.wheel.schedule(this, this.options.pauseTimeout)
    }
    this.isFutile = true
    this.resume()
  }

  /** The connection has ended. */
  close(): void {
    this.isPaused = false
    this.isFutile = true
    this.wheel.cancel(this)
  }

  private resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    this.wheel.cancel(this)
    this.client.session.resumeUnsafe()
  }
}
