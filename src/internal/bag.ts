/** A value in a bag, and its index. */
interface Entry<A> {
  readonly value: A
  index: number
}

/**
 * Values in no order, which come and go all the time. V8's sets and maps do not suit this: a table
 * that was outgrown (also by removals) refers to its replacement. Once such a table is in the old
 * generation, it keeps all later tables and their content alive until a full collection, and every
 * young collection has to copy them.
 */
export class Bag<A> {
  private readonly entries: Array<Entry<A>> = []

  get size(): number {
    return this.entries.length
  }

  /** The current values. */
  get values(): ReadonlyArray<A> {
    return this.entries.map(({ value }) => value)
  }

  add(value: A): Entry<A> {
    const entry = { value, index: this.entries.length }
    this.entries.push(entry)
    return entry
  }

  /** Removes a value by the entry that `add` returned. */
  remove({ index }: Entry<A>): void {
    const last = this.entries.pop()!
    if (last.index === index) return
    last.index = index
    this.entries[index] = last
  }
}
