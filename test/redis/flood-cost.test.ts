/**
 * The CPU time that a message of the bus takes, for each of its bytes: nobody may keep a server busy with less than what ordinary
 * messages take.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { createClient } from "redis"
import { WebSocket } from "ws"

import { encode } from "../../src/protocol/MessagePack.ts"
import * as RedisAdapter from "../../src/redis/RedisAdapter.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import { requires } from "../support/peers.ts"
import { redis, type RunningServers } from "../support/redisServer.ts"
import { victim, whenConnected } from "./victim.ts"
import { makeOurs, NAMESPACE, PREFIX } from "./wire/officialNode.ts"

type OnMessage = (channel: string, message: Uint8Array) => void

/** Redis, and those that listen to it: the test calls them itself. */
const tappedRedis = ({ url }: RunningServers) => {
  const listeners = new Map<string, OnMessage>()
  const layer = RedisClient.layer(
    Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url }))).pipe(
      Effect.tap((client) =>
        Effect.sync(() => {
          const { subscribe } = client
          const tapped: typeof subscribe = (kind, name, handlers) => {
            listeners.set(name, handlers.onMessage)
            return subscribe(kind, name, handlers)
          }
          Object.assign(client, { subscribe: tapped })
        })
      )
    )
  )
  return { layer, listeners }
}

