/**
 * Numbers that are the same in every run with a seed (mulberry32).
 */
export interface Numbers {
  /** From 0 up to 1. */
  readonly next: () => number
  /** A whole number below the bound. */
  readonly below: (bound: number) => number
  readonly pick: <A>(values: ReadonlyArray<A>) => A
}

export const makeRandom = (seed: number): Numbers => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
  const below = (bound: number) => Math.floor(next() * bound)
  return { next, below, pick: (values) => values[below(values.length)]! }
}
