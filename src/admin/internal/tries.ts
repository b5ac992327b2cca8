import { networkOf } from "../../engine/ClientAddress.ts"
import { RefusalCount } from "../../internal/refusalCount.ts"
import { TokenBucket } from "../../internal/tokenBucket.ts"
import type { Rate } from "../../RateLimit.ts"

/** The number of addresses from which those are forgotten that have all their tries again. */
const SWEEP_AT = 1_000

/**
 * Counts tries to log in, by address and in all. A refused try is not counted, so the rate of all
 * tries bounds the number of addresses that are remembered.
 */
export class Tries {
  private readonly rate: Rate
  private readonly all: TokenBucket
  private readonly byNetwork = new Map<string, TokenBucket>()
  private sweepAt = SWEEP_AT
  /** The clients that had no try. */
  readonly refusals = new RefusalCount()

  constructor(rate: Rate, inAll: Rate) {
    this.rate = rate
    this.all = new TokenBucket(inAll)
  }

  /** The number of addresses that are remembered. */
  get size(): number {
    return this.byNetwork.size
  }

  /** Takes a try. Returns whether there was one. */
  take(address: string, now: number): boolean {
    if (this.all.missing(now, 1) > 0) return false
    // A peer without an address, such as one over a Unix socket, may stand for all clients.
    if (address !== "" && this.bucketOf(networkOf(address), now).take(now) > 0) return false
    this.all.spend(now)
    return true
  }

  private bucketOf(network: string, now: number): TokenBucket {
    let bucket = this.byNetwork.get(network)
    if (bucket !== undefined) return bucket
    if (this.byNetwork.size >= this.sweepAt) this.sweep(now)
    this.byNetwork.set(network, (bucket = new TokenBucket(this.rate)))
    return bucket
  }

  private sweep(now: number): void {
    const { capacity, cost } = this.rate
    for (const [network, bucket] of this.byNetwork) {
      if (bucket.missing(now, Math.floor(capacity / cost)) === 0) this.byNetwork.delete(network)
    }
    // Each sweep looks at as many addresses as have come since the last one.
    this.sweepAt = Math.max(SWEEP_AT, 2 * this.byNetwork.size)
  }
}
