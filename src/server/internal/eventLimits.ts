import type { CompiledContract } from "../../internal/compileContract.ts"
import { rateOf, TokenBucket } from "../../internal/tokenBucket.ts"
import type { Rate } from "../../RateLimit.ts"

/** The allowed rate of an event. */
export interface EventLimit extends Rate {
  readonly disconnects: boolean
}

const byContract = new WeakMap<CompiledContract, ReadonlyMap<string, EventLimit> | undefined>()

/**
 * The limits of a contract's events, if there are any. Throws on a limit that makes no sense: a
 * contract is a constant of the program.
 */
export const limitsOf = (contract: CompiledContract): ReadonlyMap<string, EventLimit> | undefined => {
  if (!byContract.has(contract)) byContract.set(contract, readLimits(contract))
  return byContract.get(contract)
}

const readLimits = ({ incoming }: CompiledContract): ReadonlyMap<string, EventLimit> | undefined => {
  const limits = new Map<string, EventLimit>()
  for (const [name, { event }] of incoming) {
    if (event.rateLimit === undefined) continue
    const rate = rateOf(event.rateLimit)
    if (typeof rate === "string") throw new Error(`rateLimit of event "${name}": ${rate}`)
    limits.set(name, { ...rate, disconnects: event.rateLimit.onExceeded === "disconnect" })
  }
  return limits.size === 0 ? undefined : limits
}

/** Holds one socket's client to the limits of its events. */
export class EventLimiter {
  private readonly limits: ReadonlyMap<string, EventLimit>
  private readonly buckets = new Map<string, TokenBucket>()

  constructor(limits: ReadonlyMap<string, EventLimit>) {
    this.limits = limits
  }

  /**
   * Counts an event. If it exceeds the limit, returns the milliseconds until another may come, and
   * the policy.
   */
  exceeded(event: string, now: number): { readonly retryAfter: number; readonly disconnects: boolean } | undefined {
    const limit = this.limits.get(event)
    if (limit === undefined) return undefined
    let bucket = this.buckets.get(event)
    if (bucket === undefined) this.buckets.set(event, (bucket = new TokenBucket(limit)))
    const missing = bucket.take(now)
    return missing === 0 ? undefined : { retryAfter: Math.ceil(missing), disconnects: limit.disconnects }
  }
}
