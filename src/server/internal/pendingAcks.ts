/** Takes the arguments of an acknowledgement; `undefined` when the client has gone and none will come. */
export type PendingAck = (args: ReadonlyArray<unknown> | undefined) => void

/** The acknowledgements for which one map serves: one that stayed would keep those that are long over (see `Bag`). */
const RENEWAL = 1_000

/** The acknowledgements that a peer owes. */
export class PendingAcks {
  #pending = new Map<number, PendingAck>()
  #added = 0

  get size(): number {
    return this.#pending.size
  }

  add(id: number, ack: PendingAck): void {
    if (++this.#added % RENEWAL === 0) this.#pending = new Map(this.#pending)
    this.#pending.set(id, ack)
  }

  remove(id: number): void {
    this.#pending.delete(id)
  }

  /** An acknowledgement that nobody waits for (any more) is ignored. */
  settle(id: number, args: ReadonlyArray<unknown> | undefined): void {
    const ack = this.#pending.get(id)
    if (ack === undefined) return
    this.#pending.delete(id)
    ack(args)
  }

  /** The peer has gone: those that match will not come. */
  abandon(matches: (id: number) => boolean = () => true): void {
    for (const [id, ack] of Array.from(this.#pending)) {
      if (!matches(id)) continue
      this.#pending.delete(id)
      ack(undefined)
    }
  }
}
