/**
 * How far a command is that runs long: one line on standard error, which does not mix with what it prints.
 */

/** A stream of a terminal or of a file. */
export interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly write: (text: string) => unknown
}

export interface Settings {
  /** How many steps there are; `undefined` where it goes on for a time. */
  readonly steps?: number
  /** For how long it goes on, in milliseconds. */
  readonly duration?: number
  readonly output?: Output
  /** The time in milliseconds. */
  readonly now?: () => number
}

/** A time as people say it. */
export const spoken = (milliseconds: number): string => {
  const seconds = Math.round(milliseconds / 1_000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export class Progress {
  private steps: number | undefined
  private readonly duration: number | undefined
  private readonly output: Output
  private readonly now: () => number
  private readonly began: number
  private at = 0
  private line = ""

  constructor({ duration, now = () => performance.now(), output = process.stderr, steps }: Settings) {
    this.steps = steps
    this.duration = duration
    this.output = output
    this.now = now
    this.began = now()
  }

  /** Begins the next step. */
  step(what: string): void {
    this.at++
    const elapsed = this.now() - this.began
    const rest = this.rest(elapsed)
    const position = this.steps === undefined ? `${this.at}` : `${this.at} of ${this.steps}`
    this.clear()
    this.line =
      `[${position}] ${what} (${spoken(elapsed)}` + (rest === undefined ? ")" : `, about ${spoken(rest)} left)`)
    this.show()
  }

  /** The estimated rest: what is left of the time, or the steps that are left at the pace of those that are done. */
  private rest(elapsed: number): number | undefined {
    if (this.duration !== undefined) return Math.max(0, this.duration - elapsed)
    const done = this.at - 1
    return this.steps === undefined || done === 0 ? undefined : (elapsed / done) * (this.steps - done)
  }

  /** There are more steps than was thought. */
  add(steps: number): void {
    if (this.steps !== undefined) this.steps += steps
  }

  /** Prints a line where standard output goes; the line of the progress stays below it. */
  print(text: string): void {
    this.clear()
    console.log(text)
    if (this.output.isTTY === true) this.show()
  }

  /** Says something on the progress' own stream. */
  say(text: string): void {
    this.clear()
    this.output.write(`${text}\n`)
    if (this.output.isTTY === true) this.show()
  }

  /** Takes the line away from a terminal: it is over. */
  end(): void {
    this.clear()
    this.line = ""
  }

  private clear(): void {
    if (this.output.isTTY === true && this.line !== "") this.output.write("\r\u001b[K")
  }

  private show(): void {
    if (this.line === "") return
    if (this.output.isTTY === true) this.output.write(this.line.slice(0, (this.output.columns ?? 80) - 1))
    else this.output.write(`${this.line}\n`)
  }
}
