/**
 * Why an event loop stood still: for its own work, or because the machine gave its thread no processor.
 */
import { readdirSync, readFileSync } from "node:fs"

/**
 * A time in which the thread could have run and did not, in milliseconds of `Date.now`: it got no processor, or it slept until another
 * thread of the process had done its part, which got none. V8 collects garbage with several threads.
 */
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

/** The other threads are looked at as often, in looks. */
const OTHERS_EVERY = 10

/** A look that comes later than this has a cause, in milliseconds. */
const LATE = 20

/** How long a thread has run, and how long it has waited for a processor, in milliseconds. Zeros where Linux does not tell. */
const read = (path = "/proc/self/schedstat"): readonly [ran: number, waited: number] => {
  try {
    const [ran, waited] = readFileSync(path, "utf8").split(" ")
    return [Number(ran) / 1e6, Number(waited) / 1e6]
  } catch {
    return [0, 0]
  }
}

/** How long all other threads of the process have waited for a processor. */
const othersWaited = (): number => {
  try {
    const threads = readdirSync("/proc/self/task").filter((id) => id !== String(process.pid))
    return threads.reduce((sum, id) => sum + read(`/proc/self/task/${id}/schedstat`)[1], 0)
  } catch {
    return 0
  }
}

/**
 * Watches from now on. A timer does not come while a turn lasts, so what the thread has run from one look to the next is at least
 * its longest turn between them. `take` gives what was seen since the last call.
 */
export const watchStalls = (): { readonly take: () => Stalls; readonly stop: () => void } => {
  let [ran, waited] = read()
  let others = othersWaited()
  let looks = 0
  let last = performance.now()
  let turnMs = 0
  let stalls: Array<Stall> = []
  const look = () => {
    const [nowRan, nowWaited] = read()
    const to = Date.now()
    const now = performance.now()
    turnMs = Math.max(turnMs, nowRan - ran)
    let stall = nowWaited - waited
    const slept = now - last - INTERVAL - (nowRan - ran) - stall
    looks++
    if (slept > LATE || looks % OTHERS_EVERY === 0) {
      const nowOthers = othersWaited()
      if (slept > LATE) stall += Math.min(slept, Math.max(0, nowOthers - others))
      others = nowOthers
    }
    if (stall > 1 && stalls.length < MAX_STALLS) stalls.push({ from: to - stall, to })
    ran = nowRan
    waited = nowWaited
    last = now
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
