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
  /** How far a delay may be off, as a part of it: from 0 to 1. */
  readonly jitter: number
}

/**
 * The official client's curve: 1 second, doubling up to 5 seconds, half as much more or less.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultBackoff: BackoffOptions = { min: 1_000, max: 5_000, jitter: 0.5 }

/**
 * The delay before an attempt, counted from 0, in milliseconds; `random` is a number from 0 to 1.
 *
 * The bound holds for the delay and for its spread: where the official client has everybody wait
 * exactly the maximum after some attempts, these still are spread over the lower half of it, so
 * that clients do not come back all at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const backoff = ({ jitter, max, min }: BackoffOptions, attempt: number, random: number): number => {
  // Beyond 2^30 there is nothing but the maximum, and nothing overflows.
  const base = min * 2 ** Math.min(attempt, 30)
  const low = Math.min(base, max) * (1 - jitter)
  const high = Math.min(base * (1 + jitter), max)
  return Math.round(low + random * (high - low))
}
