/** A value in a bag, and where it is. */
interface Entry<A> {
  readonly value: A
  index: number
}

/**
 * Values in no order, which come and go all the time. V8's sets and maps are not made for that: a
 * table that was outgrown, by removals, too, refers to the one that took its place. As soon as one
 * of them is in the old generation, it keeps all that follow alive until a full collection, with
 * what was in them, and every young collection has to copy that.
 */
export class Bag<A> {
  private readonly entries: Array<Entry<A>> = []

  get size(): number {
    return this.entries.length
  }

  /** Those that are there now. */
  get values(): ReadonlyArray<A> {
    return this.entries.map(({ value }) => value)
  }

  add(value: A): Entry<A> {
    const entry = { value, index: this.entries.length }
    this.entries.push(entry)
    return entry
  }

  /** Removes what was added. */
  remove({ index }: Entry<A>): void {
    const last = this.entries.pop()!
    if (last.index === index) return
    last.index = index
    this.entries[index] = last
  }
}
