/**
 * The format of `@socket.io/redis-streams-adapter` 0.3.
 */
import { mayHaveBinary } from "../../adapter/ClusterMessage.ts"
import type { ClusterMessage } from "../../adapter/ClusterMessage.ts"
import * as Envelope from "../../adapter/Envelope.ts"
import * as Values from "../../adapter/WireValues.ts"
import { type LaneEnd, type Received, refused } from "../../adapter/Received.ts"
import type { Command } from "../RedisCommand.ts"
import { type Body, decode, decodeBody, encode, hasBinary, MAX_BYTES, problemOfJson, textOf } from "./msgpack.ts"
import { sizeOfEntry } from "./streamReaders.ts"
import { type PubSubWire, type WireOptions } from "./wire.ts"

/** The fields of a stream entry in their order, as XADD takes them. `x` is our own. */
export interface EntryFields {
  readonly uid: string
  readonly nsp: string
  readonly type: string
  readonly data?: string
  readonly x?: string
}

export interface StreamsOptions extends WireOptions {
  /** Default: `socket.io`. */
  readonly streamName?: string | undefined
  /** Default: 1. */
  readonly streamCount?: number | undefined
  /** Values are never searched for bytes. Default: false. */
  readonly onlyPlaintext?: boolean | undefined
}

/** `encode`, `channelOf` are for messages of which `goesByStream` is false. */
export interface StreamsWire extends PubSubWire {
  /** The channel that all servers hear. */
  readonly common: string
  /** Answers to this server. */
  readonly own: string
  /** The stream of this namespace. */
  readonly stream: string
  readonly goesByStream: (message: ClusterMessage) => boolean
  readonly encodeEntry: (message: ClusterMessage, number: number | undefined) => EntryFields
  /** The same, but throws on an entry that servers would not read. */
  readonly encodeReadable: (message: ClusterMessage, number: number | undefined) => EntryFields
  readonly encodeBeatEntry: (lanes: ReadonlyArray<LaneEnd>) => EntryFields
  readonly decode: (body: Body) => Received
  /**
   * Reads the fields of an entry, values as texts or bytes; `position` is its id. Those of this
   * server are ignored unless `withOwn`.
   */
  readonly decodeEntry: (fields: Readonly<Record<string, unknown>>, position: string, withOwn?: boolean) => Received
  /** The number of an entry of this server, also if nothing else of it can be read. */
  readonly ownNumber: (fields: Readonly<Record<string, unknown>>) => number | undefined
}

/**
 * The stream of a namespace. Where official servers compute a negative number, they write to a
 * stream that none of them reads (`officialStreamOf`); ours write to one that all of them read.
 */
export const streamOf = (namespace: string, name: string, count: number): string =>
  count === 1 ? name : `${name}-${Math.abs(hash(namespace) % count)}`

/** The stream that official servers write to. */
export const officialStreamOf = (namespace: string, name: string, count: number): string =>
  count === 1 ? name : `${name}-${hash(namespace) % count}`

const hash = (text: string): number => {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (hash * 31 + text.charCodeAt(i)) | 0
  return hash
}

/** The command that adds an entry to a stream, which keeps `maxLength` entries, about. */
export const addCommand = (stream: string, maxLength: number, fields: EntryFields): Command => [
  "XADD",
  stream,
  "MAXLEN",
  "~",
  String(maxLength),
  "*",
  ...Object.entries(fields).flat()
]

/** The same for a stream that keeps the entries from a time on, in milliseconds, about. */
export const addCommandSince = (stream: string, since: number, fields: EntryFields): Command => [
  "XADD",
  stream,
  "MINID",
  "~",
  String(Math.max(0, since)),
  "*",
  ...Object.entries(fields).flat()
]

