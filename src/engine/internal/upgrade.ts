import { IDLE, type TimerWheel, type WheelEntry } from "../TimerWheel.ts"
import type { Handover, ServerTransport, TransportSink } from "../Transport.ts"

/** The session of an upgrade. */
interface Upgrading {
  readonly isOpen: boolean
  readonly isReading: boolean
  /** The candidate is the session's transport from now on. */
  changeTo(transport: ServerTransport): void
  /** The upgrade is over: the session has changed, or stays with its transport. */
  onUpgradeEnd(): void
  /** A transport that is not the session's has released everything. */
  onOtherReleased(transport: ServerTransport): void
}

/**
 * The upgrade of a session to another transport (Engine.IO protocol 4, "Upgrade"): the client sends
 * `2probe` on the candidate, gets `3probe`, waits until its polls have ended, and sends `5`. Any
 * other packet, a second probe, or silence until the timeout closes the candidate and leaves the
 * session as it is.
 */
export class Upgrade implements TransportSink, WheelEntry {
  bucket: number = IDLE
  private readonly session: Upgrading
  private readonly leaving: ServerTransport
  private readonly handover: Handover
  private readonly wheel: TimerWheel
  private candidate!: ServerTransport
  /** `settled`: the client has changed over, or the upgrade has failed. */
  private state: "opened" | "probed" | "settled" = "opened"
  private isReleased = false

  constructor(session: Upgrading, leaving: ServerTransport, handover: Handover, wheel: TimerWheel) {
    this.session = session
    this.leaving = leaving
    this.handover = handover
    this.wheel = wheel
  }

  start(candidate: ServerTransport, timeout: number): void {
    this.candidate = candidate
    this.wheel.schedule(this, timeout)
  }

  onPacket(packet: string): void {
    if (this.state === "settled") return
    // Only one probe is answered: a client that probes without end may not read the answers.
    if (packet === "2probe" && this.state === "opened") {
      this.state = "probed"
      this.candidate.sendPacket("3probe")
      return this.handover.begin()
    }
    if (packet !== "5") return this.fail()
    this.settle()
    if (this.handover.isBehind) this.completeLater()
    else this.complete()
  }

  onBinary(_bytes: Uint8Array): void {
    this.fail()
  }

  onAnswered(): void {}

  onDrain(): void {}

  onTransportClose(_transport: ServerTransport): void {
    this.cancel()
  }

  onTransportReleased(transport: ServerTransport): void {
    this.isReleased = true
    this.cancel()
    this.session.onOtherReleased(transport)
  }

  onDeadline(): void {
    this.fail()
  }

  /** The session has ended meanwhile. */
  abort(): void {
    this.settle()
    this.candidate.close("server")
  }

  /** Packets of the candidate wait for those of the old transport. */
  private completeLater(): void {
    const { candidate, handover, session } = this
    candidate.pause()
    handover.whenHandled(() => {
      if (this.isReleased) {
        // The candidate has closed; the session may still be open.
        session.onUpgradeEnd()
        return handover.cancel()
      }
      this.complete()
      if (session.isReading) candidate.resume()
    })
  }

  private complete(): void {
    const { candidate, handover, leaving, session } = this
    const { isOpen } = session
    session.onUpgradeEnd()
    if (isOpen) session.changeTo(candidate)
    if (leaving.outbox !== undefined) candidate.takeOver(leaving.outbox)
    handover.finish()
    // The session was closed meanwhile, and its last messages have just told the client.
    if (!isOpen) candidate.close("server")
  }

  private fail(): void {
    if (this.state === "settled") return
    this.settle()
    this.candidate.close("server")
    this.session.onUpgradeEnd()
    this.handover.cancel()
  }

  private cancel(): void {
    if (this.state === "settled") return
    this.settle()
    this.session.onUpgradeEnd()
    this.handover.cancel()
  }

  private settle(): void {
    this.state = "settled"
    this.wheel.cancel(this)
  }
}
