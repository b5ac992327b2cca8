/**
 * The envelope of messages between servers that all newer official adapters share.
 *
 * @since 0.1.0
 */
import type { ClusterAnswer, ClusterMessage, Sender } from "./ClusterMessage.ts"
import type { LaneEnd, Received } from "./Received.ts"

/**
 * The fields of this library in a message, which official servers ignore. A message that has them
 * comes from a server of this library, even if all of them are absent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Extension {
  /** The number of the message on its lane, from 1. */
  readonly n?: number
  /** In a fetch: 1, a count is enough. In its answer: the count, in place of the sockets. */
  readonly c?: number
  /** In an acknowledgement: the id of the socket. */
  readonly s?: string
  /** In an acknowledgement or an answer to an event: the arguments after the first. */
  readonly a?: ReadonlyArray<unknown>
  /** In a beat: the last numbers of the sender's lanes. */
  readonly l?: ReadonlyArray<LaneEnd>
  /** In an answer of the classic format, which has no other place for it: the id of the sender. */
  readonly u?: string
}

/**
 * A message in the order of fields in which official servers write it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Envelope {
  readonly type: number
  readonly data?: Readonly<Record<string, unknown>>
  readonly uid: string
  readonly nsp: string
  readonly x?: Extension
}

/**
 * A namespace of this server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Here {
  readonly uid: string
  readonly namespace: string
}

/**
 * Puts a message into an envelope. With `number`, it has this number on its lane.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toEnvelope = (_here: Here, _message: ClusterMessage, _number: number | undefined): Envelope => {
  throw new Error("not yet")
}

/**
 * Puts an answer into an envelope. Gives `undefined` for an answer that an official asker does not
 * understand: it needs none.
 *
 * @since 0.1.0
 * @category conversions
 */
export const answerToEnvelope = (
  _here: Here,
  _to: Sender,
  _answer: ClusterAnswer,
  _number: number | undefined
): Envelope | undefined => {
  throw new Error("not yet")
}

/**
 * A beat: it tells the last numbers of this server's lanes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const beat = (_here: Here, _lanes: ReadonlyArray<LaneEnd>): Envelope => {
  throw new Error("not yet")
}

/**
 * A sign of life, in formats that know servers by such signs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const presence = (_here: Here, _presence: "Started" | "Here" | "Closing"): Envelope => {
  throw new Error("not yet")
}

/**
 * Reads an envelope. It never throws, whatever the value is. `position` is the message's position
 * in a log. `mayHaveBinary` says whether bytes may be in the value; `false` for JSON.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromEnvelope = (
  _value: unknown,
  _here: Here,
  _mayHaveBinary: boolean,
  _position?: string | undefined
): Received => ({ _tag: "Refused", problem: "not yet" })
