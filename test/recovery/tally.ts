/**
 * The counts that a client hears, compared with those that it should hear: `{id, n}` with the next number of the count `id`. Until a connection
 * is flagged by `recovered: false`, each number must follow the one before.
 */
import { type ClientOptions, type CutClient, startClient } from "./clients.ts"
import type { Kind } from "./servers.ts"

interface Count {
  readonly seen: Set<number>
  /** Since the last flag, the numbers that were passed over. */
  missing: Set<number>
  /** Since the last flag, the greatest number. */
  last: number | undefined
  first: number
  /** The numbers that no connection since has told of. */
  readonly silent: Array<number>
  received: number
  duplicates: number
  disordered: number
}

/** The mistakes in the counts. */
export interface Verdict {
  readonly received: number
  /** All that was not heard. */
  readonly lost: number
  /** Not heard, though no connection since has said so. */
  readonly lostInSilence: number
  readonly duplicates: number
  readonly disordered: number
  /** The connections that were not recovered but have an earlier id, or the other way round. */
  readonly contradictions: number
}

/** The last numbers of counts, by their ids. */
export type Sent = ReadonlyMap<string, number>

export class Tally {
  private readonly counts = new Map<string, Count>()
  private contradictions = 0
  /** The id of the connection that was looked at last. */
  private id: string | undefined
  private connectedAs: string | undefined

  /** The client is connected under an id: another one says that it was not recovered. */
  onId(id: string): void {
    if (id === this.id) return
    this.id = id
    for (const count of this.counts.values()) {
      count.silent.push(...count.missing)
      count.missing = new Set()
      count.last = undefined
    }
  }

  onConnect(recovered: boolean, id: string): void {
    if (recovered !== (id === this.connectedAs)) this.contradictions++
    this.connectedAs = id
    this.onId(id)
  }

  onNumber(id: string, n: number): void {
    const count = this.counts.get(id) ?? begin(n)
    this.counts.set(id, count)
    count.received++
    if (count.seen.has(n)) {
      count.duplicates++
      return
    }
    count.seen.add(n)
    // Late, whether the client was told that it had missed it or not.
    if (count.missing.delete(n) || n < (count.last ?? n) || n < count.first) {
      count.disordered++
      return
    }
    for (let missing = (count.last ?? n - 1) + 1; missing < n; missing++) count.missing.add(missing)
    count.last = n
  }

  /** The greatest number of each count that it has heard. */
  get heard(): Sent {
    return new Map(Array.from(this.counts, ([id, { seen }]) => [id, Math.max(...seen)]))
  }

  /** Whether it has heard the last numbers. */
  hasAll(sent: Sent): boolean {
    return Array.from(sent).every(([id, n]) => this.counts.get(id)?.seen.has(n) ?? true)
  }

  /** Looks at the counts whose last numbers are given. `wasSent` tells whether a number counts. */
  verdict(sent: Sent, wasSent: (id: string, n: number) => boolean = () => true): Verdict {
    const total = { received: 0, lost: 0, lostInSilence: 0, duplicates: 0, disordered: 0 }
    for (const [id, { disordered, duplicates, first, last, missing, received, seen, silent }] of this.counts) {
      const end = sent.get(id)
      if (end === undefined) continue
      total.received += received
      total.duplicates += duplicates
      total.disordered += disordered
      for (let n = (last ?? end) + 1; n <= end; n++) silent.push(n)
      total.lostInSilence += [...silent, ...missing].filter((n) => wasSent(id, n)).length
      for (let n = first; n <= end; n++) if (!seen.has(n) && wasSent(id, n)) total.lost++
    }
    return { ...total, contradictions: this.contradictions }
  }
}

const begin = (first: number): Count => ({
  seen: new Set(),
  missing: new Set(),
  last: undefined,
  first,
  silent: [],
  received: 0,
  duplicates: 0,
  disordered: 0
})

/** A client with a tally of the events `tick`. */
export const startCounter = async (
  kind: Kind,
  port: number,
  options: ClientOptions = {}
): Promise<{ readonly client: CutClient; readonly tally: Tally }> => {
  const tally = new Tally()
  const client = await startClient(kind, port, {
    ...options,
    onConnect: (recovered, id) => tally.onConnect(recovered, id),
    onEvent: (event, [tick], id) => {
      // News of a connection may come after its first events.
      tally.onId(id)
      if (event === "tick") tally.onNumber(tick.id, tick.n)
    }
  })
  return { client, tally }
}
