import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

import type { Change, Diff, Snapshot } from "../PresenceModel.ts"

/** The changes that may wait for a reader. After more it gets a new snapshot in their place. */
const CAPACITY = 10_000

/** One reader of a room's changes. */
export class Reader {
  private readonly snapshot: () => Snapshot<any>
  private differences: Array<Diff<any>> = []
  private size = 0
  /** Whether a snapshot comes next: at the beginning, and after the reader was too slow. */
  private isStale = true
  private isEnded = false
  private wake: (() => void) | undefined

  constructor(snapshot: () => Snapshot<any>) {
    this.snapshot = snapshot
  }

  offer(difference: Diff<any>): void {
    if (!this.isStale) {
      this.differences.push(difference)
      this.size += difference.joined.length + difference.left.length + difference.updated.length
      if (this.size > CAPACITY) {
        this.isStale = true
        this.clear()
      }
    }
    this.wake?.()
  }

  end(): void {
    this.isEnded = true
    this.wake?.()
  }

  private clear(): ReadonlyArray<Diff<any>> {
    const { differences } = this
    this.differences = []
    this.size = 0
    return differences
  }

  /** Takes all changes that wait, or waits for one. */
  readonly pull: Effect.Effect<readonly [Change<any>, ...Array<Change<any>>], Cause.Done> = Effect.suspend(() => {
    if (this.isStale && !this.isEnded) {
      this.isStale = false
      return Effect.succeed([this.snapshot()] as const)
    }
    const [first, ...others] = this.clear()
    if (first !== undefined) return Effect.succeed([first, ...others] as const)
    return this.isEnded ? Cause.done() : Effect.andThen(this.woken, this.pull)
  })

  private readonly woken = Effect.callback<void>((resume) => {
    this.wake = () => {
      this.wake = undefined
      // The reader goes on in a later turn: the room is in the middle of a change.
      resume(Effect.yieldNow)
    }
    return Effect.sync(() => {
      this.wake = undefined
    })
  })
}
