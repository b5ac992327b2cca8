/**
 * The envelope of messages between servers that all newer official adapters share.
 *
 * **Details**
 *
 * An envelope is `{ type, data, uid, nsp, x }`. Types 1 to 13 and their data are those of official
 * servers. They ignore the rest, which is for servers of this library alone: the field `x` (see
 * `Extension`), and the types of `OwnType`, whose data is `{ requestId }` (but for a beat).
 *
 * @since 0.1.0
 */
import type { TraceContext } from "../TraceContext.ts"
import type { Selection } from "./Adapter.ts"
import type { ClusterAnswer, ClusterMessage, EventData, Question, RemoteFlags, Sender } from "./ClusterMessage.ts"
import { type LaneEnd, type Received, refused } from "./Received.ts"
import { fromRemote, toRemote } from "./RemoteDetails.ts"
import * as Values from "./WireValues.ts"

/**
 * A message with its fields in the order in which official servers write them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Envelope {
  readonly type: number
  readonly data?: Readonly<Record<string, unknown>>
  readonly uid: string
  readonly nsp: string
  readonly x?: Values.Extension
}

/**
 * A namespace of this server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Here {
  /** The id of this server in this namespace. */
  readonly uid: string
  readonly namespace: string
}

/**
 * A sign of life, in formats that know servers by such signs.
 *
 * @since 0.1.0
 * @category models
 */
export type Presence = "Started" | "Here" | "Closing"

const STARTED = 1
const HERE = 2
const BROADCAST = 3
const JOIN = 4
const LEAVE = 5
const DISCONNECT = 6
const FETCH = 7
const SOCKETS = 8
const SERVER_EVENT = 9
const ANSWERED = 10
const RECIPIENTS = 11
const ACKNOWLEDGED = 12
const CLOSING = 13

/**
 * Puts a message into an envelope. With `number`, it has this number on its lane. Messages of the
 * sender `emitter`, which is no server, have no fields of this library.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toEnvelope = (here: Here, message: ClusterMessage, number: number | undefined): Envelope => {
  switch (message._tag) {
    case "Broadcast": {
      const { atOnce, data, direct, flags, selection, trace } = message
      const x = { n: number, ...Values.writeTrace(trace), ...(direct && { d: 1 }), ...(atOnce && { o: 1 }) }
      return make(here, BROADCAST, { packet: { type: 2, data }, opts: options(selection, flags) }, x)
    }
    case "Question":
      return question(here, message.requestId, message.question, number)
    case "Join":
    case "Leave": {
      const { rooms, selection } = message
      const type = message._tag === "Join" ? JOIN : LEAVE
      return make(here, type, { opts: options(selection), rooms }, { n: number })
    }
    case "Disconnect": {
      const { close, selection } = message
      return make(here, DISCONNECT, { opts: options(selection), close }, { n: number })
    }
    case "Enter":
    case "Exit":
      return make(here, Values.OwnType[message._tag], { sid: message.sid, rooms: message.rooms }, { n: number })
    case "Taken":
      return make(here, Values.OwnType.Taken, { sid: message.sid, by: message.by }, { n: number })
    case "ServerEvent":
      return make(here, SERVER_EVENT, { packet: message.data }, { n: number, ...Values.writeTrace(message.trace) })
    case "Cancel":
    case "Ping":
      return make(here, Values.OwnType[message._tag], { requestId: message.requestId }, { n: number })
  }
}

const question = (here: Here, requestId: string, question: Question, number: number | undefined): Envelope => {
  switch (question._tag) {
    case "Ask": {
      const { data, flags, selection, timeout, trace } = question
      const opts = options(selection, flags, timeout)
      const x = { n: number, ...Values.writeTrace(trace) }
      return make(here, BROADCAST, { packet: { type: 2, data }, requestId, opts }, x)
    }
    case "Fetch":
      return make(here, FETCH, { opts: options(question.selection), requestId }, { n: number })
    case "Count":
      return make(here, FETCH, { opts: options(question.selection), requestId }, { n: number, c: 1 })
    case "ServerEvent":
      return make(
        here,
        SERVER_EVENT,
        { requestId, packet: question.data },
        { n: number, ...Values.writeTrace(question.trace) }
      )
  }
}

/**
 * Puts an answer into an envelope. Gives `undefined` for an answer that an official asker does not
 * understand: it needs none.
 *
 * @since 0.1.0
 * @category conversions
 */
