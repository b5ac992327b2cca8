/** The time between two log lines about refusals, in milliseconds. */
const LOG_INTERVAL = 10_000

/** Counts refusals between the log lines about them. */
export class RefusalCount {
  private refused = 0
  private loggedAt = -Infinity

  /** Counts one. Returns the number since the last log line, if the next line is due. */
  add(now: number): number | undefined {
    this.refused++
    if (now - this.loggedAt < LOG_INTERVAL) return undefined
    const { refused } = this
    this.loggedAt = now
    this.refused = 0
    return refused
  }
}
