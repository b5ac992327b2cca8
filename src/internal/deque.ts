/**
 * A queue whose head is taken without moving the rest, and can be searched. It keeps nothing that
 * was taken: a peer's values may be large.
 */
export class Deque<A> {
  private items: Array<A> = []
  private first = 0

  get size(): number {
    return this.items.length - this.first
  }

  /** The item at an index, from the head on. */
  at(index: number): A {
    return this.items[this.first + index]!
  }

  push(item: A): void {
    this.items.push(item)
  }

  /** Takes the head. There must be one. */
  shift(): A {
    const item = this.items[this.first]!
    this.items[this.first++] = undefined as A
    // Moving the rest costs as much as it has removed before.
    if (this.first > 32 && this.first * 2 > this.items.length) {
      this.items = this.items.slice(this.first)
      this.first = 0
    }
    return item
  }

  /** Adds items before all others, which it copies. */
  unshift(items: ReadonlyArray<A>): void {
    if (items.length === 0) return
    this.items = items.concat(this.items.slice(this.first))
    this.first = 0
  }

  clear(): void {
    this.items = []
    this.first = 0
  }

  /** Takes all. */
  takeAll(): Array<A> {
    const items = this.items.slice(this.first)
    this.clear()
    return items
  }
}
