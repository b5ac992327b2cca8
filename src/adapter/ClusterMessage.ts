/**
 * The messages between the servers of a cluster, in the form that all wire formats share.
 *
 * @since 0.1.0
 */
import type { TraceContext } from "../TraceContext.ts"
import type { SharedMessage } from "./SharedLog.ts"
import type { Acknowledgement, Selection, SocketDetails } from "./Adapter.ts"

/**
 * The event of a message: its name and its wire arguments.
 *
 * @since 0.1.0
 * @category models
 */
export type EventData = readonly [event: string, ...args: Array<unknown>]

/**
 * The flags of a broadcast that crosses servers. `local` is never one of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface RemoteFlags {
  readonly volatile: boolean
  readonly compress: boolean
}

/**
 * A message from one server to all others of its namespace.
 *
 * **Details**
 *
 * - `Broadcast`: delivers an event to the selected sockets.
 * - `Question`: one of {@link Question}; the others answer with {@link ClusterAnswer}s.
 * - `Join`, `Leave`, `Disconnect`: acts on the selected sockets.
 * - `Enter`, `Exit`: the socket `sid` alone joins or leaves rooms. `Taken`: a server has its
 *   session. Both exist where recovery is on and servers share a log. Official servers ignore them.
 * - `ServerEvent`: an event between servers that needs no answer.
 * - `Cancel`: the asker no longer needs the answers to a question. Official servers ignore it.
 * - `Ping`: asks which servers are at work on a question. Official servers ignore it.
 *
 * @since 0.1.0
 * @category models
 */
export type ClusterMessage =
  | {
      readonly _tag: "Broadcast"
      readonly data: EventData
      readonly mayHaveBinary: boolean
      readonly selection: Selection
      readonly flags: RemoteFlags
      /**
       * It is for the one socket alone whose id is the only room, and not for others in that room.
       */
      readonly direct?: boolean | undefined
      /** The sender has a log with other servers, and its own sockets did not wait for that. */
      readonly atOnce?: boolean | undefined
      /** Official servers ignore it. */
      readonly trace?: TraceContext | undefined
    }
  | { readonly _tag: "Question"; readonly requestId: string; readonly question: Question }
  | { readonly _tag: "Join" | "Leave"; readonly selection: Selection; readonly rooms: ReadonlyArray<string> }
  | { readonly _tag: "Disconnect"; readonly selection: Selection; readonly close: boolean }
  | { readonly _tag: "Enter" | "Exit"; readonly sid: string; readonly rooms: ReadonlyArray<string> }
  | { readonly _tag: "Taken"; readonly sid: string; readonly by: string }
  | { readonly _tag: "ServerEvent"; readonly data: EventData; readonly trace?: TraceContext | undefined }
  | { readonly _tag: "Cancel"; readonly requestId: string }
  | { readonly _tag: "Ping"; readonly requestId: string }

/**
 * A question to all other servers of a namespace.
 *
 * **Details**
 *
 * - `Ask`: delivers an event that asks for acknowledgements. A server answers with the number of
 *   its recipients (`Recipients`), and with an `Acknowledged` for each that answers. `timeout`, in
 *   milliseconds, is known only of official askers.
 * - `Fetch`: the details of the selected sockets.
 * - `Count`: the number of the selected sockets. Official servers understand it as `Fetch`.
 * - `ServerEvent`: an event between servers that needs an answer.
 *
 * @since 0.1.0
 * @category models
 */
export type Question =
  | {
      readonly _tag: "Ask"
      readonly data: EventData
      readonly mayHaveBinary: boolean
      readonly selection: Selection
      readonly flags: RemoteFlags
      readonly timeout: number | undefined
      /** Official servers ignore it. */
      readonly trace?: TraceContext | undefined
    }
  | { readonly _tag: "Fetch" | "Count"; readonly selection: Selection }
  | { readonly _tag: "ServerEvent"; readonly data: EventData; readonly trace?: TraceContext | undefined }

/**
 * An answer to one server.
 *
 * **Details**
 *
 * - `Sockets`: the sockets of a `Fetch`. Official servers answer a `Count` with it, too.
 * - `Counted`: the number of a `Count`.
 * - `Recipients`: the number of sockets that an `Ask` has reached.
 * - `Acknowledged`: the answer of one of them. The `sid` is unknown where the server is an official
 *   one; such a server also passes on the first argument alone.
 * - `RecipientLeft`: one of them will not answer, because its client has left.
 * - `Answered`: the answer to a `ServerEvent`; `undefined` if there will be none.
 * - `Alive`: the answer to a `Ping`: the server is at work on the question. One that is not,
 *   because it has answered or has never got the question, does not answer the ping.
 *
 * `Counted`, `RecipientLeft`, `Alive` and an `Answered` without arguments exist between servers of
 * this library alone.
 *
 * @since 0.1.0
 * @category models
 */
export type ClusterAnswer =
  | { readonly _tag: "Sockets"; readonly requestId: string; readonly sockets: ReadonlyArray<SocketDetails> }
  | { readonly _tag: "Counted" | "Recipients"; readonly requestId: string; readonly count: number }
  | { readonly _tag: "Acknowledged"; readonly requestId: string; readonly acknowledgement: Acknowledgement }
  | { readonly _tag: "RecipientLeft" | "Alive"; readonly requestId: string }
  | { readonly _tag: "Answered"; readonly requestId: string; readonly args: ReadonlyArray<unknown> | undefined }

/**
 * The sender of a message.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sender {
  /** The id of the server's namespace; `undefined` where the wire format does not say it. */
  readonly uid: string | undefined
  /** Whether the sender is a server of this library: it understands everything. */
  readonly native: boolean
  /** The message's position in a log, for adapters that keep one. */
  readonly position?: string | undefined
  /** The size of the message in that log, in bytes. */
  readonly bytes?: number | undefined
}

/**
 * Whether bytes may be among the values of a message.
 *
 * @since 0.1.0
 * @category predicates
 */
export const mayHaveBinary = (message: ClusterMessage): boolean => {
  switch (message._tag) {
    case "Broadcast":
      return message.mayHaveBinary
    case "ServerEvent":
      return true
    case "Question": {
      const { question } = message
      return question._tag === "Ask" ? question.mayHaveBinary : question._tag === "ServerEvent"
    }
    default:
      return false
  }
}

/**
 * Whether bytes may be among the values of an answer.
 *
 * @since 0.1.0
 * @category predicates
 */
export const answerMayHaveBinary = ({ _tag }: ClusterAnswer): boolean =>
  _tag === "Sockets" || _tag === "Acknowledged" || _tag === "Answered"

/**
 * Whether a message has its place in a log that servers share, where recovery is on.
 *
 * @since 0.1.0
 * @category guards
 */
export const isShared = (message: ClusterMessage): message is SharedMessage => {
  switch (message._tag) {
    case "Question":
    case "ServerEvent":
    case "Cancel":
    case "Ping":
      return false
    default:
      return true
  }
}
