/**
 * The format of `createAdapter` of `@socket.io/redis-adapter`, and of `@socket.io/redis-emitter`.
 */
import type { ClusterMessage } from "../../adapter/ClusterMessage.ts"
import type { Received } from "../../adapter/Received.ts"
import type { Body, PubSubWire, WireOptions } from "./wire.ts"

export interface ClassicChannels {
  /** Broadcasts without a single room. A room's channel adds `<room>#`. */
  readonly broadcast: string
  /** The pattern of all channels of broadcasts, with the namespace escaped as official servers do: not. */
  readonly pattern: string
  readonly request: string
  /** Answers to all. */
  readonly response: string
  /** Answers to this server. */
  readonly ownResponse: string
}

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
 *   `encodeDone`.
 */
export type LegacyRequest =
  | {
      readonly _tag: "SocketIds"
      readonly uid: string | undefined
      readonly requestId: string
      readonly rooms: ReadonlyArray<string>
    }
  | { readonly _tag: "AllRooms"; readonly uid: string | undefined; readonly requestId: string }
  | {
      readonly _tag: "One"
      readonly uid: string | undefined
      readonly requestId: string | undefined
      readonly sid: string
      readonly message: ClusterMessage
    }

/**
 * - Answers to native servers go to their own channel; those to official ones go there as well,
 *   except answers to server events, which go to the common channel. Answers of official servers come on any.
 * - Join, Leave and Disconnect of official servers are for their sender, too, which is no matter here: it acts itself.
 */
export interface ClassicWire extends PubSubWire {
  readonly channels: ClassicChannels
  readonly roomChannel: (room: string) => string
  /** The room of a channel of broadcasts: "" for all, `undefined` if it is another channel. */
  readonly roomOf: (channel: string) => string | undefined
  /** Reads sender and number without decoding. `undefined`: only decoding tells. */
  readonly readHead: (body: Uint8Array) => BroadcastHead | undefined
  readonly decodeBroadcast: (body: Uint8Array) => Received
  readonly decodeRequest: (body: Uint8Array) => Received | LegacyRequest
  readonly decodeResponse: (body: Uint8Array) => Received
  readonly encodeSocketIds: (requestId: string, sids: ReadonlyArray<string>) => Body
  readonly encodeRooms: (requestId: string, rooms: ReadonlyArray<string>) => Body
  readonly encodeDone: (requestId: string) => Body
}

export const make = (_options: WireOptions): ClassicWire => {
  throw new Error("not yet")
}

/** Messages of a process that is no server, as `@socket.io/redis-emitter` writes them. No answers come. */
export interface EmitterWire {
  readonly channelOf: (message: ClusterMessage) => string
  readonly encode: (message: ClusterMessage) => Body
}

export const makeEmitter = (_options: { readonly prefix: string; readonly namespace: string }): EmitterWire => {
  throw new Error("not yet")
}
