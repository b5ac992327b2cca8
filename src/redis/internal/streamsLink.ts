import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

import type { ClusterLink, LinkFactory } from "../../adapter/ClusterLink.ts"
import type { ClusterMessage } from "../../adapter/ClusterMessage.ts"
import type { SessionStore } from "../../adapter/SharedLog.ts"
import { Sequences } from "../../adapter/Sequences.ts"
import type { Reply } from "../RedisCommand.ts"
import { makeBeat } from "./beat.ts"
import type { Bus } from "./bus.ts"
import { longId } from "./ids.ts"
import { Inbox } from "./inbox.ts"
import { StreamLog } from "./streamLog.ts"
import type { Fields, StreamReaders } from "./streamReaders.ts"
import * as StreamsWire from "./streamsWire.ts"
import { sayGoodbye, subscribed } from "./subscribed.ts"

/** The lane of the stream. */
const STREAM = "s"
/** The lane of what goes to all by PUBLISH. */
const COMMON = "p"

/** The reads of a stream that are under way at the same time, for clients that come back. */
const MAX_READS = 8

const hears = (lane: string) => lane === STREAM || lane === COMMON

export interface StreamsLinkOptions {
  readonly prefix: string
  readonly streamName: string
  readonly streamCount: number
  readonly maxLength: number
  readonly onlyPlaintext: boolean
  readonly useShardedPubSub: boolean
  readonly maxBytes: number
}

/**
 * Links namespaces by the messages of `@socket.io/redis-streams-adapter` 0.3: broadcasts and what
 * acts on sockets by a stream, questions and answers by PUBLISH. Where recovery is on, the stream
 * is the log of all servers.
 */
export const make = (
  bus: Bus,
  readers: StreamReaders,
  sessions: SessionStore,
  /** Emitters learn for how long, in milliseconds, the entries of a stream are needed. */
  needs: (stream: string, time: number) => void,
  options: StreamsLinkOptions
): LinkFactory => {
  /** Each read takes memory: clients that come at the same time wait for each other. */
  const permits = Semaphore.makeUnsafe(MAX_READS)
  return (namespace, receiver) =>
    Effect.gen(function* () {
      const { maxLength, streamCount, streamName, useShardedPubSub } = options
      const uid = longId()
      const wire = StreamsWire.make({ ...options, namespace, uid })
      const { common, stream } = wire
      const clock = yield* Clock.Clock
      const now = () => clock.currentTimeMillisUnsafe()
      const sequences = new Sequences()

      const add = (fields: StreamsWire.EntryFields, done?: (reply: Reply | undefined) => void): void =>
        bus.send(stream, log?.addCommand(fields) ?? StreamsWire.addCommand(stream, maxLength, fields), done)
      const entryOf = (message: ClusterMessage, encode = wire.encodeEntry) =>
        sequences.numbered(STREAM, (number) => ({ number, fields: encode(message, number) }))
      const publish = (channel: string, body: Parameters<Bus["publish"]>[1]): void =>
        bus.publish(channel, body, useShardedPubSub)

      const log =
        receiver.recovery &&
        new StreamLog(bus.redis, uid, wire, receiver.recovery, sessions, now, permits, (message, done) => {
          // Its own clients would not get it either.
          const entry = entryOf(message, wire.encodeReadable)
          add(entry.fields, done)
          beat.changed(STREAM)
          return entry.number
        })
      const beat = yield* makeBeat(bus.redis, sequences, (lanes, asks) => {
        const ofStream = lanes.filter(([lane]) => lane === STREAM)
        // Each beat takes the way of its lane: otherwise it may overtake the messages that it
        // counts.
        if (ofStream.length > 0) add(wire.encodeBeatEntry(ofStream))
        const others = lanes.filter(([lane]) => lane === COMMON)
        if (others.length > 0 || asks !== undefined) publish(common, wire.encodeBeat(others, asks))
      })
      const inbox = new Inbox(namespace, uid, receiver, sequences, bus.monitor, hears, beat.asked)

      const kind = useShardedPubSub ? "sharded" : "channel"
      yield* subscribed(bus.redis, kind, common, (_channel, body) => inbox.take(wire.decode(body), COMMON))
      yield* subscribed(bus.redis, kind, wire.own, (_channel, body) => inbox.take(wire.decode(body), ""))
      const onEntry = (fields: Fields, id: string) => {
        const received = wire.decodeEntry(fields, id, log !== undefined)
        inbox.take(received, STREAM)
        log?.onEntry(received, fields, id)
      }
      // Senders have one lane here, whenever it has changed.
      const onDoubt = () => beat.ask(Number.MAX_SAFE_INTEGER)
      if (log === undefined) {
        // Official servers may write to another stream than ours do.
        const streams = new Set([stream, StreamsWire.officialStreamOf(namespace, streamName, streamCount)])
        for (const name of streams) yield* readers.read(name, namespace, { onEntry, onDoubt })
      } else {
        const onGap = () => {
          log.onGap()
          onDoubt()
        }
        needs(stream, receiver.recovery!.retention)
        log.stream = yield* readers.read(stream, namespace, { onEntry, onDoubt, onGap })
      }
      yield* sayGoodbye(bus.redis, () => publish(common, wire.encodeClosing()))

      const send = (message: ClusterMessage): void => {
        if (wire.goesByStream(message)) {
          add(entryOf(message).fields)
          beat.changed(STREAM)
        } else {
          const body = sequences.numbered(COMMON, (number) => wire.encode(message, number))
          publish(wire.channelOf(message), body)
          beat.changed(COMMON)
        }
      }
      const link: ClusterLink = {
        uid,
        send,
        answer: (to, answer) => {
          const body = wire.encodeAnswer(to, answer, undefined)
          if (body !== undefined) publish(wire.answerChannelOf(to, answer), body)
        },
        ...(yield* bus.others(common, useShardedPubSub)),
        log
      }
      return link
    })
}
