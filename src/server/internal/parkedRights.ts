import { IDLE, type TimerWheel, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { CompiledMiddleware } from "../../internal/compileContract.ts"
import type { AwayRights, AwaySession } from "../../recovery/AwaySessions.ts"

/** Beyond this many milliseconds, a deadline of the wheel is not exact. */
const EXACT = 500

/**
 * The longest time between two looks at the clock, in milliseconds: it may have been set, and the
 * process may have been suspended.
 */
const LOOK = 60_000

/** The time of the wheel for a deadline of the wall clock, so that the last look is exact. */
export const waitFor = (left: number): number =>
  // The wheel may be late by a hundredth.
  left <= EXACT ? Math.max(1, left) : Math.min(left * 0.98, LOOK)

/** The parts of the server that parked rights use. */
interface Clocks {
  readonly wheel: TimerWheel
  readonly wallNow: () => number
}

/**
 * The rights of a client without a connection: they end its session. The services that middlewares
 * have provided stay, to be compared with those of the client that comes back.
 */
export class ParkedRights implements WheelEntry, AwayRights {
  bucket: number = IDLE
  /** The services, by the middleware. */
  readonly services: ReadonlyMap<CompiledMiddleware, unknown>
  private readonly clocks: Clocks
  private readonly away: AwaySession<any>
  private readonly endsAt: number

  constructor(
    clocks: Clocks,
    away: AwaySession<any>,
    services: ReadonlyMap<CompiledMiddleware, unknown>,
    endsAt: number
  ) {
    this.clocks = clocks
    this.away = away
    this.services = services
    this.endsAt = endsAt
    // Not at once, even if it is over: the session is being parked.
    if (endsAt < Infinity) clocks.wheel.schedule(this, waitFor(endsAt - clocks.wallNow()))
  }

  onDeadline(): void {
    const { wallNow, wheel } = this.clocks
    const left = this.endsAt - wallNow()
    if (left > 0) return wheel.schedule(this, waitFor(left))
    // Its client is being admitted, with other credentials. That may fail.
    if (this.away.state === "claimed") return wheel.schedule(this, EXACT)
    this.away.end("auth expired")
  }

  stop(): void {
    this.clocks.wheel.cancel(this)
  }
}
