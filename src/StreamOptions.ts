/**
 * Options of the streams of sockets, namespaces and connections: the number of values that may wait
 * for a reader, and the policy for more.
 *
 * @since 0.1.0
 */
import { TaggedError } from "./SocketIoError.ts"

/**
 * The policy of a stream whose reader is too slow: it applies when a value comes while `capacity`
 * values wait.
 *
 * - `suspend`: the source waits. Only streams whose source can wait have this policy.
 * - `dropOldest`: the value that has waited longest is dropped.
 * - `dropNewest`: the new value is dropped.
 * - `fail`: the stream fails with {@link StreamOverflow}, after the waiting values.
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
 * A value waits from its arrival until the stream's reader takes it. A reader takes all waiting
 * values at once, as one chunk. While it works on that chunk, up to `capacity` more values can
 * wait.
 *
 * **Gotchas**
 *
 * `dropOldest` and `dropNewest` lose values silently: use them for values that newer ones replace,
 * such as positions.
 *
 * @since 0.1.0
 * @category options
 */
export interface StreamOptions<out O extends Overflow = Overflow> {
  /**
   * The number of values that may wait for the reader. With less than 1, none may wait. Default:
   * 10,000, unless the stream's documentation says otherwise.
   */
  readonly capacity?: number
  /**
   * The policy for more values. Default: `fail`, unless the stream's documentation says otherwise.
   */
  readonly overflow?: O
}

/**
 * The reader of a stream with the policy `fail` was too slow. The stream fails with this error
 * after the waiting values.
 *
 * @since 0.1.0
 * @category errors
 */
export class StreamOverflow extends TaggedError("StreamOverflow")<{
  /** The stream: an event's name, or the name of the property that returns the stream. */
  readonly stream: string
  /** The number of values that could wait. */
  readonly capacity: number
}> {
  override get message(): string {
    return `"${this.stream}" has more than ${this.capacity} values waiting`
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
