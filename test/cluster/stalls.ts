/**
 * Why an event loop stood still: for its own work, or because the machine gave its thread no processor.
 */
import { readFileSync } from "node:fs"

/** A time in which the thread could have run and did not, in milliseconds of `Date.now`. */
export interface Stall {
  readonly from: number
  readonly to: number
}

export interface Stalls {
  /** The most processor time that a turn of the event loop took, in milliseconds. */
  readonly turnMs: number
  readonly stalls: ReadonlyArray<Stall>
}

/** Between two looks, in milliseconds: a turn is known to this. */
const INTERVAL = 5
const MAX_STALLS = 2_000

/** How long the main thread has run, and how long it has waited for a processor, in milliseconds. Zeros where Linux does not tell. */
const read = (): readonly [ran: number, waited: number] => {
  try {
    const [ran, waited] = readFileSync("/proc/self/schedstat", "utf8").split(" ")
    return [Number(ran) / 1e6, Number(waited) / 1e6]
  } catch {
    return [0, 0]
  }
}

/**
 * Watches from now on. A timer does not come while a turn lasts, so what the thread has run from one look to the next is at least
 * its longest turn between them. `take` gives what was seen since the last call.
 */
export const watchStalls = (): { readonly take: () => Stalls; readonly stop: () => void } => {
  let [ran, waited] = read()
  let turnMs = 0
  let stalls: Array<Stall> = []
  const look = () => {
    const [nowRan, nowWaited] = read()
    const to = Date.now()
    turnMs = Math.max(turnMs, nowRan - ran)
    if (nowWaited - waited > 1 && stalls.length < MAX_STALLS) stalls.push({ from: to - (nowWaited - waited), to })
    ran = nowRan
    waited = nowWaited
  }
  const timer = setInterval(look, INTERVAL)
  timer.unref()
  return {
    take() {
      look()
      const taken = { turnMs, stalls }
      turnMs = 0
      stalls = []
      return taken
    },
    stop: () => clearInterval(timer)
  }
}

/** How much of a time no stall takes, in milliseconds. */
export const without = (stalls: ReadonlyArray<Stall>, from: number, to: number): number => {
  let left = to - from
  let until = from
  for (const stall of stalls.toSorted((a, b) => a.from - b.from)) {
    const begin = Math.max(until, stall.from)
    const end = Math.min(to, stall.to)
    if (end <= begin) continue
    left -= end - begin
    until = end
  }
  return left
}
