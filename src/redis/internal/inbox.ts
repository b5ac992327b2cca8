import type { ClusterReceiver } from "../../adapter/ClusterLink.ts"
import type { ClusterMonitor } from "../../adapter/ClusterStatus.ts"
import type { Received } from "../../adapter/Received.ts"
import type { Sequences } from "../../adapter/Sequences.ts"

/**
 * Takes what one namespace of this server hears, counts what is missing, and passes the rest on.
 */
export class Inbox {
  private readonly namespace: string
  private readonly uid: string
  private readonly receiver: ClusterReceiver
  private readonly sequences: Sequences
  private readonly monitor: ClusterMonitor
  private readonly hears: (lane: string) => boolean
  private readonly onAsked: (time: number) => void

  /**
   * `hears` says whether this server listens to a lane: of others, it must not remember anything.
   * `onAsked` is told that another server asks for the lanes that have changed in a time, in
   * milliseconds.
   */
  constructor(
    namespace: string,
    uid: string,
    receiver: ClusterReceiver,
    sequences: Sequences,
    monitor: ClusterMonitor,
    hears: (lane: string) => boolean,
    onAsked: (time: number) => void
  ) {
    this.namespace = namespace
    this.uid = uid
    this.receiver = receiver
    this.sequences = sequences
    this.monitor = monitor
    this.hears = hears
    this.onAsked = onAsked
  }

  /** Takes a message that has come on a lane. */
  take(received: Received, lane: string): void {
    switch (received._tag) {
      case "Refused":
        return this.monitor.refused(this.namespace, received.problem)
      case "Ignored":
        return this.count(received.from.uid, lane, received.number)
      case "Message":
        this.count(received.from.uid, lane, received.number)
        return this.receiver.onMessage(received.from, received.message)
      case "Answer":
        return this.receiver.onAnswer(received.from, received.answer)
      case "Beat": {
        const { uid } = received.from
        if (uid === undefined || uid === this.uid) return
        if (received.asks !== undefined) this.onAsked(received.asks)
        let missed = 0
        for (const [lane, last] of received.lanes) {
          if (this.hears(lane)) missed += this.sequences.settle(uid, lane, last)
        }
        return this.report(uid, missed)
      }
      case "Presence": {
        const { uid } = received.from
        if (received.presence !== "Closing" || uid === undefined) return
        this.sequences.forgetSender(uid)
        this.receiver.onServerLeft(uid, false)
      }
    }
  }

  /** Counts the number of a message that has come on a lane. */
  count(uid: string | undefined, lane: string, number: number | undefined): void {
    if (number === undefined || uid === undefined || uid === this.uid || !this.hears(lane)) return
    this.report(uid, this.sequences.observe(uid, lane, number))
  }

  private report(uid: string, missed: number): void {
    if (missed > 0) this.monitor.lost(missed, this.namespace, uid)
  }
}
