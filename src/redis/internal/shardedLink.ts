import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

import type { ClusterLink, LinkFactory } from "../../adapter/ClusterLink.ts"
import type { ClusterMessage } from "../../adapter/ClusterMessage.ts"
import { Sequences } from "../../adapter/Sequences.ts"
import type { Subscription } from "../RedisClient.ts"
import { makeBeat } from "./beat.ts"
import type { Bus } from "./bus.ts"
import { longId } from "./ids.ts"
import { Inbox } from "./inbox.ts"
import * as ShardedWire from "./shardedWire.ts"
import { sayGoodbye, subscribed } from "./subscribed.ts"

export interface ShardedLinkOptions {
  readonly prefix: string
  readonly mode: ShardedWire.SubscriptionMode
  readonly maxBytes: number
}

/** A join waits so long for the subscription to its room, in milliseconds. */
const SUBSCRIBE_TIMEOUT = 1_000

/** The channel of a room that has members here. */
interface RoomChannel {
  readonly subscription: Subscription
  readonly confirmed: Deferred.Deferred<void>
}

/**
 * Links namespaces by the messages of `createShardedAdapter` of `@socket.io/redis-adapter`. A lane
 * is a channel.
 */
export const make =
  (bus: Bus, options: ShardedLinkOptions): LinkFactory =>
  (namespace, receiver) =>
    Effect.gen(function* () {
      const uid = longId()
      const wire = ShardedWire.make({ ...options, namespace, uid })
      const { common } = wire
      const sequences = new Sequences()
      /** The channels of rooms that have members here. */
      const channels = new Map<string, RoomChannel>()
      const hears = (channel: string) => channel === common || channels.has(channel)
      const beat = yield* makeBeat(bus.redis, sequences, (lanes, asks) =>
        bus.publish(common, wire.encodeBeat(lanes, asks), true)
      )
      const inbox = new Inbox(namespace, uid, receiver, sequences, bus.monitor, hears, beat.asked)
      const onMessage = (channel: string, body: Uint8Array) => inbox.take(wire.decode(body), channel)
      yield* subscribed(bus.redis, "sharded", common, onMessage)
      yield* subscribed(bus.redis, "sharded", wire.own, onMessage)

      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const { subscription } of channels.values()) subscription.unsubscribe()
        })
      )
      yield* sayGoodbye(bus.redis, () => bus.publish(common, wire.encodeClosing(), true))
      const onRoomCreated = (room: string): void => {
        if (!wire.subscribesTo(room, false)) return
        const confirmed = Deferred.makeUnsafe<void>()
        const confirm = () => void Deferred.doneUnsafe(confirmed, Effect.void)
        const channel = wire.roomChannel(room)
        const subscription = bus.redis.subscribe("sharded", channel, {
          onMessage,
          onConfirmed: confirm
        })
        channels.set(channel, { subscription, confirmed })
      }
      const onRoomDeleted = (room: string): void => {
        const channel = wire.roomChannel(room)
        channels.get(channel)?.subscription.unsubscribe()
        channels.delete(channel)
        // Messages until somebody joins again are not for this server.
        sequences.forgetLane(channel)
      }

      const send = (message: ClusterMessage): void => {
        const channel = wire.channelOf(message)
        const body = sequences.numbered(channel, (number) => wire.encode(message, number))
        bus.publish(channel, body, true)
        beat.changed(channel)
      }
      const link: ClusterLink = {
        uid,
        send,
        answer: (to, answer) => {
          const body = wire.encodeAnswer(to, answer, undefined)
          if (body !== undefined) bus.publish(wire.answerChannelOf(to, answer), body, true)
        },
        ...(yield* bus.others(common, true))
      }
      if (options.mode === "static") return link
      return {
        ...link,
        onRoomCreated,
        onRoomDeleted,
        whenHeard: (room) => {
          const channel = channels.get(wire.roomChannel(room))
          if (channel === undefined || channel.subscription.isConfirmed() || !bus.redis.isConnected()) return undefined
          return Effect.asVoid(Effect.timeoutOption(Deferred.await(channel.confirmed), SUBSCRIBE_TIMEOUT))
        }
      }
    })
