import type { WebSocketChannel, WebSocketReceiver } from "../Transport.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../TimerWheel.ts"

export interface UpgradeEvents {
  /** The client has probed, and got its answer. */
  readonly onProbe: () => void
  /** The client has changed over: the channel is the session's transport from now on. */
  readonly onComplete: () => void
  /** The upgrade came to nothing; the session stays as it is. */
  readonly onFailed: () => void
  /** The channel is gone, without having become the transport. */
  readonly onReleased: () => void
}

/**
 * A WebSocket between its opening and the end of the upgrade (Engine.IO protocol 4, "Upgrade"): the client sends `2probe`,
 * gets `3probe`, waits until its polls are done, and sends `5`. Anything else, a second probe, or nothing in time, closes the candidate
 * and leaves the session alone.
 */
export class UpgradeCandidate implements WebSocketReceiver, WheelEntry {
  bucket: number = IDLE
  private readonly channel: WebSocketChannel
  private readonly wheel: TimerWheel
  private readonly events: UpgradeEvents
  private settled = false
  private probed = false

  constructor(channel: WebSocketChannel, wheel: TimerWheel, timeout: number, events: UpgradeEvents) {
    this.channel = channel
    this.wheel = wheel
    this.events = events
    channel.receiver = this
    wheel.schedule(this, timeout)
  }

  onText(text: string): void {
    if (this.settled) return
    // One is answered: who probes without end may not read the answers.
    if (text === "2probe" && !this.probed) {
      this.probed = true
      this.channel.sendText("3probe")
      return this.events.onProbe()
    }
    if (text !== "5") return this.fail()
    this.settle()
    this.events.onComplete()
  }

  onBinary(_bytes: Uint8Array): void {
    this.fail()
  }

  onClose(): void {
    if (!this.settled) {
      this.settle()
      this.events.onFailed()
    }
    this.events.onReleased()
  }

  onDeadline(): void {
    this.fail()
  }

  /** The session has ended meanwhile. */
  abort(): void {
    this.settle()
    this.channel.close()
  }

  private fail(): void {
    if (this.settled) return
    this.settle()
    this.channel.close()
    this.events.onFailed()
  }

  private settle(): void {
    this.settled = true
    this.wheel.cancel(this)
  }
}
