/** The golden ratio: steps of this part of a circle stay apart from each other for longest. */
const PART = (Math.sqrt(5) - 1) / 2

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b))

/**
 * The same items in an order in which each stretch has its share of every part of the list: items
 * that were neighbours come far apart.
 */
export const spread = <A>(items: ReadonlyArray<A>): Array<A> => {
  const { length } = items
  let step = Math.max(1, Math.round(PART * length))
  // Otherwise it would come back to the first item before it has met all.
  while (divisor(length, step) > 1) step++
  return items.map((_, i) => items[(i * step) % length]!)
}
