/** Takes the arguments of an acknowledgement; `undefined` if the client has left without one. */
export type PendingAck = (args: ReadonlyArray<unknown> | undefined) => void

/** The acknowledgements before a new map: an old one keeps those that are long over (see `Bag`). */
const RENEWAL = 1_000

/** Counts the acknowledgements that all sockets of one connection await. */
export interface AckDebtor {
  owedAcks: number
}

/** The acknowledgements that a socket's client owes. */
export class PendingAcks {
  readonly #debtor: AckDebtor
  #pending = new Map<number, PendingAck>()
  #added = 0

  constructor(debtor: AckDebtor) {
    this.#debtor = debtor
  }

  add(id: number, ack: PendingAck): void {
    if (++this.#added % RENEWAL === 0) this.#pending = new Map(this.#pending)
    this.#pending.set(id, ack)
    this.#debtor.owedAcks++
  }

  remove(id: number): void {
    if (this.#pending.delete(id)) this.#debtor.owedAcks--
  }

  /** An acknowledgement that is not awaited, or no longer, is ignored. */
  settle(id: number, args: ReadonlyArray<unknown> | undefined): void {
    const ack = this.#pending.get(id)
    if (ack === undefined) return
    this.remove(id)
    ack(args)
  }

  /** The client has left: none of them will come. */
  abandon(): void {
    for (const [id, ack] of Array.from(this.#pending)) {
      this.remove(id)
      ack(undefined)
    }
  }
}
