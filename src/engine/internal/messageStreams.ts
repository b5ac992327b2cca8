import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import { type Overflow, type OverflowError, type StreamOptions, StreamOverflow } from "../../StreamOptions.ts"

/**
 * The number of messages that are held for the first reader. After that, the client is not read.
 */
const MAX_HELD = 1_000

/** A message of a session: text, or bytes. */
export type Message = string | Uint8Array

/** The session whose messages are streamed. */
interface Streamed {
  pauseUnsafe(by: "streams"): void
  resumeUnsafe(by: "streams"): void
}

type Failure = StreamOverflow | Cause.Done

/** Makes the queue of a stream. With the policy `fail` it refuses messages that do not fit. */
export const makeQueue = <A>(capacity: number, overflow: Overflow): Effect.Effect<Queue.Queue<A, Failure>> => {
  if (!Number.isInteger(capacity) || capacity < 1) {
    return Effect.die(new RangeError(`capacity must be a positive integer, not ${capacity}`))
  }
  // The source of a stream that suspends is paused when the queue is full, so nothing is refused.
  if (overflow === "suspend") return Queue.unbounded<A, Failure>()
  return overflow === "dropOldest" ? Queue.sliding<A, Failure>(capacity) : Queue.dropping<A, Failure>(capacity)
}

/** One stream that is being read. */
class Tap {
  readonly queue: Queue.Queue<Message, Failure>
  readonly capacity: number
  private readonly overflow: Overflow
  isFull = false

  constructor(queue: Queue.Queue<Message, Failure>, capacity: number, overflow: Overflow) {
    this.queue = queue
    this.capacity = capacity
    this.overflow = overflow
  }

  /** Takes a message. Returns false if the stream has failed. */
  offer(message: Message): boolean {
    if (Queue.offerUnsafe(this.queue, message)) {
      this.isFull = this.overflow === "suspend" && Queue.sizeUnsafe(this.queue) >= this.capacity
      return true
    }
    if (this.overflow !== "fail") return true
    const { capacity } = this
    Queue.failCauseUnsafe(this.queue, Cause.fail(new StreamOverflow({ stream: "messages", capacity })))
    return false
  }
}

/**
 * The streams of one session's messages, and the messages that wait for the first of them. A
 * session has it only while it is needed.
 */
export class MessageStreams {
  private readonly session: Streamed
  private readonly onEmpty: () => void
  private readonly taps = new Set<Tap>()
  /** The messages until the first stream is read, if they are held for it. */
  private held: Array<Message> | undefined
  private isPaused = false
  private isEnded = false
  private onRead: (() => void) | undefined

  /** `onEmpty` is called when no stream needs messages any more. */
  constructor(session: Streamed, onEmpty: () => void) {
    this.session = session
    this.onEmpty = onEmpty
  }

  /** Holds messages for the first reader from now on. */
  hold(): void {
    this.held ??= []
  }

  onMessage(message: Message): void {
    if (this.held !== undefined) this.held.push(message)
    for (const tap of this.taps) {
      if (tap.offer(message)) continue
      this.taps.delete(tap)
      this.settle()
    }
    this.review()
  }

  /** The session has ended: streams end once their readers have taken the waiting messages. */
  end(): void {
    this.isEnded = true
    for (const { queue } of this.taps) Queue.endUnsafe(queue)
    if (this.taps.size === 0) this.settle()
  }

  /** Calls back when the session has ended and its streams have been read to their ends. */
  whenRead(callback: () => void): void {
    this.onRead = callback
    this.settle()
  }

  /** Streams messages from now on, and those that were held; ends with the session. */
  readonly open = <O extends Overflow>({
    capacity = 10_000,
    overflow = "fail" as O
  }: StreamOptions<O>): Effect.Effect<Stream.Stream<Message, OverflowError<O>>, never, Scope.Scope> =>
    Effect.gen({ self: this }, function* () {
      const queue = yield* makeQueue<Message>(capacity, overflow)
      const tap = new Tap(queue, capacity, overflow)
      yield* Effect.acquireRelease(
        Effect.sync(() => this.add(tap)),
        () => Effect.sync(() => this.remove(tap))
      )
      const take = Effect.tap(Queue.takeAll(queue), () =>
        Effect.sync(() => {
          tap.isFull = false
          this.review()
        })
      )
      return Stream.fromPull(Effect.succeed(take)) as Stream.Stream<Message, OverflowError<O>>
    })

  private add(tap: Tap): void {
    const held = this.held ?? []
    this.held = undefined
    // The held messages may exceed the capacity of a stream that suspends. Their number is bounded.
    for (const message of held) tap.offer(message)
    if (this.isEnded) Queue.endUnsafe(tap.queue)
    this.taps.add(tap)
    this.review()
  }

  private remove(tap: Tap): void {
    this.taps.delete(tap)
    this.review()
    this.settle()
  }

  /** Pauses reading, or resumes it. */
  private review(): void {
    let isFull = this.held !== undefined && this.held.length >= MAX_HELD
    for (const tap of this.taps) isFull ||= tap.isFull
    if (isFull === this.isPaused) return
    this.isPaused = isFull
    if (isFull) this.session.pauseUnsafe("streams")
    else this.session.resumeUnsafe("streams")
  }

  private settle(): void {
    if (this.taps.size > 0) return
    if (this.isEnded) this.onRead?.()
    else if (this.held === undefined) this.onEmpty()
  }
}
