/** An owner of rooms: the room of its id, and those that it is in now. */
export interface RoomsOwner {
  readonly id: string
  /** The rooms without that of the id; `undefined` is none. */
  readonly roomsNow: ReadonlySet<string> | undefined
}

const none: ReadonlySet<string> = new Set()

/**
 * The rooms of a socket, with the room of its own id: a read-only view that changes as they do. Its
 * cost does not depend on their number.
 */
export class RoomsView implements ReadonlySet<string> {
  readonly #owner: RoomsOwner

  constructor(owner: RoomsOwner) {
    this.#owner = owner
  }

  get #joined(): ReadonlySet<string> {
    return this.#owner.roomsNow ?? none
  }

  get size(): number {
    return 1 + this.#joined.size
  }

  has(room: string): boolean {
    return room === this.#owner.id || this.#joined.has(room)
  }

  forEach(callback: (room: string, same: string, rooms: ReadonlySet<string>) => void, self?: unknown): void {
    for (const room of this) callback.call(self, room, room, this)
  }

  keys(): SetIterator<string> {
    return this[Symbol.iterator]()
  }

  values(): SetIterator<string> {
    return this[Symbol.iterator]()
  }

  *entries(): SetIterator<[string, string]> {
    for (const room of this) yield [room, room]
  }

  *[Symbol.iterator](): SetIterator<string> {
    yield this.#owner.id
    yield* this.#joined
  }

  toJSON(): ReadonlyArray<string> {
    return Array.from(this)
  }

  /** The form in which `console.log` shows it in Node. */
  [Symbol.for("nodejs.util.inspect.custom")](): ReadonlySet<string> {
    return new Set(this)
  }
}

/** The set methods of ES2025, which the type of a set has, where the runtime has them. */
const NEWER = [
  "union",
  "intersection",
  "difference",
  "symmetricDifference",
  "isSubsetOf",
  "isSupersetOf",
  "isDisjointFrom"
]

for (const name of NEWER) {
  const method: unknown = Reflect.get(Set.prototype, name)
  if (typeof method !== "function") continue
  Object.defineProperty(RoomsView.prototype, name, {
    configurable: true,
    writable: true,
    value(this: RoomsView, other: unknown): unknown {
      return method.call(new Set(this), other)
    }
  })
}
