import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import { costOf } from "../../internal/cost.ts"
import { type Overflow, type OverflowError, type StreamOptions, StreamOverflow } from "../../StreamOptions.ts"
import { PLACE } from "../OutboundMessage.ts"

/**
 * The number of messages that are held for the first reader. After that, the client is not read.
 */
const MAX_HELD = 1_000

/**
 * The memory of the messages that wait for one reader, in bytes. A message that is larger waits
 * alone.
 */
const MAX_BYTES = 16 * 1024 * 1024

/** The memory of those that are held for the first reader, who has room for more then. */
const MAX_HELD_BYTES = MAX_BYTES / 2

/** A message of a session: text, or bytes. */
export type Message = string | Uint8Array

/** The session whose messages are streamed. */
interface Streamed {
  pauseUnsafe(by: "streams"): void
  resumeUnsafe(by: "streams"): void
}

type Failure = StreamOverflow | Cause.Done

/** Dies if a stream cannot have this capacity. */
export const checkCapacity = (capacity: number): Effect.Effect<void> =>
  Number.isInteger(capacity) && capacity >= 1
    ? Effect.void
    : Effect.die(new RangeError(`capacity must be a positive integer, not ${capacity}`))

/** The memory of a message that waits. */
const sizeOf = (message: Message): number => PLACE + costOf(message)

/** One stream that is being read. Its queue has no bounds of its own. */
class Tap {
  readonly queue: Queue.Queue<Message, Failure>
  private readonly capacity: number
  private readonly overflow: Overflow
  /** The memory of the messages in the queue. */
  private bytes = 0

  constructor(queue: Queue.Queue<Message, Failure>, capacity: number, overflow: Overflow) {
    this.queue = queue
    this.capacity = capacity
    this.overflow = overflow
  }

  /** Whether the client should not be read before the reader has taken what waits. */
  get isFull(): boolean {
    if (this.overflow !== "suspend") return false
    return Queue.sizeUnsafe(this.queue) >= this.capacity || this.bytes >= MAX_BYTES
  }

  /**
   * Takes a message, if no more than so many bytes wait with it. Returns false if the stream has
   * failed.
   */
  offer(message: Message, maxBytes: number): boolean {
    const { capacity, overflow, queue } = this
    const size = sizeOf(message)
    // The source of a stream that suspends is paused, so nothing is refused.
    while (!this.fits(size, maxBytes)) {
      if (overflow === "dropNewest") return true
      if (overflow === "fail") {
        Queue.failCauseUnsafe(queue, Cause.fail(new StreamOverflow({ stream: "messages", capacity })))
        return false
      }
      const oldest = Queue.takeUnsafe(queue)
      if (oldest?._tag === "Success") this.onTaken([oldest.value])
    }
    if (Queue.offerUnsafe(queue, message)) this.bytes += size
    return true
  }

  /** The reader has taken these. */
  onTaken(messages: ReadonlyArray<Message>): void {
    for (const message of messages) this.bytes -= sizeOf(message)
  }

  private fits(size: number, maxBytes: number): boolean {
    if (this.overflow === "suspend") return true
    const count = Queue.sizeUnsafe(this.queue)
    return count === 0 || (count < this.capacity && this.bytes + size <= maxBytes)
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
  /** Their memory. */
  private heldBytes = 0
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
    if (this.held !== undefined) {
      this.held.push(message)
      this.heldBytes += sizeOf(message)
    }
    for (const tap of this.taps) {
      if (tap.offer(message, MAX_BYTES)) continue
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
      yield* checkCapacity(capacity)
      const queue = yield* Queue.unbounded<Message, Failure>()
      const tap = new Tap(queue, capacity, overflow)
      yield* Effect.acquireRelease(
        Effect.sync(() => this.add(tap)),
        () => Effect.sync(() => this.remove(tap))
      )
      const take = Effect.tap(Queue.takeAll(queue), (messages) =>
        Effect.sync(() => {
          tap.onTaken(messages)
          this.review()
        })
      )
      return Stream.fromPull(Effect.succeed(take)) as Stream.Stream<Message, OverflowError<O>>
    })

  private add(tap: Tap): void {
    const held = this.held ?? []
    this.held = undefined
    this.heldBytes = 0
    // The held messages may exceed the capacity of a stream that suspends, and the bytes of any.
    // They are bounded already.
    for (const message of held) tap.offer(message, Infinity)
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
    let isFull = this.held !== undefined && (this.held.length >= MAX_HELD || this.heldBytes >= MAX_HELD_BYTES)
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
