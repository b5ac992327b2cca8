import type { ServerTransport } from "../Transport.ts"

/** The number of budgets that may wait within one turn: the client could not read anything yet. */
const TURN_BUDGETS = 4

/** The part of the budget that may be added while a client reads the excess. */
const MARGIN = 1 / 8

/** The time between two checks of a client for which too much waits, in milliseconds. */
const REVIEW = 1_000

/** A client for which more than the budget waits. */
interface Overfull {
  /** Its transport now. */
  readonly current: ServerTransport
  onDefect(defect: unknown): void
}

/**
 * The allowance of a client for which more than `maxOutbox` bytes wait.
 *
 * Messages of one turn do not count against the client, up to a multiple of the budget, because it
 * could not read any of them. The part of a single message beyond that does not count either. From
 * the next turn on, the client must read as much as comes, except for a margin. It is made when a
 * client exceeds its budget, and forgotten when less waits again.
 */
export class Excess {
  /** The number of bytes that may wait. */
  private limit = 0
  private readonly client: Overfull
  private readonly maxOutbox: number
  private readonly after: (millis: number, run: () => void) => () => void
  private readonly onOver: () => void
  private cancel: (() => void) | undefined

  constructor(
    client: Overfull,
    maxOutbox: number,
    after: (millis: number, run: () => void) => () => void,
    onOver: () => void
  ) {
    this.client = client
    this.maxOutbox = maxOutbox
    this.after = after
    this.onOver = onOver
  }

  /** Whether a message of `size` bytes may wait. It is already among the waiting bytes. */
  admits(size: number): boolean {
    const { buffered } = this.client.current
    if (this.cancel === undefined || buffered - size <= this.maxOutbox) this.begin()
    if (buffered <= this.limit) return true
    // Nothing else waits. Base64 makes a message larger by a third.
    if (buffered - size > size / 2) return false
    this.limit = buffered + this.maxOutbox * MARGIN
    return true
  }

  /** Whether the bytes that wait now may wait. */
  get isWithin(): boolean {
    return this.client.current.buffered <= this.limit
  }

  /** Stops checking the client. */
  stop(): void {
    this.cancel?.()
  }

  private begin(): void {
    this.cancel?.()
    this.limit = TURN_BUDGETS * this.maxOutbox
    this.review(0)
  }

  /**
   * Checks later how many bytes still wait: no more than those, and the margin, may wait then.
   */
  private review(millis: number): void {
    const { client, maxOutbox } = this
    this.cancel = this.after(millis, () => {
      try {
        if (!client.current.exceeds(maxOutbox)) return this.onOver()
        this.limit = Math.min(this.limit, client.current.buffered + maxOutbox * MARGIN)
        this.review(REVIEW)
      } catch (defect) {
        client.onDefect(defect)
      }
    })
  }
}
