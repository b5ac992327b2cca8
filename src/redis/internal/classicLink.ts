import * as Effect from "effect/Effect"

import type { ClusterLink, ClusterReceiver, LinkFactory } from "../../adapter/ClusterLink.ts"
import type { ClusterMessage } from "../../adapter/ClusterMessage.ts"
import { Sequences } from "../../adapter/Sequences.ts"
import { makeBeat } from "./beat.ts"
import type { Bus } from "./bus.ts"
import * as ClassicWire from "./classicWire.ts"
import { Inbox } from "./inbox.ts"
import { shortId } from "./ids.ts"
import { sayGoodbye, subscribed } from "./subscribed.ts"

/** The lane of all broadcasts: one pattern hears them. */
const BROADCASTS = "b"
/** The lane of all requests. */
const REQUESTS = "r"

const hears = (lane: string) => lane === BROADCASTS || lane === REQUESTS

export interface ClassicLinkOptions {
  readonly prefix: string
  readonly maxBytes: number
}

/** Links namespaces by the messages of `createAdapter` of `@socket.io/redis-adapter`. */
export const make =
  (bus: Bus, options: ClassicLinkOptions): LinkFactory =>
  (namespace, receiver) =>
    Effect.gen(function* () {
      const uid = shortId()
      const wire = ClassicWire.make({ ...options, namespace, uid })
      const { channels } = wire
      const sequences = new Sequences()
      const beat = yield* makeBeat(bus.redis, sequences, (lanes, asks) =>
        bus.publish(channels.request, wire.encodeBeat(lanes, asks), false)
      )
      const inbox = new Inbox(namespace, uid, receiver, sequences, bus.monitor, hears, beat.asked)

      const onBroadcast = (channel: string, body: Uint8Array) => {
        const room = wire.roomOf(channel)
        if (room === undefined) return
        if (room !== "" && !receiver.hasRoom(room)) {
          // Nobody here is in the room: the message is numbered, and not decoded.
          const head = wire.readHead(body)
          if (head?.native) inbox.count(head.uid, BROADCASTS, head.number)
          return
        }
        inbox.take(wire.decodeBroadcast(body), BROADCASTS)
      }
      const onRequest = (_channel: string, body: Uint8Array) => {
        const request = wire.decodeRequest(body)
        switch (request._tag) {
          case "SocketIds":
          case "AllRooms":
          case "One":
            return answerLegacy(bus, wire, receiver, request)
          default:
            return inbox.take(request, REQUESTS)
        }
      }
      const onResponse = (_channel: string, body: Uint8Array) => inbox.take(wire.decodeResponse(body), "")
      yield* subscribed(bus.redis, "pattern", channels.pattern, onBroadcast)
      yield* subscribed(bus.redis, "channel", channels.request, onRequest)
      yield* subscribed(bus.redis, "channel", channels.response, onResponse)
      yield* subscribed(bus.redis, "channel", channels.ownResponse, onResponse)
      yield* sayGoodbye(bus.redis, () => bus.publish(channels.request, wire.encodeClosing(), false))

      const send = (message: ClusterMessage): void => {
        const lane = message._tag === "Broadcast" ? BROADCASTS : REQUESTS
        const body = sequences.numbered(lane, (number) => wire.encode(message, number))
        bus.publish(wire.channelOf(message), body, false)
        beat.changed(lane)
      }
      const link: ClusterLink = {
        uid,
        send,
        answer: (to, answer) => {
          const body = wire.encodeAnswer(to, answer, undefined)
          if (body !== undefined) bus.publish(wire.answerChannelOf(to, answer), body, false)
        },
        ...(yield* bus.others(channels.request, false))
      }
      return link
    })

/** Answers requests that only the API of older official servers makes. */
const answerLegacy = (
  { publish }: Bus,
  wire: ClassicWire.ClassicWire,
  receiver: ClusterReceiver,
  request: ClassicWire.LegacyRequest
): void => {
  const answer = (body: Parameters<typeof publish>[1]) => publish(wire.channels.response, body, false)
  switch (request._tag) {
    case "SocketIds":
      return answer(wire.encodeSocketIds(request.requestId, receiver.socketIds(request.rooms)))
    case "AllRooms":
      return answer(wire.encodeRooms(request.requestId, receiver.roomNames()))
    case "One": {
      if (!receiver.hasRoom(request.sid)) return
      receiver.onMessage(request.from, request.message)
      if (request.requestId !== undefined) answer(wire.encodeDone(request.requestId))
    }
  }
}
