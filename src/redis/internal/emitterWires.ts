/**
 * The messages of a process that is no server, in each format.
 */
import * as Effect from "effect/Effect"

import { EMITTER } from "../../adapter/WireValues.ts"
import * as ClassicWire from "./classicWire.ts"
import type { RedisError } from "../RedisError.ts"
import type { Outgoing, Send } from "./sender.ts"
import * as ShardedWire from "./shardedWire.ts"
import * as StreamsWire from "./streamsWire.ts"

export type { EmitterMessage } from "./classicWire.ts"

/** Encodes the messages of one namespace. Throws on a value that cannot be encoded. */
export type Encode = (message: ClassicWire.EmitterMessage) => Outgoing

/** Makes the encoder of a namespace. */
export type Encoders = (namespace: string) => Encode

/**
 * As `@socket.io/redis-emitter` writes them. Any server of a Redis Cluster takes PUBLISH: it is
 * always the same one.
 */
export const classic =
  (prefix: string): Encoders =>
  (namespace) => {
    const wire = ClassicWire.makeEmitter({ prefix, namespace })
    return (message) => ({ command: ["PUBLISH", wire.channelOf(message), wire.encode(message)], key: undefined })
  }

/** For servers with sharded channels. */
export const sharded =
  (prefix: string, mode: ShardedWire.SubscriptionMode): Encoders =>
  (namespace) => {
    const wire = ShardedWire.make({ prefix, mode, namespace, uid: EMITTER })
    return (message) => {
      const channel = wire.channelOf(message)
      return { command: ["SPUBLISH", channel, wire.encode(message, undefined)], key: channel }
    }
  }

export interface StreamsEncoderOptions {
  readonly streamName: string
  readonly streamCount: number
  readonly onlyPlaintext: boolean
}

/**
 * For servers that read a stream: everything is an entry of it, events between servers, too. The
 * command does not trim the stream.
 */
export const streams =
  (options: StreamsEncoderOptions): Encoders =>
  (namespace) => {
    const wire = StreamsWire.make({ ...options, prefix: "", namespace, uid: EMITTER })
    const key = wire.stream
    return (message) => ({
      command: ["XADD", key, "*", ...Object.entries(wire.encodeReadable(message, undefined)).flat()],
      key
    })
  }

/** Adds to each command how it trims its stream. */
export const trimming =
  (send: Send, trimmer: (stream: string) => Effect.Effect<ReadonlyArray<string>, RedisError>): Send =>
  ({ command: [name, stream, ...rest], key }) =>
    Effect.flatMap(trimmer(stream as string), (trim) => send({ command: [name!, stream!, ...trim, ...rest], key }))
