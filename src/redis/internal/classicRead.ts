/**
 * Reads the format of `createAdapter` of `@socket.io/redis-adapter`, and of
 * `@socket.io/redis-emitter`.
 */
import type { ClusterAnswer, ClusterMessage, Sender } from "../../adapter/ClusterMessage.ts"
import { broadcast, type Here, readSockets, serverEvent } from "../../adapter/Envelope.ts"
import { beat as readBeat, type Received, refused } from "../../adapter/Received.ts"
import * as Values from "../../adapter/WireValues.ts"
import { ClassicType } from "./classicTypes.ts"
import { type Body, decode, decodeBody, MAX_BYTES } from "./msgpack.ts"
import type { WireOptions } from "./wire.ts"

/** The head and the tail of a broadcast, read without decoding it. */
export interface BroadcastHead {
  readonly uid: string
  readonly native: boolean
  readonly number: number | undefined
}

/**
 * Requests that only official servers of earlier versions make.
 *
 * - `SocketIds`: the ids of this server's sockets in `rooms`; `encodeSocketIds` answers.
 * - `AllRooms`: this server's rooms, those of socket ids included; `encodeRooms` answers.
 * - `One`: the message is for one socket, `sid`. Only the server that has it acts, and answers with
 *   `encodeDone` if there is a `requestId`.
 */
export type LegacyRequest =
  | {
      readonly _tag: "SocketIds"
      readonly from: Sender
      readonly requestId: string
      readonly rooms: ReadonlyArray<string>
    }
  | { readonly _tag: "AllRooms"; readonly from: Sender; readonly requestId: string }
  | {
      readonly _tag: "One"
      readonly from: Sender
      readonly requestId: string | undefined
      readonly sid: string
      readonly message: ClusterMessage
    }

type Fields = Readonly<Record<string, unknown>>

const OFFICIAL = 0x93
const NATIVE = 0x94
const UINT64 = 0xcf
/** Longer ids of senders are left to decoding. */
const MAX_HEAD_ID = 64
/** The bytes of a number at the end of a broadcast. */
const TAIL = 9

/**
 * Reads the sender at the head of a broadcast and the number at its tail. Both have fixed places,
 * so a message for a room without members here costs no more than this.
 */
export const readHead = (body: Uint8Array): BroadcastHead | undefined => {
  const native = body[0] === NATIVE
  if (!native && body[0] !== OFFICIAL) return undefined
  const head = body[1]!
  const start = head === 0xd9 ? 3 : 2
  const length = head === 0xd9 ? body[2]! : head - 0xa0
  const tail = body.length - (native ? TAIL : 0)
  if (!(length > 0 && (head === 0xd9 || length < 32)) || start + length > tail) return undefined
  let uid = ""
  if (length > MAX_HEAD_ID) return undefined
  for (let i = start; i < start + length; i++) {
    if (body[i]! > 0x7f) return undefined
    uid += String.fromCharCode(body[i]!)
  }
  if (!native) return { uid, native, number: undefined }
  if (body[tail] !== UINT64) return undefined
  const number = uint32(body, tail + 1) * 4_294_967_296 + uint32(body, tail + 5)
  if (!Number.isSafeInteger(number)) return undefined
  return { uid, native, number: number === 0 ? undefined : number }
}

const uint32 = (bytes: Uint8Array, at: number): number =>
  bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)

export const makeReader = ({ maxBytes = MAX_BYTES, namespace, uid }: WireOptions) => {
  const here: Here = { uid, namespace }
  return {
    decodeBroadcast: (body: Uint8Array) => decodeBroadcast(body, here, maxBytes),
    decodeRequest: (body: Body) => decodeRequest(body, here, maxBytes),
    decodeResponse: (body: Body) => decodeResponse(body, here, maxBytes)
  }
}

