import type { DropReason } from "../../adapter/ClusterStatus.ts"
import { costOf } from "../../internal/cost.ts"
import { type Body, SOURCE } from "./messages.ts"

/**
 * The timer as it was when this module was loaded. Fake timers of tests must not hold messages
 * back.
 */
const { setImmediate } = globalThis

/** The bytes that may wait for another process by default: 16 MiB. */
export const MAX_BUFFER = 16_777_216

/** Frames of this size, in bytes, do not wait for the end of the turn. */
const FULL = 65_536

/** The estimated memory of a message besides its body, in bytes. */
const OVERHEAD = 64

/**
 * Sends a message to another process. `done` is called once, when the message is in the hands of
 * the operating system, or with an error. It throws if the message cannot be encoded.
 */
export type Send = (message: object, done: (error: Error | null) => void) => void

export interface OutboxOptions {
  /** The bytes that may wait for the other process. */
  readonly maxBuffer: number
  readonly onDropped: (count: number, reason: DropReason) => void
}

/** The messages to one other process, in order. It is bounded: the process may be slow, or hang. */
export class Outbox {
  private readonly write: Send
  private readonly options: OutboxOptions
  /** The bytes that wait: for the end of the turn, and for the other process. */
  private waiting = 0
  private frames: Array<string | Body> = []
  private size = 0
  private isAwaited = false

  constructor(write: Send, options: OutboxOptions) {
    this.write = write
    this.options = options
  }

  /** Sends an encoded envelope at the end of this turn, together with others. */
  push(to: string, body: Body): void {
    const size = body.length + OVERHEAD
    if (!this.admits(size)) return
    this.frames.push(to, body)
    this.size += size
    if (this.size >= FULL) return this.flush()
    if (this.isAwaited) return
    this.isAwaited = true
    setImmediate(() => {
      this.isAwaited = false
      this.flush()
    })
  }

  /** Sends a message as it is. `size` is its estimated memory in bytes. */
  send(message: object, size: number): void {
    if (!this.admits(size)) return
    this.flush()
    this.post(message, size, 1)
  }

  /** Sends a message that must not be lost, and is rare. */
  sendAnyway(message: object): void {
    this.flush()
    this.post(message, 0, 1)
  }

  /** Sends at once what waits for the end of the turn. */
  flush(): void {
    const { frames, size } = this
    if (frames.length === 0) return
    this.frames = []
    this.size = 0
    this.post({ source: SOURCE, frames }, size, frames.length / 2)
  }

  private admits(size: number): boolean {
    if (this.waiting + size > this.options.maxBuffer) {
      this.options.onDropped(1, "overflow")
      return false
    }
    this.waiting += size
    return true
  }

  private post(message: object, size: number, count: number): void {
    let isOver = false
    const done = (error: Error | null) => {
      if (isOver) return
      isOver = true
      this.waiting -= size
      if (error !== null) this.options.onDropped(count, "failed")
    }
    try {
      this.write(message, done)
    } catch (error) {
      done(error as Error)
    }
  }
}

/**
 * The estimated memory of a message, in bytes. Throws on one that is circular or nested too deep.
 */
export const sizeOf = (message: object): number => OVERHEAD + costOf(message)
