/**
 * The values that all formats of messages between servers are made of: selections, flags, events,
 * and this library's own fields. Readers take any value, never throw, and give `undefined` for what
 * they cannot read.
 *
 * @since 0.1.0
 */
import { isReservedEvent } from "../protocol/SocketPacket.ts"
import type { TraceContext } from "../TraceContext.ts"
import type { Selection } from "./Adapter.ts"
import type { EventData, RemoteFlags } from "./ClusterMessage.ts"
import type { LaneEnd } from "./Received.ts"

/**
 * The fields of this library in a message, which official servers ignore. A message that has them
 * comes from a server of this library, even if all of them are absent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Extension {
  /** The number of the message on its lane, from 1. */
  readonly n?: number | undefined
  /** In a fetch: 1, a count is enough. In its answer: the count, in place of the sockets. */
  readonly c?: number | undefined
  /** In an acknowledgement: the id of the socket. */
  readonly s?: string | undefined
  /** In an acknowledgement or an answer to an event: the arguments after the first. */
  readonly a?: ReadonlyArray<unknown> | undefined
  /** In a beat: the last numbers of the sender's lanes. */
  readonly l?: ReadonlyArray<LaneEnd> | undefined
  /** In a beat: the others tell their lanes that have changed in so many milliseconds. */
  readonly q?: number | undefined
  /** In an answer of the classic format, which has no other place for it: the id of the sender. */
  readonly u?: string | undefined
  /** In a broadcast: 1, it is for the socket alone whose id is its room. */
  readonly d?: number | undefined
  /** In a broadcast: 1, the sender's own sockets did not wait for the log. */
  readonly o?: number | undefined
  /** In a broadcast: the `traceparent` of the span that has emitted it. */
  readonly t?: string | undefined
  /** In a broadcast: the `tracestate` that belongs to it. */
  readonly ts?: string | undefined
}

/**
 * The types of this library's own messages. Official servers ignore types that they do not know.
 *
 * @since 0.1.0
 * @category constants
 */
export const OwnType = {
  Cancel: 100,
  Ping: 101,
  Alive: 102,
  RecipientLeft: 103,
  Declined: 104,
  Beat: 105,
  Closing: 106,
  Enter: 107,
  Exit: 108,
  Taken: 109
} as const

/**
 * The sender of processes that emit and are no servers.
 *
 * @since 0.1.0
 * @category constants
 */
export const EMITTER = "emitter"

/**
 * Longer texts are no ids of servers, sockets or questions: they are remembered. Official ones have
 * 20 characters at most.
 */
const MAX_ID = 128

/** The characters of a `traceparent`, and the most of a `tracestate`. */
const TRACEPARENT = 55
const MAX_TRACESTATE = 256

/**
 * The lanes that a beat may have. Links send several beats for more.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_BEAT_LANES = 10_000

/**
 * Whether a value is an object with named members.
 *
 * @since 0.1.0
 * @category guards
 */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  !ArrayBuffer.isView(value) &&
  !(value instanceof Date)

/**
 * Whether a value is an id of a server, a socket or a question: a text of 128 characters at most.
 *
 * @since 0.1.0
 * @category guards
 */
export const isId = (value: unknown): value is string => typeof value === "string" && value.length <= MAX_ID

/**
 * @since 0.1.0
 * @category guards
 */
export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/**
 * Reads names of rooms, which may be numbers. The list may be absent.
 *
 * @since 0.1.0
 * @category readers
 */
export const readRooms = (value: unknown): ReadonlyArray<string> | undefined => {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) return undefined
  let rooms: Array<string> = value
  for (let i = 0; i < value.length; i++) {
    const room: unknown = value[i]
    if (typeof room === "string") continue
    if (typeof room !== "number") return undefined
    if (rooms === value) rooms = [...value]
    rooms[i] = String(room)
  }
  return rooms
}

/**
 * Reads the `rooms` and `except` of options.
 *
 * @since 0.1.0
 * @category readers
 */
export const readSelection = (options: unknown): Selection | undefined => {
  if (!isRecord(options)) return undefined
  const rooms = readRooms(options["rooms"])
  const except = readRooms(options["except"])
  return rooms === undefined || except === undefined ? undefined : { rooms, except }
}

const NO_FLAGS: RemoteFlags = { volatile: false, compress: true }

/**
 * Reads the flags of options. They may be absent, each and all.
 *
 * @since 0.1.0
 * @category readers
 */
export const readFlags = (options: Readonly<Record<string, unknown>>): RemoteFlags => {
  const { flags } = options
  if (!isRecord(flags)) return NO_FLAGS
  return { volatile: flags["volatile"] === true, compress: flags["compress"] !== false }
}