const decodeBroadcast = (body: Uint8Array, here: Here, maxBytes: number): Received => {
  const decoded = decode(body, maxBytes)
  if (typeof decoded === "string") return refused(decoded)
  if (!Array.isArray(decoded.value)) return refused("a broadcast that is no list")
  const [uid, packet, opts, tail] = decoded.value as Array<unknown>
  const from = readSender(uid, Values.isCount(tail))
  if (from === undefined) return refused("the sender has no id")
  const number = from.native && tail !== 0 ? (tail as number) : undefined
  if (from.uid === here.uid) return { _tag: "Ignored", from, number: undefined }
  if (!Values.isRecord(packet)) return refused("a broadcast without a packet")
  if ((packet["nsp"] ?? "/") !== here.namespace) return { _tag: "Ignored", from, number: undefined }
  const event = Values.readPacket(packet)
  if (event === undefined) return refused("a broadcast without an event")
  const selection = Values.readSelection(opts)
  if (selection === undefined) return refused("a selection without rooms")
  const options = opts as Fields
  const trace = options["x"] === undefined ? undefined : Values.readTrace(Values.readExtension(options["x"]))
  const message = broadcast(undefined, event, selection, options, decoded.hasBinary, trace)
  return { _tag: "Message", from, number, message }
}

const decodeRequest = (body: Body, here: Here, maxBytes: number): Received | LegacyRequest => {
  const decoded = decodeBody(body, maxBytes)
  if (typeof decoded === "string") return refused(decoded)
  const { hasBinary, value } = decoded
  if (!Values.isRecord(value)) return refused("it is not an object")
  const { type, uid, x } = value
  if (!Values.isCount(type)) return refused("it has no type")
  const extension = Values.readExtension(x)
  const from = readSender(uid, extension !== undefined)
  if (from === undefined) return refused("the sender has no id")
  const number = extension?.n
  if (from.uid === here.uid) return { _tag: "Ignored", from, number }
  if (type === Values.OwnType.Beat) return readBeat(from, extension?.l, extension?.q)
  if (type === Values.OwnType.Closing && from.uid !== undefined) {
    return { _tag: "Presence", from, number, presence: "Closing" }
  }
  const request = readRequest(type, value, extension, from, here, hasBinary)
  if (typeof request === "string") return refused(request)
  if (request === undefined) return { _tag: "Ignored", from, number }
  return "from" in request ? request : { _tag: "Message", from, number, message: request }
}

/**
 * Returns the problem if the request is wrong, and `undefined` if it is of an unknown type or of
 * another namespace.
 */
const readRequest = (
  type: number,
  fields: Fields,
  extension: Values.Extension | undefined,
  from: Sender,
  here: Here,
  hasBinary: boolean
): ClusterMessage | LegacyRequest | string | undefined => {
  const { opts } = fields
  const requestId = fields["requestId"] ?? undefined
  if (requestId !== undefined && !Values.isId(requestId)) return "the id of a question is none"
  switch (type) {
    case ClassicType.Join:
    case ClassicType.Leave:
    case ClassicType.Disconnect:
      return readChange(type, fields, requestId, from)
    case ClassicType.ServerEvent: {
      const data = Values.readEvent(fields["data"])
      if (data === undefined) return "an event between servers without a name"
      return serverEvent(requestId, data, Values.readTrace(extension))
    }
  }
  const known = type <= ClassicType.Ask || type === Values.OwnType.Cancel || type === Values.OwnType.Ping
  if (!known) return undefined
  if (requestId === undefined) return "a question without an id"
  switch (type) {
    case ClassicType.SocketIds: {
      const rooms = Values.readRooms(fields["rooms"])
      return rooms === undefined ? "names of rooms that are no texts" : { _tag: "SocketIds", from, requestId, rooms }
    }
    case ClassicType.AllRooms:
      return { _tag: "AllRooms", from, requestId }
    case Values.OwnType.Cancel:
      return { _tag: "Cancel", requestId }
    case Values.OwnType.Ping:
      return { _tag: "Ping", requestId }
  }
  const selection = Values.readSelection(opts)
  if (selection === undefined) return "a selection without rooms"
  if (type === ClassicType.Fetch) {
    return { _tag: "Question", requestId, question: { _tag: extension?.c === 1 ? "Count" : "Fetch", selection } }
  }
  const { packet } = fields
  if (Values.isRecord(packet) && (packet["nsp"] ?? here.namespace) !== here.namespace) return undefined
  const event = Values.readPacket(packet)
  if (event === undefined) return "a broadcast without an event"
  return broadcast(requestId, event, selection, opts as Fields, hasBinary, Values.readTrace(extension))
}