export const answerToEnvelope = (
  here: Here,
  to: Sender,
  answer: ClusterAnswer,
  number: number | undefined
): Envelope | undefined => {
  const { requestId } = answer
  const reply = (type: number, data: Envelope["data"], x?: Values.Extension) =>
    make(here, type, data, to.native ? { n: number, ...x } : undefined)
  switch (answer._tag) {
    case "Sockets":
      return reply(SOCKETS, { requestId, sockets: answer.sockets.map(toRemote) })
    case "Counted":
      return to.native ? reply(SOCKETS, { requestId, sockets: [] }, { c: answer.count }) : undefined
    case "Recipients":
      return reply(RECIPIENTS, { requestId, clientCount: answer.count })
    case "Acknowledged": {
      const { args, sid } = answer.acknowledgement
      return reply(ACKNOWLEDGED, { requestId, packet: args[0] }, { s: sid, a: Values.furtherArgs(args) })
    }
    case "Answered": {
      const { args } = answer
      if (args !== undefined) return reply(ANSWERED, { requestId, packet: args[0] }, { a: Values.furtherArgs(args) })
      return to.native ? reply(Values.OwnType.Declined, { requestId }) : undefined
    }
    case "RecipientLeft":
    case "Alive":
      return to.native ? reply(Values.OwnType[answer._tag], { requestId }) : undefined
  }
}

/**
 * A beat: it tells the last numbers of this server's lanes, 10,000 at most.
 *
 * @since 0.1.0
 * @category constructors
 */
export const beat = (here: Here, lanes: ReadonlyArray<LaneEnd>): Envelope =>
  make(here, Values.OwnType.Beat, undefined, { l: lanes })

/**
 * A sign of life, in formats that know servers by such signs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const presence = (here: Here, presence: Presence): Envelope =>
  make(here, presence === "Started" ? STARTED : presence === "Here" ? HERE : CLOSING, undefined, {})

const make = (here: Here, type: number, data: Envelope["data"], x: Values.Extension | undefined): Envelope => {
  const { namespace: nsp, uid } = here
  if (data === undefined) return { type, uid, nsp, x: x ?? {} }
  return x === undefined || uid === Values.EMITTER ? { type, data, uid, nsp } : { type, data, uid, nsp, x }
}

const options = ({ except, rooms }: Selection, flags?: RemoteFlags, timeout?: number) => ({
  rooms,
  except,
  flags: Values.writeFlags(flags, timeout)
})

/**
 * Reads an envelope. It never throws, whatever the value is.
 *
 * **Details**
 *
 * `mayHaveBinary` says whether bytes may be in the value; `false` for JSON. `place` is
 * where the message is in a log, and its size there.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromEnvelope = (
  value: unknown,
  here: Here,
  mayHaveBinary: boolean,
  place: Pick<Sender, "position" | "bytes"> = { position: undefined }
): Received => {
  if (!Values.isRecord(value)) return refused("it is not an object")
  const { nsp, type, uid, x } = value
  if (!Values.isCount(type)) return refused("it has no type")
  if (uid !== undefined && uid !== null && !Values.isId(uid)) return refused("the sender has no id")
  const extension = Values.readExtension(x)
  const from: Sender = { uid: uid ?? undefined, native: extension !== undefined, ...place }
  const number = extension?.n
  if (uid === here.uid || nsp !== here.namespace) return { _tag: "Ignored", from, number: undefined }
  if (type === Values.OwnType.Beat) {
    const lanes = extension?.l
    return lanes === undefined ? refused("a beat without lanes") : { _tag: "Beat", from, lanes }
  }
  const presence = presences[type]
  if (presence !== undefined) {
    return from.uid === undefined
      ? refused("a sign of life without a sender")
      : { _tag: "Presence", from, number, presence }
  }
  const data = Values.isRecord(value["data"]) ? value["data"] : {}
  if (isAnswer(type)) {
    const answer = readAnswer(type, data, extension)
    return typeof answer === "string" ? refused(answer) : { _tag: "Answer", from, number, answer }
  }
  if (!isMessage(type)) return { _tag: "Ignored", from, number }
  const message = readMessage(type, data, extension, mayHaveBinary)
  return typeof message === "string" ? refused(message) : { _tag: "Message", from, number, message }
}

const presences: { readonly [type: number]: Presence } = { [STARTED]: "Started", [HERE]: "Here", [CLOSING]: "Closing" }

const isMessage = (type: number): boolean =>
  (type >= BROADCAST && type <= FETCH) ||
  type === SERVER_EVENT ||
  type === Values.OwnType.Cancel ||
  type === Values.OwnType.Ping ||
  (type >= Values.OwnType.Enter && type <= Values.OwnType.Taken)

const isAnswer = (type: number): boolean =>
  type === SOCKETS ||
  (type >= ANSWERED && type <= ACKNOWLEDGED) ||
  (type >= Values.OwnType.Alive && type <= Values.OwnType.Declined)

/** Returns the problem if the data is wrong. */
const readMessage = (
  type: number,
  data: Readonly<Record<string, unknown>>,
  extension: Values.Extension | undefined,
  mayHaveBinary: boolean
): ClusterMessage | string => {
  const requestId = data["requestId"] ?? undefined
  if (requestId !== undefined && !Values.isId(requestId)) return "the id of a question is none"
  if (type === SERVER_EVENT) {
    const event = Values.readEvent(data["packet"])
    if (event === undefined) return "an event between servers without a name"
    return serverEvent(requestId, event, Values.readTrace(extension))
  }
  if (type >= Values.OwnType.Enter) return readOfOne(type, data)
  if (type >= Values.OwnType.Cancel) {
    if (requestId === undefined) return "a message without the id of a question"
    return { _tag: type === Values.OwnType.Cancel ? "Cancel" : "Ping", requestId }
  }
  const opts = data["opts"]
  const selection = Values.readSelection(opts)
  if (selection === undefined) return "a selection without rooms"
  switch (type) {
    case BROADCAST: {
      const event = Values.readPacket(data["packet"])
      if (event === undefined) return "a broadcast without an event"
      const trace = Values.readTrace(extension)
      const options = opts as Readonly<Record<string, unknown>>
      const read = broadcast(requestId, event, selection, options, mayHaveBinary, trace)
      const isPlain = read._tag !== "Broadcast" || (extension?.d !== 1 && extension?.o !== 1)
      return isPlain ? read : { ...read, direct: extension?.d === 1, atOnce: extension?.o === 1 }
    }
    case JOIN:
    case LEAVE: {
      const rooms = Values.readRooms(data["rooms"])
      if (rooms === undefined) return "names of rooms that are no texts"
      return { _tag: type === JOIN ? "Join" : "Leave", selection, rooms }
    }
    case DISCONNECT: {
      const close = data["close"] ?? false
      return typeof close === "boolean" ? { _tag: "Disconnect", selection, close } : "a disconnection of no known kind"
    }
    default:
      if (requestId === undefined) return "a fetch without an id"
      return { _tag: "Question", requestId, question: { _tag: extension?.c === 1 ? "Count" : "Fetch", selection } }
  }
}

