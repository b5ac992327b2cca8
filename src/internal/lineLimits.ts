/** Lines about one client that are logged at once, and then per second. */
const BURST = 10
const PER_SECOND = 1

/** The same about all clients together. */
const BURST_OF_ALL = 1_000
const PER_SECOND_OF_ALL = 100

/** Whose fault a line tells of when it is a client's that has no connection. */
export const ANYONE = Symbol("anyone")

/**
 * Whom a line is about: a connection or what else a client is at, which has lines of its own; any
 * client; or none.
 */
export type Culprit = object | typeof ANYONE | undefined

/**
 * How many lines were left out before one that is logged: of the same culprit, and of all since the
 * last that tells.
 */
export interface LeftOut {
  readonly suppressed?: number
  readonly suppressedInAll?: number
}

/** Whether a line is logged, and what it says of those that were not. */
export class LineLimits {
  /** Allocated for those that have lines. */
  private readonly culprits = new WeakMap<object, Bucket>()
  private readonly all = new Bucket(BURST_OF_ALL)

  /** `undefined` if the line is left out. `now` is in milliseconds. */
  admit(culprit: Culprit, now: number): LeftOut | undefined {
    if (culprit === undefined) return none
    let own: Bucket | undefined
    if (culprit !== ANYONE) {
      own = this.culprits.get(culprit)
      if (own === undefined) this.culprits.set(culprit, (own = new Bucket(BURST)))
      if (!own.take(now, BURST, PER_SECOND)) return undefined
    }
    if (!this.all.take(now, BURST_OF_ALL, PER_SECOND_OF_ALL)) {
      if (own !== undefined) own.leftOut++
      return undefined
    }
    const suppressed = own?.told() ?? 0
    const suppressedInAll = this.all.told()
    if (suppressed === 0 && suppressedInAll === 0) return none
    return { ...(suppressed > 0 && { suppressed }), ...(suppressedInAll > 0 && { suppressedInAll }) }
  }
}

const none: LeftOut = {}

/** Lines that may be logged, and a number of those that could not. */
class Bucket {
  leftOut = 0
  private tokens: number
  private at = 0

  constructor(burst: number) {
    this.tokens = burst
  }

  take(now: number, burst: number, perSecond: number): boolean {
    if (now > this.at) {
      this.tokens = Math.min(burst, this.tokens + ((now - this.at) / 1_000) * perSecond)
      this.at = now
    }
    if (this.tokens < 1) {
      this.leftOut++
      return false
    }
    this.tokens--
    return true
  }

  /** Those that were left out, told once. */
  told(): number {
    const { leftOut } = this
    this.leftOut = 0
    return leftOut
  }
}
