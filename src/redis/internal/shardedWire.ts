/**
 * The format of `createShardedAdapter` of `@socket.io/redis-adapter`.
 */
import { answerMayHaveBinary, mayHaveBinary } from "../../adapter/ClusterMessage.ts"
import type { ClusterMessage } from "../../adapter/ClusterMessage.ts"
import * as Envelope from "../../adapter/Envelope.ts"
import { type Received, refused } from "../../adapter/Received.ts"
import { type Body, decodeBody, MAX_BYTES } from "./msgpack.ts"
import { encodeEnvelope, type PubSubWire, type WireOptions } from "./wire.ts"

/**
 * Which rooms have channels of their own. All servers must have the same mode.
 *
 * - `static`: none.
 * - `dynamic`: all but those of socket ids.
 * - `dynamic-private`: all.
 *
 * Messages of this library to a room whose name is longer than 512 characters go on the common
 * channel in any mode.
 */
export type SubscriptionMode = "static" | "dynamic" | "dynamic-private"

export interface ShardedWire extends PubSubWire {
  /** The channel that all servers hear. */
  readonly common: string
  /** Answers to this server. */
  readonly own: string
  readonly roomChannel: (room: string) => string
  /** Whether a server that has members of the room subscribes to its channel. */
  readonly subscribesTo: (room: string, isSocketId: boolean) => boolean
  readonly decode: (body: Body) => Received
}

/** Official servers take a name of this length for the id of a socket. */
const ID_LENGTH = 20

/**
 * The longest name of a room whose messages go on a channel of its own. Servers remember the last
 * numbers of 10,000 channels, with their names. Messages to other rooms go on the common channel,
 * where official servers hear them, too.
 */
const MAX_ROOM = 512

export const make = (options: WireOptions & { readonly mode: SubscriptionMode }): ShardedWire => {
  const { maxBytes = MAX_BYTES, mode, namespace, prefix, uid } = options
  const here = { uid, namespace }
  const common = `${prefix}#${namespace}#`
  const roomChannel = (room: string) => `${common}${room}#`
  /** The only room of a broadcast, if it has a channel of its own. */
  const channelRoom = (message: ClusterMessage): string | undefined => {
    if (mode === "static" || message._tag !== "Broadcast" || message.selection.rooms.length !== 1) return undefined
    const room = message.selection.rooms[0]!
    return room.length > MAX_ROOM || (mode === "dynamic" && room.length === ID_LENGTH) ? undefined : room
  }
  return {
    common,
    own: roomChannel(uid),
    roomChannel,
    subscribesTo: (_room, isSocketId) => mode === "dynamic-private" || (mode === "dynamic" && !isSocketId),
    channelOf(message) {
      const room = channelRoom(message)
      return room === undefined ? common : roomChannel(room)
    },
    encode: (message, number) => encodeEnvelope(Envelope.toEnvelope(here, message, number), mayHaveBinary(message)),
    answerChannelOf: (to) => roomChannel(to.uid ?? ""),
    encodeAnswer(to, answer, number) {
      const envelope = Envelope.answerToEnvelope(here, to, answer, number)
      return envelope && encodeEnvelope(envelope, answerMayHaveBinary(answer))
    },
    encodeBeat: (lanes, asks) => encodeEnvelope(Envelope.beat(here, lanes, asks), false),
    encodeClosing: () => encodeEnvelope(Envelope.presence(here, "Closing"), false),
    decode(body) {
      const decoded = decodeBody(body, maxBytes)
      return typeof decoded === "string"
        ? refused(decoded)
        : Envelope.fromEnvelope(decoded.value, here, decoded.hasBinary)
    }
  }
}
