/**
 * The time limit of one shutdown.
 *
 * @since 0.1.0
 */
/** Steps that are further apart (in milliseconds) belong to different shutdowns. */
const APART = 1_000

/**
 * The time limit of one shutdown, over everything that closes in it, one after another: it starts
 * with the first step.
 *
 * A namespace may also close alone, to be replaced. Only the next step distinguishes that from a
 * shutdown: a step that opens something, or closes something a while later, belongs to another
 * time.
 *
 * @since 0.1.0
 * @category models
 */
export class ClosingTime {
  readonly total: number
  private readonly now: () => number
  private end: number | undefined
  /** Steps under way. */
  private steps = 0
  private lastStep = 0

  constructor(total: number, now: () => number) {
    this.total = total
    this.now = now
  }

  /** Something begins to close. Returns the time at which everything must be closed. */
  begin(): number {
    const now = this.now()
    if (this.steps === 0 && now - this.lastStep > APART) this.end = undefined
    this.steps++
    return (this.end ??= now + this.total)
  }

  /** The step has ended: everything in it is closed, or its time is over. */
  finish(): void {
    this.steps--
    this.lastStep = this.now()
  }

  /** Something opens, so this is not a shutdown. */
  forget(): void {
    this.end = undefined
  }

  /** The remaining time, in milliseconds. */
  get left(): number {
    return this.end === undefined ? this.total : Math.max(0, this.end - this.now())
  }
}
