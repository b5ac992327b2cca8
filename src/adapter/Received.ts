/**
 * The result of reading a wire format: a message of another server in the form that all formats
 * share, or the reason that there is none.
 *
 * @since 0.1.0
 */
import type { ClusterAnswer, ClusterMessage, Sender } from "./ClusterMessage.ts"

/**
 * The name of a lane, and the number of the last message on it. See `Sequences`.
 *
 * @since 0.1.0
 * @category models
 */
export type LaneEnd = readonly [lane: string, last: number]

/**
 * The result of reading a message.
 *
 * **Details**
 *
 * - `Message`, `Answer`: the content of the message.
 * - `Beat`: the last numbers of the sender's lanes. It is itself not numbered. With `asks`, the
 *   sender may have missed messages: it wants those of this server's lanes that have changed in so
 *   many milliseconds.
 * - `Presence`: a sign of life, in formats that know servers by such signs. A server that has just
 *   `Started` expects a `Here` of the others.
 * - `Ignored`: it is well-formed, and not for this server: an own message, one of another
 *   namespace, or of a type that is unknown here.
 * - `Refused`: it cannot be read. The problem is a short text without content of the message.
 *
 * `number` is the message's number on its lane; `undefined` if the sender does not number it. An
 * ignored message of an unknown type has one, too; one of another namespace has none here.
 *
 * @since 0.1.0
 * @category models
 */
export type Received =
  | {
      readonly _tag: "Message"
      readonly from: Sender
      readonly number: number | undefined
      readonly message: ClusterMessage
    }
  | {
      readonly _tag: "Answer"
      readonly from: Sender
      readonly number: number | undefined
      readonly answer: ClusterAnswer
    }
  | {
      readonly _tag: "Beat"
      readonly from: Sender
      readonly lanes: ReadonlyArray<LaneEnd>
      readonly asks?: number
    }
  | {
      readonly _tag: "Presence"
      readonly from: Sender
      readonly number: number | undefined
      readonly presence: "Started" | "Here" | "Closing"
    }
  | { readonly _tag: "Ignored"; readonly from: Sender; readonly number: number | undefined }
  | { readonly _tag: "Refused"; readonly problem: string }

/**
 * A beat, or a refusal if it does not tell any lanes. See {@link Received}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const beat = (
  from: Sender,
  lanes: ReadonlyArray<LaneEnd> | undefined,
  asks: number | undefined
): Received & { readonly _tag: "Beat" | "Refused" } => {
  if (lanes === undefined) return refused("a beat without lanes")
  return { _tag: "Beat", from, lanes, ...(asks !== undefined && { asks }) }
}

/**
 * A message that cannot be read.
 *
 * @since 0.1.0
 * @category constructors
 */
export const refused = (problem: string): Received & { readonly _tag: "Refused" } => ({ _tag: "Refused", problem })
