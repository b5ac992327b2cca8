import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

import { Deque } from "../../internal/deque.ts"
import { CAPACITY } from "../../internal/streamCapacity.ts"
import { type Overflow, type StreamOptions, StreamOverflow } from "../../StreamOptions.ts"
import type { ResolvedServerOptions } from "../ServerOptions.ts"
import type { Backlog } from "./backlog.ts"

/** A connection, as the readers of its events see it. */
export interface ReadConnection {
  readonly backlog: Backlog
  readonly session: { closeUnsafe(reason: "inbound overflow", description: string): void }
}

/** A value that waits for the reader, and its cost meanwhile: in the backlog of its connection. */
interface Waiting {
  readonly value: unknown
  cost: number
  readonly backlog: Backlog
}

/**
 * The buffer of a stream of clients' events. Its values count in their connections' backlogs,
 * because a client could otherwise fill the memory with large values. So a policy applies when
 * `capacity` values wait, and also when the waiting bytes of one client are half of its limit.
 */
export class Reader {
  private readonly stream: string
  private readonly overflow: Overflow
  private readonly capacity: number
  private readonly limits: ResolvedServerOptions
  private readonly values = new Deque<Waiting>()
  /** The backlogs of the connections that wait for this reader. */
  private paused: Set<Backlog> | undefined
  private over: Effect.Effect<never, Cause.Done | StreamOverflow> | undefined
  private wakers: Array<() => void> = []

  constructor(stream: string, { capacity, overflow = "suspend" }: StreamOptions, limits: ResolvedServerOptions) {
    this.stream = stream
    this.overflow = overflow
    this.limits = limits
    this.capacity = capacity ?? (overflow === "suspend" ? limits.pauseReadingAt : CAPACITY)
  }

  private get isFull(): boolean {
    // This also treats a capacity of NaN as 0.
    return !(this.values.size < this.capacity)
  }

  /** A value has come over a connection. It costs as much while it waits. */
  offer(value: unknown, cost: number, { backlog, session }: ReadConnection): void {
    if (this.over !== undefined) return
    const suspends = this.overflow === "suspend"
    if (suspends && this.values.size >= this.limits.maxPendingEvents) {
      return session.closeUnsafe("inbound overflow", "more events than may wait for the reader of a stream")
    }
    if (!suspends && !this.hasCapacityFor(cost, backlog)) return
    this.values.push({ value, cost, backlog })
    backlog.hold(cost)
    if (suspends && this.isFull) this.pause(backlog)
    this.wake()
  }

  /** The stream ends after the values that wait. */
  end(): void {
    this.finish(Cause.done())
  }

  /** The reader's scope has closed: values that are still read after that no longer count. */
  close(): void {
    this.resume()
    for (let i = 0; i < this.values.size; i++) release(this.values.at(i))
  }

  /** Takes every value that waits, or waits for one. */
  readonly pull: Effect.Effect<readonly [any, ...Array<any>], Cause.Done | StreamOverflow> = Effect.suspend(() => {
    if (this.values.size === 0) return this.over ?? Effect.flatMap(this.woken, () => this.pull)
    const taken = this.values.takeAll()
    this.resume()
    for (const waiting of taken) release(waiting)
    return Effect.succeed(taken.map(({ value }) => value) as [any, ...Array<any>])
  })

  private readonly woken = Effect.callback<void>((resume) => {
    // Deferred: the connection is in the middle of a packet, and more values may come.
    const waker = () => resume(Effect.yieldNow)
    this.wakers.push(waker)
    return Effect.sync(() => {
      this.wakers = this.wakers.filter((other) => other !== waker)
    })
  })

  private wake(): void {
    for (const waker of this.wakers.splice(0)) waker()
  }

  private finish(how: Effect.Effect<never, Cause.Done | StreamOverflow>): void {
    this.over ??= how
    this.wake()
    // The connection may have other sockets.
    this.resume()
  }

  /** Applies the policy. Returns whether the value may wait. */
  private hasCapacityFor(cost: number, backlog: Backlog): boolean {
    while (this.isFull || !backlog.fits(cost)) {
      if (this.overflow === "fail") {
        this.finish(Effect.fail(new StreamOverflow({ stream: this.stream, capacity: this.capacity })))
        return false
      }
      if (this.overflow === "dropNewest" || this.values.size === 0) return false
      // Dropping another connection's value would not change the bytes of this one.
      if (!this.isFull && this.values.at(0).backlog !== backlog) return false
      release(this.values.shift())
    }
    return true
  }

  private pause(backlog: Backlog): void {
    const paused = (this.paused ??= new Set())
    if (paused.has(backlog)) return
    paused.add(backlog)
    backlog.enterFull()
  }

  private resume(): void {
    const { paused } = this
    this.paused = undefined
    if (paused !== undefined) for (const backlog of paused) backlog.leaveFull()
  }
}

const release = (waiting: Waiting): void => {
  const { backlog, cost } = waiting
  if (cost === 0) return
  waiting.cost = 0
  backlog.release(cost)
}
