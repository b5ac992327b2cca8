/**
 * The details of sockets in the form that official servers send to each other, and back.
 *
 * @since 0.1.0
 */
import type { Handshake } from "../Handshake.ts"
import type { SocketDetails } from "./Adapter.ts"
import { isRecord, readRooms } from "./WireValues.ts"

/**
 * A socket in an official answer to `fetchSockets`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RemoteDetails {
  readonly id: string
  readonly handshake: {
    readonly headers: Readonly<Record<string, string>>
    readonly time: string
    readonly address: string
    readonly xdomain: boolean
    readonly secure: boolean
    readonly issued: number
    readonly url: string
    readonly query: Readonly<Record<string, string>>
    readonly auth: Readonly<Record<string, unknown>>
  }
  /** The room of the socket's own id comes first. */
  readonly rooms: ReadonlyArray<string>
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * Brings details into the official form.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toRemote = ({ data, handshake, id, rooms }: SocketDetails): RemoteDetails => {
  const { address, auth, headers, issued, query, secure, time, url, xdomain } = handshake
  return {
    id,
    handshake: { headers, time, address, xdomain, secure, issued, url, query: Object.fromEntries(query), auth },
    rooms: [id, ...[...rooms].filter((room) => room !== id)],
    data
  }
}

/**
 * Reads details in the official form, which may be hostile. Gives `undefined` without an id or
 * rooms. Any other field that is absent or of another type gets its empty value.
 *
 * **Details**
 *
 * Several values of a header are joined by `, `; of a repeated query parameter the last one counts.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromRemote = (value: unknown): SocketDetails | undefined => {
  if (!isRecord(value)) return undefined
  const { data, handshake, id } = value
  const rooms = readRooms(value["rooms"])
  if (typeof id !== "string" || rooms === undefined) return undefined
  return {
    id,
    handshake: readHandshake(isRecord(handshake) ? handshake : {}),
    rooms: new Set([id, ...rooms]),
    data: isRecord(data) ? data : {}
  }
}

const readHandshake = (value: Readonly<Record<string, unknown>>): Handshake => {
  const { address, auth, headers, issued, query, secure, time, url, xdomain } = value
  return {
    headers: Object.fromEntries(texts(headers, (values) => values.join(", "))),
    query: new Map(texts(query, (values) => values.at(-1)!)),
    url: text(url),
    address: text(address),
    secure: secure === true,
    issued: typeof issued === "number" && Number.isFinite(issued) ? issued : 0,
    time: text(time),
    xdomain: xdomain === true,
    auth: isRecord(auth) ? auth : {}
  }
}

const text = (value: unknown): string => (typeof value === "string" ? value : "")

/**
 * The headers and parameters that are read of a socket. Node's servers take no request with more.
 */
const MAX_TEXTS = 2_000

/** The members that are texts, or lists with texts in them. */
const texts = (value: unknown, join: (values: ReadonlyArray<string>) => string): Array<[string, string]> => {
  const entries: Array<[string, string]> = []
  if (!isRecord(value)) return entries
  for (const name of Object.keys(value)) {
    if (entries.length >= MAX_TEXTS) break
    const member = value[name]
    if (typeof member === "string") entries.push([name, member])
    else if (Array.isArray(member)) {
      const values = member.filter((item) => typeof item === "string")
      if (values.length > 0) entries.push([name, join(values)])
    }
  }
  return entries
}
