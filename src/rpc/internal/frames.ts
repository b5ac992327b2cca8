import type { FromClientEncoded, FromServerEncoded } from "effect/rpc/RpcMessage"

/** The event that carries the frames of RPC, unless an option says otherwise. */
export const EVENT = "rpc"

/** The id of a request, which its client chooses. */
export type RequestId = string | number

/**
 * The server has the session of a client that has recovered, and says what it knows of it: the
 * requests that it has not answered yet, each with the number of chunks that it has sent. It comes
 * after everything that the client had missed.
 */
export interface Resumed {
  readonly _tag: "Resumed"
  readonly requests: ReadonlyArray<readonly [id: RequestId, chunks: number]>
}

/** The server does not have the session of a client that has recovered: its requests are lost. */
export interface Reset {
  readonly _tag: "Reset"
}

/** Acknowledges all chunks of a stream that the client has read so far, after an outage. */
export interface TotalAck {
  readonly _tag: "Ack"
  readonly requestId: RequestId
  readonly total: number
}

/** What a server sends. */
export type ServerFrame = FromServerEncoded | Resumed | Reset

/** What a client sends. */
export type ClientFrame = FromClientEncoded | TotalAck
