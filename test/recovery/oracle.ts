/**
 * Knows at every emission which client must get it, and checks what clients have heard. It knows nothing of how a server recovers.
 */
import type { Selection } from "../../src/adapter/Adapter.ts"

/** A message for one client. */
interface Due {
  readonly n: number
  /** Volatile events, events with acknowledgements and those that are not recovered may be missing. */
  readonly must: boolean
  /** It waits for capacity: its place among the others is not known. */
  readonly floats: boolean
}

/** A client in a namespace, from a connection that is not recovered to the next such one. */
export class Stay {
  readonly sid: string
  readonly namespace: string
  readonly rooms = new Set<string>()
  readonly due: Array<Due> = []
  private readonly places = new Map<number, number>()
  /** Events up to this one must be there since the client has come back. */
  resumedAt = 0
  /** Why it cannot be recovered. */
  over: string | undefined
  /** Whether it may be over, without a word of the server. */
  mayBeOver = false
  readonly client: string

  constructor(namespace: string, sid: string, client: string) {
    this.namespace = namespace
    this.client = client
    this.sid = sid
  }

  isIn(room: string): boolean {
    return room === this.sid || this.rooms.has(room)
  }

  matches({ except, rooms }: Selection): boolean {
    if (rooms.length > 0 && !rooms.some((room) => this.isIn(room))) return false
    return !except.some((room) => this.isIn(room))
  }

  add(due: Due): void {
    this.places.set(due.n, this.due.length)
    this.due.push(due)
  }

  onResumed(): void {
    this.resumedAt = this.due.length
  }

  /**
   * Says what is wrong with what the client has heard. `isComplete`: nothing is on its way any more. `mayDrop`: messages to a slow client
   * may be dropped, so that the next recovery fails.
   */
  check(heard: ReadonlyArray<number>, isComplete: boolean, mayDrop: boolean): string | undefined {
    let next = 0
    const floating = new Set<number>()
    for (const n of heard) {
      const place = this.places.get(n)
      if (place === undefined) return `${n} was not for it`
      if (this.due[place]!.floats) {
        if (floating.has(n)) return `${n} came twice`
        floating.add(n)
        continue
      }
      if (place < next) return `${n} came twice, or late: after ${this.due[next - 1]!.n}`
      const missing = this.gap(next, place, mayDrop)
      if (missing !== undefined) return `${missing} is missing before ${n}`
      next = place + 1
    }
    if (!isComplete) return undefined
    const missing =
      this.gap(next, this.due.length, mayDrop) ??
      this.due.find(
        ({ floats, must, n }, place) => floats && must && !floating.has(n) && !(mayDrop && place >= this.resumedAt)
      )?.n
    return missing === undefined ? undefined : `${missing} is missing at the end`
  }

  private gap(from: number, to: number, mayDrop: boolean): number | undefined {
    for (let place = from; place < to; place++) {
      const { floats, must, n } = this.due[place]!
      if (must && !floats && !(mayDrop && place >= this.resumedAt)) return n
    }
    return undefined
  }
}

export class Oracle {
  readonly stays = new Map<string, Stay>()
  private last = 0

  /** A client was admitted under a new id. */
  admit(namespace: string, sid: string, client: string): Stay {
    if (this.stays.has(sid)) throw new Error(`${sid} is there already`)
    const stay = new Stay(namespace, sid, client)
    this.stays.set(sid, stay)
    return stay
  }

  /** The stays in a namespace that a selection selects, and that are not over. */
  select(namespace: string, selection: Selection): ReadonlyArray<Stay> {
    return Array.from(this.stays.values()).filter(
      (stay) => stay.namespace === namespace && stay.over === undefined && stay.matches(selection)
    )
  }

  /** The number of the next message. */
  number(): number {
    return ++this.last
  }

  /** A message is emitted to a selection. */
  broadcast(namespace: string, selection: Selection, n: number, must: boolean): void {
    for (const stay of this.select(namespace, selection)) stay.add({ n, must, floats: false })
  }

  join(namespace: string, selection: Selection, rooms: ReadonlyArray<string>): void {
    for (const stay of this.select(namespace, selection)) for (const room of rooms) stay.rooms.add(room)
  }

  leave(namespace: string, selection: Selection, rooms: ReadonlyArray<string>): void {
    for (const stay of this.select(namespace, selection)) for (const room of rooms) stay.rooms.delete(room)
  }

  /** The connections of a selection are closed. */
  close(namespace: string, selection: Selection): void {
    for (const { client } of this.select(namespace, selection)) this.closeClient(client)
  }

  /** A client may be asking for another namespace over the connection that is closed. */
  closeClient(client: string): void {
    for (const stay of this.stays.values()) if (stay.client === client) stay.mayBeOver = true
  }
}
