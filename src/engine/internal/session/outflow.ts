import type { OutboundMessage } from "../../OutboundMessage.ts"
import type { OutboxLimits, OutboxOverflow } from "../../Outbox.ts"
import type { ServerTransport } from "../../Transport.ts"
import { Excess } from "../excess.ts"
import type { EngineStats } from "../stats.ts"

/**
 * The parts of a session that its sends use. The state is the session's: sessions without a slow
 * client have no object for it.
 */
export interface Sender {
  readonly isOpen: boolean
  readonly current: ServerTransport
  /** Set while more bytes wait than `maxOutbox`, with the policy `disconnect`. */
  excess: Excess | undefined
  /** Actions that wait for capacity. */
  waiters: Set<() => void> | undefined
  /** Runs code of the application. An error ends the session. */
  guarded(action: () => void): void
  onDefect(defect: unknown): void
  /** More bytes wait than any policy allows. */
  onOverflow(): void
}

/** The sends of all sessions of a server, and the policy for clients that do not read them. */
export class Outflow {
  private readonly maxOutbox: number
  private readonly policy: OutboxOverflow
  private readonly stats: EngineStats
  private readonly after: (millis: number, run: () => void) => () => void

  constructor(
    { maxOutbox, outboxOverflow }: OutboxLimits,
    stats: EngineStats,
    after: (millis: number, run: () => void) => () => void
  ) {
    this.maxOutbox = maxOutbox
    this.policy = outboxOverflow
    this.stats = stats
    this.after = after
  }

  send(session: Sender, message: OutboundMessage, onDropped: (() => void) | undefined): void {
    if (!session.isOpen) return
    const { current } = session
    if (this.policy !== "disconnect") {
      // It is called in a turn of its own, outside of everything that catches errors.
      return this.sendOrDrop(session, message, onDropped && (() => session.guarded(onDropped)))
    }
    this.stats.packetsSent += (message.text === undefined ? 0 : 1) + (message.attachments?.length ?? 0)
    current.sendMessage(message)
    if (current.exceeds(this.maxOutbox)) this.onExceeded(session, message.waitingBytes)
  }

  /** Sends a packet of the engine itself. It is never dropped. */
  sendPacket(session: Sender, packet: string): void {
    this.stats.packetsSent++
    session.current.sendPacket(packet)
  }

  private sendOrDrop(session: Sender, message: OutboundMessage, onDropped: (() => void) | undefined): void {
    if (this.isOverflowing(session)) session.onOverflow()
    else if (session.current.sendMessage(message, onDropped)) this.stats.packetsSent += message.packets
  }

  private onExceeded(session: Sender, size: number): void {
    session.excess ??= new Excess(session, this.maxOutbox, this.after, () => {
      session.excess = undefined
    })
    if (!session.excess.admits(size)) session.onOverflow()
  }

  /** Whether more bytes wait than any policy allows. */
  isOverflowing({ current, excess }: Sender): boolean {
    if (this.policy === "disconnect") return current.exceeds(this.maxOutbox) && excess?.isWithin !== true
    // Data in the socket does not count: it may hold a message that is larger than the budget.
    return (current.outbox ?? current).exceeds(2 * this.maxOutbox)
  }

  /**
   * The transport has answered a request of the client: the answer waits with everything else that
   * the client does not read.
   */
  onAnswered(session: Sender): void {
    if (session.isOpen && this.isOverflowing(session)) session.onOverflow()
  }

  /** Whether a message may be sent without waiting. */
  hasCapacity(session: Sender): boolean {
    return !session.isOpen || this.policy !== "suspend" || !session.current.exceeds(this.maxOutbox - 1)
  }

  /**
   * Runs an action now, or when there is capacity again. Returns the function that cancels it, if
   * it has to wait.
   */
  onCapacity(session: Sender, action: () => void): (() => void) | undefined {
    if (session.waiters === undefined && this.hasCapacity(session)) {
      action()
      return undefined
    }
    const waiters = (session.waiters ??= new Set())
    waiters.add(action)
    return () => {
      waiters.delete(action)
      if (waiters.size === 0 && session.waiters === waiters) session.waiters = undefined
    }
  }

  /** The client has read some of the waiting data. */
  onDrain(session: Sender): void {
    const { waiters } = session
    if (waiters === undefined) return
    for (const action of waiters) {
      if (!this.hasCapacity(session)) return
      waiters.delete(action)
      session.guarded(action)
    }
    if (waiters.size === 0 && session.waiters === waiters) session.waiters = undefined
  }

  /** Nothing is sent any more: the client is not checked, and nothing waits for capacity. */
  stop(session: Sender): void {
    session.excess?.stop()
    session.excess = undefined
    const { waiters } = session
    session.waiters = undefined
    if (waiters !== undefined) for (const action of waiters) session.guarded(action)
  }
}
