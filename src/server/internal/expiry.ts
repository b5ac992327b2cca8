import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import { ConnectRefused, type ExpiresAt, type ExpiryOptions } from "../../NamespaceMiddleware.ts"

/** The end of a client's rights. Times are those of the wall clock, in milliseconds. */
export interface End {
  /** The time that the client is told. */
  readonly told: number
  /** The time at which the server acts: later, as clocks differ. */
  readonly at: number
  /** The time before it at which the client is told, in milliseconds. */
  readonly notice: number
  readonly leaves: boolean
}

/** Default of `notice`, in milliseconds. */
const NOTICE = 30_000

/** The end of rights, as a middleware sets it while it decides on a client. */
export class Decision {
  private end: End | undefined
  private isMade = false
  private readonly now: () => number
  private readonly tolerance: number

  constructor(now: () => number, tolerance: number) {
    this.now = now
    this.tolerance = tolerance
  }

  readonly expires = (at: ExpiresAt, options: ExpiryOptions = {}): Effect.Effect<void, ConnectRefused> =>
    Effect.suspend(() => {
      if (this.isMade) throw new Error("expires was called after its middleware had decided")
      const end = this.read(at, options)
      if (end.at <= this.now()) return Effect.fail(expired())
      if (this.end === undefined || end.at < this.end.at) this.end = end
      return Effect.void
    })

  /** The middleware has decided. Returns the end that it has said; `undefined` if there is none. */
  make(): End | undefined {
    this.isMade = true
    return this.end?.at === Infinity ? undefined : this.end
  }

  private read(at: ExpiresAt, { notice, then = "reconnect" }: ExpiryOptions): End {
    const times = {
      notice: notice === undefined ? NOTICE : Duration.toMillis(notice),
      leaves: then === "leave"
    }
    const time = DateTime.isDateTime(at) ? DateTime.toEpochMillis(at) : at instanceof Date ? at.getTime() : undefined
    if (time !== undefined) {
      // A date that is none would never come.
      if (Number.isNaN(time)) throw new Error("expires was called with an invalid date")
      return { ...times, told: time, at: time + this.tolerance }
    }
    // Types do not keep numbers out everywhere, and a wrong guess at their unit would go unnoticed.
    if (typeof at === "number" || typeof at === "bigint")
      throw new Error("expires takes a time or a duration, no number")
    const told = this.now() + Duration.toMillis(at as Duration.Input)
    return { ...times, told, at: told }
  }
}

/** The refusal of a client whose rights have ended. */
export const expired = (): ConnectRefused => new ConnectRefused({ message: "Auth expired", data: { code: "expired" } })
