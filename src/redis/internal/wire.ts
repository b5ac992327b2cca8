/**
 * The parts that the wire formats of Redis share.
 */
import type { ClusterAnswer, ClusterMessage, Sender } from "../../adapter/ClusterMessage.ts"
import type { Envelope } from "../../adapter/Envelope.ts"
import type { LaneEnd } from "../../adapter/Received.ts"
import { type Body, encode, hasBinary } from "./msgpack.ts"

export type { Body } from "./msgpack.ts"

export interface WireOptions {
  /** The prefix of channels: `socket.io` by default in official adapters. */
  readonly prefix: string
  readonly namespace: string
  /** The id of this server in this namespace. */
  readonly uid: string
  /** Longer messages are refused, in bytes. Default: 16 MiB. */
  readonly maxBytes?: number | undefined
}

/**
 * The messages of one namespace by PUBLISH. All functions are pure. Functions that encode throw on
 * a value that cannot be encoded (a `BigInt`, a circular reference); those that decode never throw.
 */
export interface PubSubWire {
  /** The channel of a message to all other servers. */
  readonly channelOf: (message: ClusterMessage) => string
  readonly encode: (message: ClusterMessage, number: number | undefined) => Body
  /** The channel of answers to a server. */
  readonly answerChannelOf: (to: Sender, answer: ClusterAnswer) => string
  /**
   * `undefined` if the asker, an official server, does not understand the answer: it needs none.
   */
  readonly encodeAnswer: (to: Sender, answer: ClusterAnswer, number: number | undefined) => Body | undefined
  /**
   * The last numbers of lanes, 10,000 at most, for the channel of requests (classic) or the common
   * channel.
   */
  readonly encodeBeat: (lanes: ReadonlyArray<LaneEnd>, asks?: number) => Body
  /** This server leaves in good order. */
  readonly encodeClosing: () => Body
}

/** JSON, unless that would damage bytes. */
export const encodeEnvelope = (envelope: Envelope, mayHaveBinary: boolean): Body =>
  mayHaveBinary && (hasBinary(envelope.data) || hasBinary(envelope.x?.a)) ? encode(envelope) : JSON.stringify(envelope)
