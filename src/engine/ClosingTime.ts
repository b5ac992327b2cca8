/**
 * The time of one shutdown.
 *
 * @since 0.1.0
 */
/** Steps that are further apart, in milliseconds, are not of one shutdown. */
const APART = 1_000

/**
 * The time that one shutdown may take, however many things close in it, one after another: it
 * starts with the first of them.
 *
 * A namespace may also close alone, to be replaced. Only the next step tells that apart from a
 * shutdown: a step that opens something, or closes something a while later, is of another time.
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

  /** Something begins to close. Gives when all has to be closed. */
  begin(): number {
    const now = this.now()
    if (this.steps === 0 && now - this.lastStep > APART) this.end = undefined
    this.steps++
    return (this.end ??= now + this.total)
  }

  /** It has closed, or has had its time. */
  finish(): void {
    this.steps--
    this.lastStep = this.now()
  }

  /** Something opens: nothing is being shut down. */
  forget(): void {
    this.end = undefined
  }

  /** The time that is left, in milliseconds. */
  get left(): number {
    return this.end === undefined ? this.total : Math.max(0, this.end - this.now())
  }
}
