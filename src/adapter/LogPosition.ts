/**
 * Positions in a log that the servers of a cluster share: the ids of a stream of Redis.
 *
 * A position is a time in milliseconds and a number, `1700000000000-0`. Both may have 64 bits.
 *
 * @since 0.1.0
 */

const FORM = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/

/** The greatest number of a position. */
const LAST = (1n << 64n) - 1n

/**
 * Whether a value is a position.
 *
 * @since 0.1.0
 * @category guards
 */
export const isPosition = (value: unknown): value is string => typeof value === "string" && FORM.test(value)

/**
 * Compares two positions: negative if the first one is earlier, zero if they are the same.
 *
 * @since 0.1.0
 * @category comparisons
 */
export const compare = (one: string, other: string): number => {
  if (one === other) return 0
  const dash = one.indexOf("-")
  const otherDash = other.indexOf("-")
  // Without leading zeros, a longer number is a greater one.
  if (dash !== otherDash) return dash - otherDash
  const millis = one.slice(0, dash)
  const otherMillis = other.slice(0, otherDash)
  if (millis !== otherMillis) return millis < otherMillis ? -1 : 1
  return one.length === other.length ? (one < other ? -1 : 1) : one.length - other.length
}

/**
 * The position right before another one. There need not be anything at it.
 *
 * @since 0.1.0
 * @category arithmetic
 */
export const before = (position: string): string => {
  const [millis = "0", number = "0"] = position.split("-")
  if (number !== "0") return `${millis}-${BigInt(number) - 1n}`
  return millis === "0" ? "0-0" : `${BigInt(millis) - 1n}-${LAST}`
}

/**
 * The time of a position, in milliseconds of the log's clock.
 *
 * @since 0.1.0
 * @category arithmetic
 */
export const millisOf = (position: string): number => Number(position.slice(0, position.indexOf("-")))
