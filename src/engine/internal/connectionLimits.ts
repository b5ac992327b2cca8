import { RefusalCount } from "../../internal/refusalCount.ts"
import { networkOf } from "../ClientAddress.ts"

/** The limits, by the names of their options. */
export type ConnectionLimit = "maxConnections" | "maxConnectionsPerAddress"

/** Counts the connections that are open or being opened, if their number is limited. */
export class ConnectionLimits {
  private readonly max: number
  private readonly maxPerAddress: number
  private count = 0
  /** The counts by address. An address without connections has no entry. */
  private readonly counts: Map<string, number> | undefined
  /** The connections that were refused. */
  readonly refusals = new RefusalCount()

  constructor(max: number | undefined, maxPerAddress: number | undefined) {
    this.max = max ?? Infinity
    this.maxPerAddress = maxPerAddress ?? Infinity
    if (maxPerAddress !== undefined) this.counts = new Map()
  }

  /** Whether there are as many connections as there may be. */
  get isFull(): boolean {
    return this.count >= this.max
  }

  /** Returns the limit that another connection from the address would exceed. */
  exceeded(address: string): ConnectionLimit | undefined {
    if (this.count >= this.max) return "maxConnections"
    // A peer without an address, such as one over a Unix socket, may stand for all clients.
    if (this.counts === undefined || address === "") return undefined
    return (this.counts.get(networkOf(address)) ?? 0) >= this.maxPerAddress ? "maxConnectionsPerAddress" : undefined
  }

  add(address: string): void {
    this.count++
    if (this.counts === undefined) return
    const network = networkOf(address)
    this.counts.set(network, (this.counts.get(network) ?? 0) + 1)
  }

  remove(address: string): void {
    this.count--
    if (this.counts === undefined) return
    const network = networkOf(address)
    const count = this.counts.get(network)! - 1
    if (count > 0) this.counts.set(network, count)
    else this.counts.delete(network)
  }
}
