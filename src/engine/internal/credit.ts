/** The pause between two steps, in milliseconds. */
export const TICK = 50

/** The sessions of one step at most, and of a second. */
const MAX_STEP = 500
export const MAX_RATE = (MAX_STEP * 1_000) / TICK

/** Fractions add up to a little less than one. */
const ALMOST_ONE = 1 - 1e-6

/** The number of sessions that may go now. It grows evenly: a paused process makes no burst. */
export class Credit {
  value = 0
  private before: number

  constructor(now: number) {
    this.before = now - TICK
  }

  /** Time has passed, in which this many sessions may go per millisecond. */
  earn(now: number, rate: number): void {
    const elapsed = now - this.before
    this.before = now
    this.value = Math.min(this.value + rate * Math.min(elapsed, 2 * TICK), MAX_STEP)
    // However long the pause was, one may go after its time.
    if (rate * elapsed >= 1) this.value = Math.max(this.value, 1)
  }

  /** Lets one session go. Returns whether it may. */
  spend(): boolean {
    if (this.value < ALMOST_ONE) return false
    this.value--
    return true
  }
}
