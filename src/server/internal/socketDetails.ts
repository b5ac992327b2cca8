import type { SocketDetails } from "../../adapter/Adapter.ts"
import type { ConnectionDetails } from "../../engine/EngineRequest.ts"
import type { Handshake } from "../../Handshake.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import { getOrThrow } from "../../internal/contractCodec.ts"

// The values that the application and other servers read of a socket: its handshake and its data.

export type Data = Readonly<Record<string, unknown>>

/** The handshake of a socket: that of its connection, with its own auth payload. */
export const handshakeOf = (details: ConnectionDetails, auth: Handshake["auth"]): Handshake => {
  const { address, issued, query, secure, url } = details
  return {
    // Hundreds of them are parsed each time.
    get headers() {
      return details.headers
    },
    query,
    url,
    address,
    secure,
    issued,
    // Rarely used, and a microsecond of work.
    get time() {
      return new Date(issued).toString()
    },
    get xdomain() {
      return Boolean(details.headers.origin)
    },
    auth
  }
}

/** A socket, as it is described. */
export interface Described {
  readonly id: string
  readonly handshake: Handshake
  /** The rooms without that of the id; `undefined` is none. */
  readonly roomsNow: ReadonlySet<string> | undefined
  readonly encodedData: Data
}

/** A copy of the current state: other servers may read it later. */
export const detailsOf = ({ encodedData, handshake, id, roomsNow }: Described): SocketDetails => {
  const rooms = new Set([id])
  for (const room of roomsNow ?? []) rooms.add(room)
  return { id, handshake, rooms, data: encodedData }
}

/** Data as the contract encodes them; fields that it does not declare stay as they are. */
export const encodeData = (contract: CompiledContract | undefined, data: Data): Data => {
  const codecs = contract?.data
  if (codecs === undefined || codecs.size === 0) return data
  const encoded: Record<string, unknown> = {}
  for (const field of Object.keys(data)) {
    // A field that is taken away has no type.
    if (data[field] === undefined) continue
    const codec = codecs.get(field)
    encoded[field] = codec === undefined ? data[field] : getOrThrow(codec.encode(data[field]), `data "${field}"`)
  }
  return encoded
}

/** The data with changes; a field that becomes `undefined` is taken away. */
export const withChanges = (data: Data, changes: Data): Data => {
  const next: Record<string, unknown> = { ...data, ...changes }
  for (const field of Object.keys(changes)) if (changes[field] === undefined) delete next[field]
  return next
}

/** Throws on a field that the contract does not declare. */
export const checkDeclared = (contract: CompiledContract | undefined, namespace: string, data: Data): void => {
  const undeclared = Object.keys(data).find((field) => !contract?.data.has(field))
  if (undeclared === undefined) return
  throw new Error(`"${undeclared}" is not among the data of sockets in "${namespace}"`)
}