/** Reads a join, a leave or a disconnection, in the form of today or for one socket alone. */
const readChange = (
  type: number,
  fields: Fields,
  requestId: string | undefined,
  from: Sender
): ClusterMessage | LegacyRequest | string => {
  const { opts, room, sid } = fields
  const isLegacy = (opts ?? undefined) === undefined
  if (isLegacy && typeof sid !== "string") return "a change without a selection"
  const selection = isLegacy ? { rooms: [sid as string], except: [] } : Values.readSelection(opts)
  if (selection === undefined) return "a selection without rooms"
  let message: ClusterMessage
  if (type === ClassicType.Disconnect) {
    const close = fields["close"] ?? false
    if (typeof close !== "boolean") return "a disconnection of no known kind"
    message = { _tag: "Disconnect", selection, close }
  } else {
    const rooms = Values.readRooms(isLegacy ? [room] : fields["rooms"])
    if (rooms === undefined) return "names of rooms that are no texts"
    message = { _tag: type === ClassicType.Join ? "Join" : "Leave", selection, rooms }
  }
  return isLegacy ? { _tag: "One", from, requestId, sid: sid as string, message } : message
}

const decodeResponse = (body: Body, here: Here, maxBytes: number): Received => {
  const decoded = decodeBody(body, maxBytes)
  if (typeof decoded === "string") return refused(decoded)
  const { value } = decoded
  if (!Values.isRecord(value)) return refused("it is not an object")
  const extension = Values.readExtension(value["x"])
  const from: Sender = { uid: extension?.u, native: extension !== undefined }
  const number = extension?.n
  if (from.uid === here.uid) return { _tag: "Ignored", from, number }
  const answer = readAnswer(value, extension)
  if (typeof answer === "string") return refused(answer)
  return answer === undefined ? { _tag: "Ignored", from, number } : { _tag: "Answer", from, number, answer }
}

/**
 * Returns the problem if the answer is wrong, and `undefined` if it is to a question that is never
 * asked here.
 */
const readAnswer = (fields: Fields, extension: Values.Extension | undefined): ClusterAnswer | string | undefined => {
  const { requestId, sockets, type } = fields
  if (!Values.isId(requestId)) return "an answer without the id of its question"
  switch (type ?? undefined) {
    case undefined:
      // The other answers without a type are those to legacy requests.
      if (sockets === undefined || (Array.isArray(sockets) && typeof sockets[0] === "string")) return undefined
      return readSockets(requestId, sockets, extension)
    case ClassicType.ServerEvent:
      return { _tag: "Answered", requestId, args: Values.readArgs(fields["data"], extension) }
    case ClassicType.Recipients: {
      const { clientCount } = fields
      return Values.isCount(clientCount)
        ? { _tag: "Recipients", requestId, count: clientCount }
        : "a count that is none"
    }
    case ClassicType.Acknowledged: {
      const args = Values.readArgs(fields["packet"], extension)
      return { _tag: "Acknowledged", requestId, acknowledgement: { sid: extension?.s, args } }
    }
    case Values.OwnType.Declined:
      return { _tag: "Answered", requestId, args: undefined }
    case Values.OwnType.Alive:
      return { _tag: "Alive", requestId }
    case Values.OwnType.RecipientLeft:
      return { _tag: "RecipientLeft", requestId }
    default:
      return undefined
  }
}

/** Emitters may leave out their name. */
const readSender = (uid: unknown, native: boolean): Sender | undefined =>
  Values.isId(uid) ? { uid, native } : uid === undefined || uid === null ? { uid: undefined, native } : undefined
