/** The number of lines about one client that are logged at once, and per second after that. */
const BURST = 10
const PER_SECOND = 1

/** The same about all clients together. */
const BURST_OF_ALL = 1_000
const PER_SECOND_OF_ALL = 100

/** The culprit of a line about a client that has no connection. */
export const ANYONE = Symbol("anyone")

/**
 * The client that a line is about: a connection or another object of a client, which has a limit of
 * its own; any client; or none.
 */
export type Culprit = object | typeof ANYONE | undefined

/**
 * The number of lines that were left out before a logged one: of the same culprit, and of all since
 * the last report.
 */
export interface LeftOut {
  readonly suppressed?: number
  readonly suppressedInAll?: number
}

/** Decides whether a line is logged, and counts the lines that are not. */
export class LineLimits {
  /** Allocated only for culprits with lines. */
  private readonly culprits = new WeakMap<object, Bucket>()
  private readonly all = new Bucket(BURST_OF_ALL)

  /** Returns `undefined` if the line is left out. `now` is in milliseconds. */
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

/** The lines that may still be logged, and the number of those that were left out. */
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

  /** Returns the number of lines that were left out, and resets it. */
  told(): number {
    const { leftOut } = this
    this.leftOut = 0
    return leftOut
  }
}