/** Reads a message about one socket. */
const readOfOne = (
  type: number,
  { by, rooms: names, sid }: Readonly<Record<string, unknown>>
): ClusterMessage | string => {
  if (!Values.isId(sid)) return "a socket without an id"
  if (type === Values.OwnType.Taken) return Values.isId(by) ? { _tag: "Taken", sid, by } : "a session without an owner"
  const rooms = Values.readRooms(names)
  if (rooms === undefined) return "names of rooms that are no texts"
  return { _tag: type === Values.OwnType.Enter ? "Enter" : "Exit", sid, rooms }
}

/**
 * An event between servers that has been read, or with a `requestId` the question for its answers.
 *
 * @since 0.1.0
 * @category constructors
 */
export const serverEvent = (
  requestId: string | undefined,
  data: EventData,
  trace: TraceContext | undefined
): ClusterMessage => {
  const event = { _tag: "ServerEvent", data, ...(trace !== undefined && { trace }) } as const
  return requestId === undefined ? event : { _tag: "Question", requestId, question: event }
}

/**
 * A broadcast that has been read, or with a `requestId` the question for its acknowledgements.
 *
 * @since 0.1.0
 * @category constructors
 */
export const broadcast = (
  requestId: string | undefined,
  data: EventData,
  selection: Selection,
  opts: Readonly<Record<string, unknown>>,
  mayHaveBinary: boolean,
  trace?: TraceContext | undefined
): ClusterMessage => {
  const flags = Values.readFlags(opts)
  const common = { data, mayHaveBinary, selection, flags, ...(trace !== undefined && { trace }) }
  if (requestId === undefined) return { _tag: "Broadcast", ...common }
  const timeout = Values.readTimeout(opts)
  return { _tag: "Question", requestId, question: { _tag: "Ask", ...common, timeout } }
}

/** Returns the problem if the data is wrong. */
const readAnswer = (
  type: number,
  data: Readonly<Record<string, unknown>>,
  extension: Values.Extension | undefined
): ClusterAnswer | string => {
  const { requestId } = data
  if (!Values.isId(requestId)) return "an answer without the id of its question"
  switch (type) {
    case SOCKETS:
      return readSockets(requestId, data["sockets"], extension)
    case ANSWERED:
      return { _tag: "Answered", requestId, args: Values.readArgs(data["packet"], extension) }
    case RECIPIENTS: {
      const count = data["clientCount"]
      return Values.isCount(count) ? { _tag: "Recipients", requestId, count } : "a count that is none"
    }
    case ACKNOWLEDGED: {
      const args = Values.readArgs(data["packet"], extension)
      return { _tag: "Acknowledged", requestId, acknowledgement: { sid: extension?.s, args } }
    }
    case Values.OwnType.Declined:
      return { _tag: "Answered", requestId, args: undefined }
    default:
      return { _tag: type === Values.OwnType.Alive ? "Alive" : "RecipientLeft", requestId }
  }
}

/**
 * Reads the answer to a fetch: sockets, or for a server of this library a count. Returns the
 * problem if it is wrong.
 *
 * @since 0.1.0
 * @category conversions
 */
export const readSockets = (
  requestId: string,
  sockets: unknown,
  extension: Values.Extension | undefined
): ClusterAnswer | string => {
  if (!Array.isArray(sockets)) return "an answer without sockets"
  if (sockets.length === 0 && extension?.c !== undefined) return { _tag: "Counted", requestId, count: extension.c }
  const details = []
  for (const socket of sockets) {
    const read = fromRemote(socket)
    if (read === undefined) return "a socket without an id or rooms"
    details.push(read)
  }
  return { _tag: "Sockets", requestId, sockets: details }
}
