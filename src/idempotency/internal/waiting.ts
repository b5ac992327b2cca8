import * as Deferred from "effect/Deferred"

/** One that waits for a message which another one handles. */
export class Waiter {
  /** Is done with the answer of the message, or without one when it is this one's turn. */
  readonly called = Deferred.makeUnsafe<string | undefined>()
  /** Whether it is, or was, its turn to handle the message. */
  hasTurn = false
  isWaiting = false
  previous: Waiter | undefined
  next: Waiter | undefined
}

/**
 * Those that wait for one message, in the order in which they came. Unlike a `Set`, it finds the
 * first one at once also after many have left.
 */
export class WaitingLine {
  private first: Waiter | undefined
  private last: Waiter | undefined

  get isEmpty(): boolean {
    return this.first === undefined
  }

  add(waiter: Waiter): void {
    waiter.isWaiting = true
    waiter.previous = this.last
    if (this.last === undefined) this.first = waiter
    else this.last.next = waiter
    this.last = waiter
  }

  /** Removes the one that waits the longest, and returns it. */
  shift(): Waiter | undefined {
    const { first } = this
    if (first !== undefined) this.remove(first)
    return first
  }

  /** Removes one. Returns whether it was still waiting. */
  remove(waiter: Waiter): boolean {
    if (!waiter.isWaiting) return false
    const { next, previous } = waiter
    if (previous === undefined) this.first = next
    else previous.next = next
    if (next === undefined) this.last = previous
    else next.previous = previous
    waiter.previous = waiter.next = undefined
    waiter.isWaiting = false
    return true
  }
}
