import type { EventCodec } from "./contractCodec.ts"

/**
 * The numbers of declared arguments, by event. Events with one argument, which most are, are left
 * out.
 */
export type Lengths = Readonly<Record<string, number>>

/**
 * Where a server looks for the trace contexts of a namespace's events, and where it puts them:
 * right after the arguments that its contract declares. A client may have another version of the
 * contract.
 */
export interface TracePlaces {
  /** Of events that clients send. */
  readonly in: Lengths
  /** Of events that the server sends. */
  readonly out: Lengths
}

/** The lengths of a contract's events. */
export const lengthsOf = (events: ReadonlyMap<string, Pick<EventCodec, "length">>): Lengths => {
  // Names that an object has by itself are like any other.
  const lengths: Record<string, number> = Object.create(null)
  for (const [event, { length }] of events) if (length !== 1) lengths[event] = length
  return lengths
}

/** The number of arguments of an event, as a server has told it. */
export const lengthOf = (lengths: Lengths, event: string): number => {
  const length = Object.hasOwn(lengths, event) ? lengths[event] : 1
  return typeof length === "number" ? length : Number.NaN
}

/** Reads the places that a server has told. Returns `undefined` if it takes no trace contexts. */
export const readPlaces = (value: unknown): TracePlaces | undefined => {
  const { in: incoming, out } = Object(value) as Readonly<Record<string, unknown>>
  return isRecord(incoming) && isRecord(out) ? { in: incoming, out } : undefined
}

const isRecord = (value: unknown): value is Lengths => typeof value === "object" && value !== null
