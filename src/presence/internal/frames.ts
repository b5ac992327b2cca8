import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"

/**
 * The frames that servers send to each other. Every one names its sender, whose id is a new one at
 * each start: it is the epoch of the sender's members.
 *
 * - `delta`: the changes that lead to `clock`, the first of them after `clock - 1`.
 * - `beat`: a sign of life of a sender whose last delta led to `clock`.
 * - `want`: asks the server `of` for all of its members, or every server if it is `*`.
 * - `state`: a part of all members of the sender. Deltas may come between the parts, and each part
 *   has the members as they are at its `clock`. `round` tells several states apart.
 * - `bye`: the sender ends, and its members with it.
 */
export type Frame =
  | {
      readonly type: "delta"
      readonly from: string
      readonly clock: number
      readonly set: ReadonlyArray<Entry>
      readonly gone: ReadonlyArray<number>
    }
  | { readonly type: "beat"; readonly from: string; readonly clock: number }
  | { readonly type: "want"; readonly from: string; readonly of: string }
  | {
      readonly type: "state"
      readonly from: string
      readonly clock: number
      readonly round: number
      readonly part: number
      readonly isLast: boolean
      readonly set: ReadonlyArray<Entry>
    }
  | { readonly type: "bye"; readonly from: string }

/** A member: its id and the number of its version, its room and key, and the encoded metadata. */
export type Entry = readonly [
  id: number,
  version: number,
  room: string,
  key: string,
  meta: Readonly<Record<string, unknown>>
]

/** The members of a frame, at most. */
export const MAX_ENTRIES = 500

/** The characters of a server's id, at most. */
const MAX_ID = 64

const Server = Schema.String.check(Schema.isBetweenLength(1, MAX_ID))

const Counter = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

const Entries = Schema.Array(
  Schema.Tuple([Counter, Counter, Schema.String, Schema.String, Schema.Record(Schema.String, Schema.Unknown)])
).check(Schema.isMaxLength(MAX_ENTRIES))

const Frames = Schema.Union([
  Schema.Struct({
    type: Schema.Literal("delta"),
    from: Server,
    clock: Counter,
    set: Entries,
    gone: Schema.Array(Counter).check(Schema.isMaxLength(MAX_ENTRIES))
  }),
  Schema.Struct({ type: Schema.Literal("beat"), from: Server, clock: Counter }),
  Schema.Struct({ type: Schema.Literal("want"), from: Server, of: Server }),
  Schema.Struct({
    type: Schema.Literal("state"),
    from: Server,
    clock: Counter,
    round: Counter,
    part: Counter,
    isLast: Schema.Boolean,
    set: Entries
  }),
  Schema.Struct({ type: Schema.Literal("bye"), from: Server })
])

const decode = Schema.decodeUnknownExit(Frames)

/** Whether a list is longer than that of any frame. Schemas look at the items first. */
const isTooLong = (value: object, name: string): boolean => {
  const list: unknown = Reflect.get(value, name)
  return Array.isArray(list) && list.length > MAX_ENTRIES
}

/** Reads a frame of another server; `undefined` if it is none. */
export const readFrame = (value: unknown): Frame | undefined => {
  if (typeof value !== "object" || value === null || isTooLong(value, "set") || isTooLong(value, "gone"))
    return undefined
  const exit = decode(value)
  return Exit.isSuccess(exit) ? exit.value : undefined
}
