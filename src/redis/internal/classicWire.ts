/**
 * Writes the format of `createAdapter` of `@socket.io/redis-adapter`. `classicRead.ts` reads it.
 *
 * Our own fields, which official servers ignore, are a fourth element of broadcasts, the message's
 * number (0: none), and a last member `x` of requests and answers to servers of ours (see
 * `Extension`). Requests and answers of the types of `OwnType` are ours alone.
 */
import { answerMayHaveBinary, mayHaveBinary } from "../../adapter/ClusterMessage.ts"
import type { Selection } from "../../adapter/Adapter.ts"
import type { ClusterAnswer, ClusterMessage, Question, Sender } from "../../adapter/ClusterMessage.ts"
import type { Received } from "../../adapter/Received.ts"
import { toRemote } from "../../adapter/RemoteDetails.ts"
import * as Values from "../../adapter/WireValues.ts"
import { uint64 } from "../../protocol/MessagePack.ts"
import { type BroadcastHead, type LegacyRequest, makeReader, readHead } from "./classicRead.ts"
import { ClassicType } from "./classicTypes.ts"
import { encode, hasBinary } from "./msgpack.ts"
import { type Body, type PubSubWire, type WireOptions } from "./wire.ts"

export type { BroadcastHead, LegacyRequest } from "./classicRead.ts"

export interface ClassicChannels {
  /** Broadcasts without a single room. A room's channel adds `<room>#`. */
  readonly broadcast: string
  /**
   * The pattern of all channels of broadcasts. The namespace is escaped: clients choose the names
   * of dynamic ones, and a name with many asterisks would keep Redis busy.
   */
  readonly pattern: string
  readonly request: string
  /** Answers to all. */
  readonly response: string
  /** Answers to this server. */
  readonly ownResponse: string
}

/**
 * A join, a leave and a disconnection of official servers are for their sender, too: it acts
 * itself.
 */
export interface ClassicWire extends PubSubWire {
  readonly channels: ClassicChannels
  readonly roomChannel: (room: string) => string
  /** The room of a channel of broadcasts: "" for all, `undefined` if it is another channel. */
  readonly roomOf: (channel: string) => string | undefined
  /** Reads sender and number without decoding. `undefined`: only decoding tells. */
  readonly readHead: (body: Uint8Array) => BroadcastHead | undefined
  readonly decodeBroadcast: (body: Uint8Array) => Received
  readonly decodeRequest: (body: Body) => Received | LegacyRequest
  /** Answers of official servers do not say their sender. */
  readonly decodeResponse: (body: Body) => Received
  readonly encodeSocketIds: (requestId: string, sids: ReadonlyArray<string>) => Body
  readonly encodeRooms: (requestId: string, rooms: ReadonlyArray<string>) => Body
  readonly encodeDone: (requestId: string) => Body
}

export const make = (options: WireOptions): ClassicWire => {
  const { namespace, prefix, uid } = options
  const channels: ClassicChannels = {
    broadcast: `${prefix}#${namespace}#`,
    pattern: `${escaped(`${prefix}#${namespace}#`)}*`,
    request: `${prefix}-request#${namespace}#`,
    response: `${prefix}-response#${namespace}#`,
    ownResponse: `${prefix}-response#${namespace}#${uid}#`
  }
  const roomChannel = (room: string) => `${channels.broadcast}${room}#`
  return {
    ...makeReader(options),
    channels,
    roomChannel,
    roomOf(channel) {
      if (!channel.startsWith(channels.broadcast)) return undefined
      return channel.slice(channels.broadcast.length, -1)
    },
    readHead,
    channelOf(message) {
      if (message._tag !== "Broadcast") return channels.request
      const { rooms } = message.selection
      return rooms.length === 1 ? roomChannel(rooms[0]!) : channels.broadcast
    },
    encode: (message, number) =>
      message._tag === "Broadcast"
        ? encode([uid, packet(message.data, namespace), optionsOf(message), uint64(number ?? 0)])
        : encodeRequest(uid, namespace, message, number),
    answerChannelOf(to, answer) {
      // Official servers answer events on the common channel only, and hear each other on both.
      if (to.uid === undefined || (answer._tag === "Answered" && !to.native)) return channels.response
      return `${channels.response}${to.uid}#`
    },
    encodeAnswer: (to, answer, number) => encodeAnswer(uid, to, answer, number),
    encodeBeat: (lanes, asks) => JSON.stringify({ uid, type: Values.OwnType.Beat, x: { l: lanes, q: asks } }),
    encodeClosing: () => JSON.stringify({ uid, type: Values.OwnType.Closing, x: {} }),
    encodeSocketIds: (requestId, sockets) => JSON.stringify({ requestId, sockets }),
    encodeRooms: (requestId, rooms) => JSON.stringify({ requestId, rooms }),
    encodeDone: (requestId) => JSON.stringify({ requestId })
  }
}

const escaped = (text: string): string => text.replace(/[*?[\]\\]/g, "\\$&")

const packet = (data: ReadonlyArray<unknown>, nsp: string) => ({ type: 2, data, nsp })

const flagged = ({ except, rooms }: Selection, flags: Parameters<typeof Values.writeFlags>[0], timeout?: number) => ({
  rooms,
  except,
  flags: Values.writeFlags(flags, timeout)
})

/**
 * The options of a broadcast. A trace context is among them, as the message's number has to be at
 * its end.
 */
const optionsOf = ({ flags, selection, trace }: Extract<ClusterMessage, { readonly _tag: "Broadcast" }>) => {
  const options = flagged(selection, flags)
  return trace === undefined ? options : { ...options, x: Values.writeTrace(trace) }
}

