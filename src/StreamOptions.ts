/**
 * Options of the streams that sockets, namespaces and connections give: how much may wait for a
 * reader, and the policy when more comes.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * The policy of a stream whose reader is too slow: it applies when a value comes and `capacity`
 * values wait already.
 *
 * - `suspend`: the source waits. It is offered only where a source can wait.
 * - `dropOldest`: the value that has waited longest is dropped.
 * - `dropNewest`: the value that comes is dropped.
 * - `fail`: the stream fails with {@link StreamOverflow}, after the values that wait.
 *
 * @since 0.1.0
 * @category models
 */
export type Overflow = "suspend" | "dropOldest" | "dropNewest" | "fail"

/**
 * Options of a stream.
 *
 * **Details**
 *
 * Values wait from the moment on in which the stream listens until its reader takes them. A reader
 * takes everything that waits at once, as one chunk, so that up to `capacity` values more can wait
 * while it works on a chunk.
 *
 * **Gotchas**
 *
 * `dropOldest` and `dropNewest` lose values without a word: use them for values that newer ones
 * replace, such as positions.
 *
 * @since 0.1.0
 * @category options
 */
export interface StreamOptions<out O extends Overflow = Overflow> {
  /**
   * The values that may wait for the reader. With less than 1 there is room for none. Default:
   * 10,000.
   */
  readonly capacity?: number
  /**
   * The policy when more come. Default: `fail`, unless the stream's documentation says otherwise.
   */
  readonly overflow?: O
}

/**
 * The reader of a stream with the policy `fail` was too slow. The stream fails with it after the
 * values that have waited.
 *
 * @since 0.1.0
 * @category errors
 */
export class StreamOverflow extends Data.TaggedError("StreamOverflow")<{
  /** The stream: an event's name, or the name of the property that gives the stream. */
  readonly stream: string
  /** The values that could wait. */
  readonly capacity: number
}> {
  override get message(): string {
    return `the reader of "${this.stream}" is behind by more than ${this.capacity} values`
  }
}

/**
 * The error of a stream with this policy: {@link StreamOverflow} if the policy is, or may be,
 * `fail`.
 *
 * @since 0.1.0
 * @category utility types
 */
export type OverflowError<O extends Overflow> = O extends "fail" ? StreamOverflow : never
