/**
 * How long clients wait before they connect again.
 *
 * @since 0.1.0
 */

/**
 * The curve of the delays.
 *
 * @since 0.1.0
 * @category options
 */
export interface BackoffOptions {
  /** The delay before the first attempt, in milliseconds. */
  readonly min: number
  /** The longest delay, in milliseconds. */
  readonly max: number
  /** How far a delay may differ from the curve, as a part of it: from 0 to 1. */
  readonly jitter: number
}

/**
 * The official client's curve: it starts at 1 second, doubles up to 5 seconds, and each delay is up
 * to half as much longer or shorter.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultBackoff: BackoffOptions = { min: 1_000, max: 5_000, jitter: 0.5 }

/**
 * The delay before an attempt, counted from 0, in milliseconds; `random` is a number from 0 to 1.
 *
 * `max` bounds the delay with its spread. With the official client, every client waits exactly the
 * maximum after some attempts. Here those delays are spread over the lower half of the maximum, so
 * that clients do not all come back at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const backoff = ({ jitter, max, min }: BackoffOptions, attempt: number, random: number): number => {
  // From 2^30 on the delay is the maximum in any case. The bound keeps the power from overflowing.
  const base = min * 2 ** Math.min(attempt, 30)
  const low = Math.min(base, max) * (1 - jitter)
  const high = Math.min(base * (1 + jitter), max)
  return Math.round(low + random * (high - low))
}