/**
 * Reads the `timeout` of flags, in milliseconds.
 *
 * @since 0.1.0
 * @category readers
 */
export const readTimeout = (options: Readonly<Record<string, unknown>>): number | undefined => {
  const { flags } = options
  const timeout = isRecord(flags) ? flags["timeout"] : undefined
  return typeof timeout === "number" && timeout >= 0 && Number.isFinite(timeout) ? timeout : undefined
}

/**
 * Writes flags. One that is not set is absent: official servers take `volatile: false` for `true`
 * in some places.
 *
 * @since 0.1.0
 * @category writers
 */
export const writeFlags = (
  flags: RemoteFlags | undefined,
  timeout: number | undefined
): Readonly<Record<string, unknown>> => {
  const written: Record<string, unknown> = {}
  if (flags?.volatile === true) written["volatile"] = true
  if (flags?.compress === false) written["compress"] = false
  if (timeout !== undefined) written["timeout"] = timeout
  return written
}

/**
 * Reads an event between servers: a list that begins with a name, which may be a number.
 *
 * @since 0.1.0
 * @category readers
 */
export const readEvent = (value: unknown): EventData | undefined => {
  if (!Array.isArray(value)) return undefined
  const name: unknown = value[0]
  if (typeof name === "string") return value as unknown as EventData
  return typeof name === "number" ? [String(name), ...(value.slice(1) as Array<unknown>)] : undefined
}

/**
 * Reads the event of a broadcast packet. Clients end their connection at a reserved name, so it is
 * not read.
 *
 * @since 0.1.0
 * @category readers
 */
export const readPacket = (packet: unknown): EventData | undefined => {
  if (!isRecord(packet) || packet["type"] !== 2) return undefined
  const event = readEvent(packet["data"])
  return event === undefined || isReservedEvent(event[0]) ? undefined : event
}

/**
 * Reads the arguments of an answer: the first one as official servers write it, the others in the
 * extension.
 *
 * @since 0.1.0
 * @category readers
 */
export const readArgs = (first: unknown, extension: Extension | undefined): ReadonlyArray<unknown> => {
  const further = extension?.a
  if (further !== undefined) return [first ?? null, ...further]
  return first === undefined ? [] : [first]
}

/**
 * The arguments of an answer after the first, for an extension. No arguments at all need no field.
 *
 * @since 0.1.0
 * @category writers
 */
export const furtherArgs = (args: ReadonlyArray<unknown>): ReadonlyArray<unknown> | undefined =>
  args.length > 1 || (args.length === 1 && args[0] === undefined) ? args.slice(1) : undefined

/**
 * Reads an extension. Gives `undefined` if there is none. A field of another type counts as absent.
 *
 * @since 0.1.0
 * @category readers
 */
export const readExtension = (value: unknown): Extension | undefined => {
  if (!isRecord(value)) return undefined
  const { a, c, d, l, n, o, q, s, t, ts, u } = value
  return {
    n: isCount(n) && n > 0 ? n : undefined,
    c: isCount(c) ? c : undefined,
    s: isId(s) ? s : undefined,
    a: Array.isArray(a) ? a : undefined,
    l: Array.isArray(l) && l.length <= MAX_BEAT_LANES && l.every(isLaneEnd) ? l : undefined,
    q: isCount(q) ? q : undefined,
    u: isId(u) ? u : undefined,
    d: isCount(d) ? d : undefined,
    o: isCount(o) ? o : undefined,
    t: typeof t === "string" && t.length === TRACEPARENT ? t : undefined,
    ts: typeof ts === "string" && ts.length <= MAX_TRACESTATE ? ts : undefined
  }
}

/**
 * The fields of a trace context in an extension. Without one there are none, so that a message is
 * the same as without a tracer.
 *
 * @since 0.1.0
 * @category writers
 */
export const writeTrace = (trace: TraceContext | undefined): Pick<Extension, "t" | "ts"> | undefined =>
  trace === undefined
    ? undefined
    : trace.tracestate === undefined
      ? { t: trace.traceparent }
      : { t: trace.traceparent, ts: trace.tracestate }

/**
 * Reads the trace context of an extension.
 *
 * @since 0.1.0
 * @category readers
 */
export const readTrace = (extension: Extension | undefined): TraceContext | undefined => {
  if (extension?.t === undefined) return undefined
  const { t: traceparent, ts: tracestate } = extension
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}

const isLaneEnd = (value: unknown): value is LaneEnd =>
  Array.isArray(value) && value.length === 2 && typeof value[0] === "string" && isCount(value[1])