/** The same without flags. */
const plain = ({ except, rooms }: Selection) => ({ rooms, except })

type Request = Exclude<ClusterMessage, { readonly _tag: "Broadcast" }>

const encodeRequest = (uid: string, namespace: string, message: Request, number: number | undefined): Body => {
  const x: Values.Extension = { n: number }
  switch (message._tag) {
    case "Join":
    case "Leave":
      return JSON.stringify({
        uid,
        type: ClassicType[message._tag],
        opts: plain(message.selection),
        rooms: message.rooms,
        x
      })
    case "Disconnect":
      return JSON.stringify({
        uid,
        type: ClassicType.Disconnect,
        opts: plain(message.selection),
        close: message.close,
        x
      })
    case "Enter":
    case "Exit":
    case "Taken":
      // They belong to a log, which this format has not.
      return JSON.stringify({ uid, type: Values.OwnType[message._tag], x })
    case "ServerEvent":
      return text(
        { uid, type: ClassicType.ServerEvent, data: message.data, x: { ...x, ...Values.writeTrace(message.trace) } },
        mayHaveBinary(message)
      )
    case "Cancel":
    case "Ping":
      return JSON.stringify({ uid, requestId: message.requestId, type: Values.OwnType[message._tag], x })
    case "Question":
      return encodeQuestion(uid, message.requestId, namespace, message.question, x)
  }
}

const encodeQuestion = (
  uid: string,
  requestId: string,
  namespace: string,
  question: Question,
  x: Values.Extension
): Body => {
  switch (question._tag) {
    case "Ask": {
      const { data, flags, selection, timeout, trace } = question
      const opts = flagged(selection, flags, timeout)
      const extension = { ...x, ...Values.writeTrace(trace) }
      return encode({ uid, requestId, type: ClassicType.Ask, packet: packet(data, namespace), opts, x: extension })
    }
    case "Fetch":
      return JSON.stringify({ uid, requestId, type: ClassicType.Fetch, opts: plain(question.selection), x })
    case "Count":
      return JSON.stringify({
        uid,
        requestId,
        type: ClassicType.Fetch,
        opts: plain(question.selection),
        x: { ...x, c: 1 }
      })
    case "ServerEvent": {
      const extension = { ...x, ...Values.writeTrace(question.trace) }
      return text({ uid, requestId, type: ClassicType.ServerEvent, data: question.data, x: extension }, true)
    }
  }
}

const encodeAnswer = (uid: string, to: Sender, answer: ClusterAnswer, number: number | undefined): Body | undefined => {
  const { requestId } = answer
  const extension = (fields?: Values.Extension): Values.Extension | undefined =>
    to.native ? { u: uid, n: number, ...fields } : undefined
  switch (answer._tag) {
    case "Sockets": {
      const sockets = answer.sockets.map(toRemote)
      return text({ requestId, sockets, x: extension() }, answerMayHaveBinary(answer))
    }
    case "Counted":
      return to.native ? JSON.stringify({ requestId, sockets: [], x: extension({ c: answer.count }) }) : undefined
    case "Recipients":
      return JSON.stringify({ type: ClassicType.Recipients, requestId, clientCount: answer.count, x: extension() })
    case "Acknowledged": {
      const { args, sid } = answer.acknowledgement
      const x = extension({ s: sid, a: Values.furtherArgs(args) })
      return encode({ type: ClassicType.Acknowledged, requestId, packet: args[0], x })
    }
    case "Answered": {
      const { args } = answer
      if (args !== undefined) {
        const x = extension({ a: Values.furtherArgs(args) })
        return text({ type: ClassicType.ServerEvent, requestId, data: args[0], x }, true)
      }
      return to.native ? JSON.stringify({ type: Values.OwnType.Declined, requestId, x: extension() }) : undefined
    }
    case "RecipientLeft":
    case "Alive":
      return to.native ? JSON.stringify({ type: Values.OwnType[answer._tag], requestId, x: extension() }) : undefined
  }
}

/** JSON, unless that would damage bytes. Official servers write it always, and read both. */
const text = (body: object, mayHaveBinary: boolean): Body =>
  mayHaveBinary && hasBinary(body) ? encode(body) : JSON.stringify(body)

/** The messages of a process that is no server. */
export type EmitterMessage = Extract<
  ClusterMessage,
  { readonly _tag: "Broadcast" | "Join" | "Leave" | "Disconnect" | "ServerEvent" }
>

/**
 * Messages of a process that is no server, as `@socket.io/redis-emitter` writes them. No answers
 * come.
 */
export interface EmitterWire {
  readonly channelOf: (message: EmitterMessage) => string
  readonly encode: (message: EmitterMessage) => Body
}

export const makeEmitter = (options: { readonly prefix: string; readonly namespace: string }): EmitterWire => {
  const { namespace } = options
  const { channelOf } = make({ ...options, uid: Values.EMITTER })
  return {
    channelOf,
    encode(message) {
      switch (message._tag) {
        case "Broadcast": {
          const { except, rooms } = message.selection
          const flags = Values.writeFlags(message.flags, undefined)
          return encode([Values.EMITTER, packet(message.data, namespace), { rooms, flags, except }])
        }
        case "Join":
        case "Leave":
          return JSON.stringify({
            type: ClassicType[message._tag],
            opts: plain(message.selection),
            rooms: message.rooms
          })
        case "Disconnect":
          return JSON.stringify({ type: ClassicType.Disconnect, opts: plain(message.selection), close: message.close })
        case "ServerEvent":
          return text({ uid: Values.EMITTER, type: ClassicType.ServerEvent, data: message.data }, true)
      }
    }
  }
}
