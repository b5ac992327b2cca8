/**
 * The format of `@socket.io/redis-streams-adapter` 0.3.
 */
import type { ClusterMessage } from "../../adapter/ClusterMessage.ts"
import type { LaneEnd, Received } from "../../adapter/Received.ts"
import type { Body, PubSubWire, WireOptions } from "./wire.ts"

/** The fields of a stream entry in their order, as XADD takes them. `x` is our own. */
export interface EntryFields {
  readonly uid: string
  readonly nsp: string
  readonly type: string
  readonly data?: string
  readonly x?: string
}

export interface StreamsOptions extends WireOptions {
  /** Default: `socket.io`. */
  readonly streamName?: string | undefined
  /** Default: 1. */
  readonly streamCount?: number | undefined
  /** Values are never searched for bytes. Default: false. */
  readonly onlyPlaintext?: boolean | undefined
}

/** `encode`, `channelOf` are for messages of which `goesByStream` is false. */
export interface StreamsWire extends PubSubWire {
  /** What all servers hear. */
  readonly common: string
  /** Answers to this server. */
  readonly own: string
  /** The stream of this namespace. */
  readonly stream: string
  readonly goesByStream: (message: ClusterMessage) => boolean
  readonly encodeEntry: (message: ClusterMessage, number: number | undefined) => EntryFields
  readonly encodeBeatEntry: (lanes: ReadonlyArray<LaneEnd>) => EntryFields
  readonly decode: (body: Body) => Received
  /** Reads the fields of an entry, values as texts; `position` is its id. */
  readonly decodeEntry: (fields: Readonly<Record<string, unknown>>, position: string) => Received
}

/** The stream of a namespace. Official servers can compute a name with a negative number, which nobody reads. */
export const streamOf = (_namespace: string, _name: string, _count: number): string => {
  throw new Error("not yet")
}

export const make = (_options: StreamsOptions): StreamsWire => {
  throw new Error("not yet")
}
