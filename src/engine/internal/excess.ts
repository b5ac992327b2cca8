/** The budgets that may wait within one turn: the client has had no chance to take anything yet. */
const TURN_BUDGETS = 4

/** The part of the budget that may come on top while a client takes the excess. */
const MARGIN = 1 / 8

/** The time between two looks at a client for which too much waits, in milliseconds. */
const REVIEW = 1_000

/** A client for which more than the budget waits. */
interface Overfull {
  /** The bytes that wait. */
  readonly buffered: number
  exceeds(bytes: number): boolean
  onDefect(defect: unknown): void
}

/**
 * The leave of a client for which more than `maxOutbox` waits.
 *
 * Messages of one turn do not count against the client, up to a multiple of the budget, as it had
 * no chance to take any; nor does the part of a single message that is beyond that. From the next
 * turn on the client has to take as much as comes, but for a margin. Made when a client exceeds its
 * budget, and forgotten when it is below again.
 */
export class Excess {
  /** The bytes that may wait. */
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

  /** Whether a message of `size` bytes, which waits already, may wait. */
  admits(size: number): boolean {
    const { buffered } = this.client
    if (this.cancel === undefined || buffered - size <= this.maxOutbox) this.begin()
    if (buffered <= this.limit) return true
    // Nothing else waits. As base64 it is a third larger.
    if (buffered - size > size / 2) return false
    this.limit = buffered + this.maxOutbox * MARGIN
    return true
  }

  /** Whether as much may wait as does now. */
  get isWithin(): boolean {
    return this.client.buffered <= this.limit
  }

  /** Ends looking at the client. */
  stop(): void {
    this.cancel?.()
  }

  private begin(): void {
    this.cancel?.()
    this.limit = TURN_BUDGETS * this.maxOutbox
    this.review(0)
  }

  /**
   * Looks later at the bytes that still wait: no more than those, and the margin, may wait then.
   */
  private review(millis: number): void {
    const { client, maxOutbox } = this
    this.cancel = this.after(millis, () => {
      try {
        if (!client.exceeds(maxOutbox)) return this.onOver()
        this.limit = Math.min(this.limit, client.buffered + maxOutbox * MARGIN)
        this.review(REVIEW)
      } catch (defect) {
        client.onDefect(defect)
      }
    })
  }
}