export const make = (options: StreamsOptions): StreamsWire => {
  const { maxBytes = MAX_BYTES, namespace, onlyPlaintext = false, prefix, uid } = options
  const here = { uid, namespace }
  const anyone = { uid: "", namespace }
  const common = `${prefix}#${namespace}#`
  const channel = (uid: string) => `${common}${uid}#`
  return {
    common,
    own: channel(uid),
    stream: streamOf(namespace, options.streamName ?? "socket.io", options.streamCount ?? 1),
    goesByStream: ({ _tag }) => _tag === "Broadcast" || _tag === "Join" || _tag === "Leave" || _tag === "Disconnect",
    channelOf: () => common,
    encode: (message, number) => encode(Envelope.toEnvelope(here, message, number)),
    answerChannelOf: (to) => channel(to.uid ?? ""),
    encodeAnswer(to, answer, number) {
      const envelope = Envelope.answerToEnvelope(here, to, answer, number)
      return envelope && encode(envelope)
    },
    encodeBeat: (lanes, asks) => encode(Envelope.beat(here, lanes, asks)),
    encodeClosing: () => encode(Envelope.presence(here, "Closing")),
    encodeEntry: (message, number) =>
      toFields(Envelope.toEnvelope(here, message, number), !onlyPlaintext && mayHaveBinary(message)),
    encodeReadable: (message, number) =>
      toFields(Envelope.toEnvelope(here, message, number), !onlyPlaintext && mayHaveBinary(message), maxBytes),
    encodeBeatEntry: (lanes) => toFields(Envelope.beat(here, lanes), false),
    decode(body) {
      const decoded = decodeBody(body, maxBytes)
      return typeof decoded === "string"
        ? refused(decoded)
        : Envelope.fromEnvelope(decoded.value, here, decoded.hasBinary)
    },
    decodeEntry(fields, position, withOwn = false) {
      const uid = text(fields["uid"])
      const nsp = text(fields["nsp"])
      const type = text(fields["type"])
      const reader = withOwn ? anyone : here
      // Most entries of a shared stream are those of other namespaces: they are not decoded.
      const isOther = uid === reader.uid || nsp !== namespace
      const x = jsonField(fields["x"], maxBytes)
      if (isOther || type === undefined || !/^\d{1,9}$/.test(type)) {
        const entry = { type: isOther ? 0 : undefined, uid, nsp, x }
        return Envelope.fromEnvelope(entry, reader, false, { position })
      }
      const decoded = dataField(fields["data"], maxBytes)
      if (typeof decoded === "string") return refused(decoded)
      const entry = { type: Number(type), data: decoded.value, uid, nsp, x }
      return Envelope.fromEnvelope(entry, reader, decoded.hasBinary, { position, bytes: sizeOfEntry(fields) })
    },
    ownNumber: (fields) =>
      text(fields["uid"]) === uid ? Values.readExtension(jsonField(fields["x"], maxBytes))?.n : undefined
  }
}

/** With `maxBytes` it throws on data that servers would not read. */
const toFields = (
  { data, nsp, type, uid, x }: Envelope.Envelope,
  mayHaveBinary: boolean,
  maxBytes?: number
): EntryFields => ({
  uid,
  nsp,
  type: String(type),
  ...(data !== undefined && { data: encodeData(data, mayHaveBinary, maxBytes) }),
  ...(x !== undefined && { x: JSON.stringify(x) })
})

const encodeData = (data: unknown, mayHaveBinary: boolean, maxBytes: number | undefined): string => {
  if (mayHaveBinary && hasBinary(data)) {
    const bytes = encode(data)
    if (maxBytes !== undefined) {
      const decoded = decode(bytes, maxBytes)
      if (typeof decoded === "string") throw unreadable(decoded)
    }
    return bytes.toString("base64")
  }
  const json = JSON.stringify(data)
  const problem = maxBytes === undefined ? undefined : problemOfJson(json, maxBytes)
  if (problem !== undefined) throw unreadable(problem)
  return json
}

const unreadable = (problem: string): Error =>
  new Error(`no server would read this message from the stream: ${problem} (see maxMessageBytes for its length)`)

const text = (field: unknown): string | undefined =>
  typeof field === "string" ? field : field instanceof Uint8Array ? textOf(field) : undefined

const jsonField = (field: unknown, maxBytes: number): unknown => {
  const json = text(field)
  if (json === undefined) return undefined
  const decoded = decodeBody(json, maxBytes)
  return typeof decoded === "string" ? undefined : decoded.value
}

const NO_DATA = { value: undefined, hasBinary: false }

/** JSON begins with `{`. Anything else is base64. */
const dataField = (field: unknown, maxBytes: number) => {
  const data = text(field)
  if (data === undefined || data === "") return NO_DATA
  if (data.length > 2 * maxBytes) return "it is too long"
  return data.startsWith("{") ? decodeBody(data, maxBytes) : decode(Buffer.from(data, "base64"), maxBytes)
}
