import { Effect } from "effect"

import type { DisconnectReason } from "../../../src/DisconnectReason.ts"

/** The record of one stay of a client in a namespace: from its admission to its end. */
export interface Stay {
  readonly id: string
  /** The client and the namespace: the same for all stays of one client in one namespace. */
  readonly who: string
  /** The events that the server has sent to it, in order. */
  readonly sent: Array<string>
  /** How much of that the client has got. */
  received: number
  /** The last that the server has heard of it. */
  heard: number | undefined
  whispered: number | undefined
  readonly rooms: Set<string>
  /** On the server: `ending` when its end is told. */
  state: "here" | "ending" | "gone"
}

/**
 * The model of a conversation, kept beside the real one, and what is wrong where they differ:
 *
 * - a client hears during a stay just what the server has sent to it, in that order, nothing left out, twice or behind its end;
 * - the server hears of each stay just what the client has said, in that order, nothing left out in between, and never anything twice;
 * - no handler of a stay starts behind its end;
 * - rooms have the members that have joined, are here and have not left.
 */
export class Ledger {
  readonly wrong: Array<string> = []
  readonly stays = new Map<string, Stay>()
  private readonly heard = new Set<string>()
  /** The first times that orders have come, by client. */
  readonly orders = new Map<string, Array<number>>()

  complain(what: string): void {
    this.wrong.push(what)
  }

  // ---------------------------------------------------------------- on the server

  admit(id: string, who: string): Stay {
    if (this.stays.has(id)) this.complain(`the id ${id} was given twice`)
    const stay: Stay = {
      id,
      who,
      sent: [],
      received: 0,
      heard: undefined,
      whispered: undefined,
      rooms: new Set(),
      state: "here"
    }
    this.stays.set(id, stay)
    return stay
  }

  /** Networks may break, and either side may leave; nobody breaks the protocol or falls behind. */
  onEnding(stay: Stay, reason: DisconnectReason): void {
    if (stay.state !== "here") this.complain(`the end of ${stay.who} is told when it is ${stay.state}`)
    stay.state = "ending"
    if (/parse error|overflow|too large|rate limit|connect timeout/.test(reason)) {
      this.complain(`${stay.who} was disconnected: ${reason}`)
    }
  }

  /** An event has reached its handler. */
  onHandler(stay: Stay, event: string): void {
    if (stay.state !== "here") this.complain(`"${event}" of ${stay.who} came when it was ${stay.state}`)
  }

  onHeard(stay: Stay, n: number): void {
    const { heard, who } = stay
    if (heard !== undefined && n !== heard + 1) this.complain(`${who} said ${n} behind ${heard}`)
    stay.heard = n
    const key = `${who} ${n}`
    if (this.heard.has(key)) this.complain(`${who} said ${n} twice`)
    this.heard.add(key)
  }

  /** Volatile events may be lost, but neither come twice nor in another order. */
  onWhisper(stay: Stay, n: number): void {
    if (stay.whispered !== undefined && n <= stay.whispered) {
      this.complain(`${stay.who} whispered ${n} behind ${stay.whispered}`)
    }
    stay.whispered = n
  }

  /** Orders may come again, though none before all those before it. */
  onOrder(who: string, n: number): void {
    const orders = this.orders.get(who) ?? []
    this.orders.set(who, orders)
    if (n > orders.length) this.complain(`order ${n} of ${who} came before order ${orders.length}`)
    if (n === orders.length) orders.push(n)
  }

  members(room: string): ReadonlyArray<Stay> {
    return Array.from(this.stays.values()).filter((stay) => stay.state !== "gone" && stay.rooms.has(room))
  }

  onSent(stay: Stay, what: string): void {
    stay.sent.push(what)
  }

  // ---------------------------------------------------------------- at the client

  onReceived(id: string | undefined, who: string, what: string): void {
    const stay = id === undefined ? undefined : this.stays.get(id)
    if (stay === undefined) return this.complain(`${who} received "${what}" as ${id}`)
    if (stay.who !== who) this.complain(`${who} received "${what}" of ${stay.who}`)
    const expected = stay.sent[stay.received++]
    if (expected !== what) this.complain(`${who} received "${what}", not "${expected}"`)
  }

  // ---------------------------------------------------------------- when everything is quiet

  /** A client that is here has got everything. */
  onQuiet(id: string | undefined, who: string): void {
    const stay = id === undefined ? undefined : this.stays.get(id)
    if (stay?.state !== "here") return this.complain(`${who} is not connected: ${id} is ${stay?.state ?? "unknown"}`)
    if (stay.received !== stay.sent.length) {
      this.complain(`${who} has received ${stay.received} of ${stay.sent.length}`)
    }
  }

  onRooms(id: string, rooms: ReadonlySet<string>): void {
    const stay = this.stays.get(id)
    if (stay?.state !== "here") return this.complain(`${id} has rooms, but is ${stay?.state ?? "unknown"}`)
    const [model, real] = [[id, ...stay.rooms], [...rooms]].map((names) => names.toSorted().join())
    if (model !== real) this.complain(`${stay.who} is in ${real}, not in ${model}`)
  }

  onMembers(room: string, namespace: string, ids: ReadonlyArray<string>): void {
    const members = this.members(room).filter(({ who }) => who.endsWith(namespace))
    const [model, real] = [members.map(({ id }) => id), ids].map((list) => list.toSorted().join())
    if (model !== real) this.complain(`in ${room} of ${namespace} are ${real}, not ${model}`)
  }

  /** Dies of what is wrong, if anything is. */
  get verdict(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.wrong.length === 0 ? Effect.void : Effect.die(new Error(this.wrong.slice(0, 5).join("\n")))
    )
  }
}
