import type { FromClientEncoded, FromServerEncoded } from "effect/rpc/RpcMessage"

/** The event that carries the frames of RPC, unless an option says otherwise. */
export const EVENT = "rpc"

/** The id of a request, which its client chooses. */
export type RequestId = string | number

/**
 * A client that has recovered asks for the requests that the server knows. It comes after
 * everything that the client has sent over the new connection.
 */
export interface Resume {
  readonly _tag: "Resume"
  /**
   * Another one each time: the client may have missed the answer to an earlier question, and get it
   * late.
   */
  readonly question: number
}

/**
 * The answer to {@link Resume}: the requests that are not answered yet, each with the number of
 * chunks that were sent. It comes after everything that the client had missed, so every other
 * request was either answered or lost on its way.
 */
export interface Resumed {
  readonly _tag: "Resumed"
  readonly question: number
  readonly requests: ReadonlyArray<readonly [id: RequestId, chunks: number]>
}

/**
 * The answer to {@link Resume} of a server that does not have the session: its requests are lost.
 */
export interface Reset {
  readonly _tag: "Reset"
  /** Without one nobody has asked: an answer may be lost on its way through a shared log. */
  readonly question?: number
}

/** Acknowledges all chunks of a stream that the client has read so far, after an outage. */
export interface TotalAck {
  readonly _tag: "Ack"
  readonly requestId: RequestId
  readonly total: number
}

export type ServerFrame = FromServerEncoded | Resumed | Reset

export type ClientFrame = FromClientEncoded | TotalAck | Resume