/** A client in a room that takes what comes unread: an official one takes more time than its server. */
const listener = (url: string) =>
  Effect.acquireRelease(
    Effect.callback<WebSocket>((resume) => {
      const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`)
      socket.on("message", (message: Buffer) => {
        const text = message.subarray(0, 3).toString()
        if (text.startsWith("0")) socket.send(`40${NAMESPACE},`)
        else if (text === "2") socket.send("3")
        else if (text.startsWith("40")) socket.send(`42${NAMESPACE},0["enter","lobby"]`)
        else if (text.startsWith("43")) resume(Effect.succeed(socket))
      })
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )

const SIZE = 100_000
const repeat = (text: string, size = SIZE): string => text.repeat(Math.ceil(size / text.length))
const list = (item: string): string => `[${repeat(`${item},`)}${item}]`

const envelope = (data: string, type = 3): string =>
  `{"type":${type},"uid":"stranger","nsp":"${NAMESPACE}","data":${data},"x":{}}`
const event = (args: string): string =>
  envelope(`{"packet":{"type":2,"data":["say",${args}]},"opts":{"rooms":[],"except":[],"flags":{}}}`)
const selection = (rooms: string, except = "[]"): string =>
  envelope(`{"packet":{"type":2,"data":["say"]},"opts":{"rooms":${rooms},"except":${except},"flags":{}}}`)
const names = Array.from({ length: SIZE / 9 }, (_, index) => `"${100_000 + index}"`).join(",")
const nested = (open: string, close: string, depth: number): string => open.repeat(depth) + close.repeat(depth)

/** Large messages of every shape that takes time: to read, to refuse, to act on, to pass on. */
const shapes: Readonly<Record<string, string | Uint8Array>> = {
  "nested too deep": event(nested("[", "]", SIZE / 2)),
  "nested as deep as may be": event(list(nested("[", "]", 90))),
  "objects nested as deep as may be": event(list(`${repeat('{"a":', 400)}1${"}".repeat(80)}`)),
  "empty lists": event(list("[]")),
  "empty objects": event(list("{}")),
  "numbers with many digits": event(list("1.2345678901234567e-300")),
  "escaped characters": event(`"${repeat("\\u00e9")}"`),
  "wide characters": event(`"${repeat("é")}"`),
  "one object with many names": event(`{${names.replaceAll(",", ":1,")}:1}`),
  "not JSON at its end": event(list("1")).slice(0, -1),
  "a broadcast to many rooms": selection(`[${names}]`),
  "a broadcast to one room, many times": selection(list('"lobby"')),
  "a broadcast except one room, many times": selection("[]", list('"lobby"')),
  "a join of many rooms": envelope(`{"opts":{"rooms":[],"except":[]},"rooms":[${names}]}`, 4),
  "a leave of many rooms": envelope(`{"opts":{"rooms":[],"except":[]},"rooms":[${names}]}`, 5),
  "a beat with many lanes": `{"type":105,"uid":"u","nsp":"${NAMESPACE}","x":{"l":[${repeat('["a",1],', 80_000)}["a",1]]}}`,
  "sockets that nobody has asked for": envelope(`{"requestId":"q","sockets":${list('{"id":"","rooms":[]}')}}`, 8),
  "sockets with many headers": envelope(
    `{"requestId":"q","sockets":[{"id":"","rooms":[],"handshake":{"headers":{${names.replaceAll(",", ':"",')}:""}}}]}`,
    8
  ),
  "MessagePack: lists in lists": encode({
    type: 3,
    uid: "u",
    nsp: NAMESPACE,
    data: list("x")
      .split("x")
      .map(() => [[]])
  }),
  "MessagePack: nested too deep": Buffer.alloc(SIZE, 0x91),
  "MessagePack: a list that is shorter than it says": Buffer.concat([
    Buffer.from("dd00ffffff", "hex"),
    Buffer.alloc(SIZE)
  ]),
  "MessagePack: many short bytes": encode({
    type: 3,
    uid: "u",
    nsp: NAMESPACE,
    data: {
      packet: { type: 2, data: ["say", ...Array.from({ length: SIZE / 4 }, () => new Uint8Array(1))] },
      opts: { rooms: [], except: [] }
    }
  })
}

/** Short messages: for them, the time of one message counts. */
const short: Readonly<Record<string, (index: number) => string>> = {
  "not JSON": () => "{",
  "no envelope": () => "{}",
  "a goodbye of a stranger": (index) => `{"type":13,"uid":"u${index}","nsp":"${NAMESPACE}"}`,
  "a number of a stranger": (index) =>
    envelope('{"requestId":"q"}', 100).replace("stranger", `u${index}`).replace("{}", '{"n":5}'),
  "a cancelled question": (index) => envelope(`{"requestId":"q${index}"}`, 100),
  "an answer that nobody has asked for": (index) => envelope(`{"requestId":"q${index}","packet":1}`, 12),
  "an event that nobody handles": () => envelope('{"packet":["nobody"]}', 9),
  "an event whose handler dies": () => envelope('{"packet":["die"]}', 9)
}

/** Work that may take longer: to read and write what is nested, to count attachments up to the refusal, and to log a death. */
const LIMITS: Readonly<Record<string, number>> = {
  "MessagePack: many short bytes": 3,
  "nested as deep as may be": 3,
  "an event whose handler dies": 3
}

describe("the bus", requires("Redis"), () => {
  it.live(
    "takes about as long for a byte, or for a short message, as for an ordinary message",
    () =>
      Effect.gen(function* () {
        const { layer, listeners } = tappedRedis(yield* redis())
        const self = yield* victim(Layer.provide(RedisAdapter.layerSharded({ subscriptionMode: "static" }), layer))
        yield* whenConnected(self)
        yield* listener(self.url)
        const channel = `${PREFIX}#${NAMESPACE}#`
        const take = listeners.get(channel)!
        const message = {
          _tag: "Broadcast",
          data: ["say", "a message of an ordinary length, as they are in a chat"],
          mayHaveBinary: true,
          selection: { rooms: ["lobby"], except: [] },
          flags: { volatile: false, compress: true }
        } as const
        const { wire } = makeOurs("sharded", "other")
        const ordinary = Buffer.from(wire.encode(message, undefined) as string)
        const pause = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
        /** The least CPU time of a few rounds, in nanoseconds for each message. */
        const timeOf = Effect.fnUntraced(function* (bodies: (index: number) => Uint8Array, times: number) {
          let least = Infinity
          for (let round = 0; round < 7; round++) {
            const all = Array.from({ length: times }, (_, index) => bodies(round * times + index))
            const start = process.cpuUsage()
            for (const body of all) take(channel, body)
            // Work that it causes in later turns counts.
            yield* pause
            const { system, user } = process.cpuUsage(start)
            least = Math.min(least, ((user + system) * 1_000) / times)
          }
          return least
        })
        const base = yield* timeOf(() => ordinary, 2_000)
        const perByte = base / ordinary.length
        const figures: Array<readonly [name: string, ratio: number]> = []
        for (const [name, shape] of Object.entries(shapes)) {
          const body = Buffer.from(shape as Uint8Array)
          figures.push([name, (yield* timeOf(() => body, 5)) / body.length / perByte])
        }
        for (const [name, make] of Object.entries(short)) {
          figures.push([name, (yield* timeOf((index) => Buffer.from(make(index)), 2_000)) / base])
        }
        if (process.env["FIGURES"] !== undefined) console.table({ base, perByte, ...Object.fromEntries(figures) })
        for (const [name, ratio] of figures) assert.isBelow(ratio, LIMITS[name] ?? 2, name)
      }),
    { timeout: 60_000 }
  )
})
