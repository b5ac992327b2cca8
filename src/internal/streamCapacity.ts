/**
 * The number of values that may wait for the reader of a stream, by default. A module without
 * imports: bundlers put the number in its places.
 */
export const CAPACITY = 10_000
