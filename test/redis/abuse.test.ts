/**
 * Messages that are well formed, and abusive: what they make a server hold is bounded, and the server stays at work.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"

import { costly } from "../support/extent.ts"
import { memoryInUse } from "../support/memory.ts"
import { requires } from "../support/peers.ts"
import { wait } from "../support/redisClients.ts"
import { redis } from "../support/redisServer.ts"
import { call, connect, next } from "../support/serve.ts"
import { type Attacker, attacker, isAlive, questionsOf, redisVictim } from "./victim.ts"
import { type Format, formats, NAMESPACE, PREFIX } from "./wire/officialNode.ts"

const COMMON = `${PREFIX}#${NAMESPACE}#`
const MANY = costly(1_000_000, 20_000, 20_000)
const BATCH = 2_000

interface Message {
  readonly type: number
  readonly data?: object
  readonly x?: object
  readonly uid?: string
}

const start = Effect.fnUntraced(function* (format: Format) {
  const running = yield* redis()
  const attack = yield* attacker(running)
  const a = yield* redisVictim(format, running)
  const b = yield* redisVictim(format, running)
  const isSharded = format === "sharded"
  /** Sends a message of the newer formats, or its classic form. */
  const send = ({ data, type, uid = "stranger", x }: Message): Promise<unknown> => {
    if (format !== "classic") {
      return attack.publish(COMMON, JSON.stringify({ type, data, uid, nsp: NAMESPACE, x }), isSharded)
    }
    return attack.publish(`${PREFIX}-request#${NAMESPACE}#`, JSON.stringify(toClassic(type, data, uid, x)), false)
  }
  /** Sends many messages, and waits until the servers have taken them. */
  const sendMany = (times: number, make: (index: number) => Message) =>
    Effect.promise(async () => {
      for (let sent = 0; sent < times; sent += BATCH) {
        const batch = Array.from({ length: Math.min(BATCH, times - sent) }, (_, index) => send(make(sent + index)))
        await Promise.all(batch)
      }
    })
  return { a, b, attack, send, sendMany, isSharded }
})

/** The types of the classic format, and its fields. */
const toClassic = (type: number, data: any = {}, uid: string, x: object | undefined) => {
  const types: Record<number, number> = { 3: 7, 4: 2, 5: 3, 6: 4, 7: 5, 9: 6 }
  const { packet, ...fields } = data
  const event = type === 9 ? { data: packet } : { packet }
  return { uid, type: types[type] ?? (type === 13 ? 106 : type), ...fields, ...event, x }
}

const EVERYBODY = { rooms: [], except: [], flags: {} }

/** Waits until a server has taken what was sent, and holds no more than it did before, but for so many bytes. */
const holdsNoMore = (before: number, most: number) =>
  wait("the memory of before", () => memoryInUse() - before < most, 30_000)

const timeout = 240_000

describe("a bus that is abused", requires("Redis"), () => {
  for (const format of formats.slice(0, costly(3, 1, 1))) {
    it.live(
      `${MANY} servers that are made up are not remembered (${format})`,
      () =>
        Effect.gen(function* () {
          const { a, b, sendMany } = yield* start(format)
          const flood = (times: number, from: number) =>
            sendMany(times, (index) => ({
              type: 101,
              uid: `made-up-${from + index}`,
              data: { requestId: "r" },
              x: { n: 5 }
            }))
          yield* flood(20_000, 0)
          yield* isAlive(a, b)
          const before = memoryInUse()
          yield* flood(MANY, 20_000)
          yield* isAlive(a, b)
          yield* isAlive(b, a)
          yield* holdsNoMore(before, 4_000_000)
          // Those that are real are still known: what they lose is counted.
          const { lost } = yield* a.status.current
          assert.strictEqual(lost, 0)
          yield* isAlive(a, b)
        }),
      { timeout }
    )

    it.live(
      `questions to clients that never answer are bounded, and are over with their clients (${format})`,
      () =>
        Effect.gen(function* () {
          const { a, b, sendMany } = yield* start(format)
          const client = yield* connect(a.url + NAMESPACE)
          yield* sendMany(costly(100_000, 15_000, 15_000), (index) => ({
            type: 3,
            uid: `asker-${index % 100}`,
            data: { requestId: `q-${index}`, opts: EVERYBODY, packet: { type: 2, data: ["question"] } }
          }))
          yield* isAlive(b, a)
          assert.isAbove(questionsOf(a.adapter()).work, 500)
          assert.isAtMost(questionsOf(a.adapter()).work, 10_000)
          client.disconnect()
          yield* wait("the end of questions", () => questionsOf(a.adapter()).work === 0)
          yield* isAlive(a, b)
        }),
      { timeout }
    )

    it.live(`no client gets into more rooms than it may (${format})`, () =>
      Effect.gen(function* () {
        const { a, attack, b, isSharded, send } = yield* start(format)
        const client = yield* connect(a.url + NAMESPACE)
        const before = yield* Effect.promise(() => attack.channels())
        const join = (from: number, times: number) =>
          send({
            type: 4,
            data: { opts: EVERYBODY, rooms: Array.from({ length: times }, (_, i) => `room-${from + i}`) }
          })
        yield* Effect.promise(() => join(0, 100_000))
        yield* Effect.promise(async () => {
          for (let i = 0; i < 100; i++) await join(100_000 + i * 100, 100)
        })
        yield* isAlive(b, a)
        assert.strictEqual(yield* call(client, "rooms"), 1_001)
        if (isSharded) {
          const { sharded } = yield* Effect.promise(() => attack.channels())
          assert.isAtMost(sharded.length, before.sharded.length + 1_000)
        }
        client.disconnect()
        yield* isAlive(a, b)
        yield* Effect.promise(() => attack.channels()).pipe(
          Effect.tap(() => Effect.sleep(20)),
          Effect.repeat({ until: ({ sharded }) => sharded.length <= before.sharded.length })
        )
      })
    )

    it.live(`handlers that die or never end harm nobody, and are bounded (${format})`, () =>
      Effect.gen(function* () {
        const { a, b, sendMany } = yield* start(format)
        const data = (name: string, requestId?: string) => ({
          packet: [name, 1],
          ...(requestId !== undefined && { requestId })
        })
        yield* sendMany(2_000, (index) => ({ type: 9, data: data("die", index % 2 === 0 ? `d-${index}` : undefined) }))
        yield* sendMany(costly(100_000, 12_000, 12_000), (index) => ({
          type: 9,
          data: data("never", index % 2 === 0 ? `n-${index}` : undefined)
        }))
        yield* isAlive(a, b)
        assert.isAtMost(questionsOf(a.adapter()).work, 10_000)
        assert.isAtMost(a.serverLogs.length, 500)
        const answers = yield* Stream.runCollect(b.handle.serverSideEmitWithAck("name"))
        assert.deepStrictEqual(answers, [["name"]])
      })
    )

    it.live(
      `answers that nobody has asked for, and those of 16 MiB, leave nothing (${format})`,
      () =>
        Effect.gen(function* () {
          const { a, attack, b, isSharded } = yield* start(format)
          const { common, sharded } = yield* Effect.promise(() => attack.channels())
          const own = [...common, ...sharded].filter((channel) => /#[\w-]{6,16}#$/.test(channel))
          assert.lengthOf(own, 2)
          const socket = (id: number) => ({ id: `s${id}`, rooms: [], handshake: {}, data: {} })
          const answer = (sockets: ReadonlyArray<object>, uid: string) =>
            JSON.stringify(
              format === "classic"
                ? { requestId: "unasked", sockets, x: { u: uid } }
                : { type: 8, uid, nsp: NAMESPACE, data: { requestId: "unasked", sockets }, x: {} }
            )
          const huge = answer(
            Array.from({ length: 250_000 }, (_, index) => socket(index)),
            "huge"
          )
          assert.isAbove(huge.length, 10_000_000)
          const small = (index: number) => answer([socket(index)], `u${index}`)
          const flood = (times: number) =>
            Effect.promise(async () => {
              for (const channel of own) {
                for (let i = 0; i < times; i++) {
                  await Promise.all(
                    Array.from({ length: 100 }, (_, at) => attack.publish(channel, small(at), isSharded))
                  )
                }
                await attack.publish(channel, huge, isSharded)
                await attack.publish(channel, Buffer.alloc(17_000_000, 0x20), isSharded)
              }
            })
          yield* flood(10)
          yield* isAlive(a, b)
          const before = memoryInUse()
          yield* flood(costly(500, 50, 50))
          yield* isAlive(a, b)
          yield* holdsNoMore(before, 4_000_000)
          assert.strictEqual((yield* a.status.current).refused, 2)
        }),
      { timeout }
    )
  }

  it.live(
    "a beat has 10,000 lanes: those that nobody listens to are not remembered, and no other is forgotten",
    () =>
      Effect.gen(function* () {
        for (const format of formats) {
          const { a, b, send } = yield* start(format)
          yield* b.handle.emit("first")
          yield* isAlive(a, b)
          const flood = (times: number, from: number) =>
            Effect.forEach(
              Array.from({ length: times }),
              (_, index) => {
                const lanes = Array.from({ length: 10_000 }, (_, lane) => [`lane-${from + index}-${lane}`, 1])
                return Effect.promise(() => send({ type: 105, uid: "beating", x: { l: lanes } }))
              },
              { discard: true }
            )
          yield* flood(20, 0)
          const before = memoryInUse()
          yield* flood(costly(100, 10, 10), 20)
          yield* holdsNoMore(before, 4_000_000)
          yield* isAlive(a, b)
        }
      }),
    { timeout }
  )
})

describe("a stream that is abused", requires("Redis"), () => {
  const entry = (attack: Attacker, fields: Record<string, string | Uint8Array>, id = "*") =>
    Effect.promise(() => attack.send("XADD", "socket.io", id, ...Object.entries(fields).flat()))
  const broadcast = (text: string) => ({
    uid: "stranger",
    nsp: NAMESPACE,
    type: "3",
    data: JSON.stringify({ packet: { type: 2, data: ["say", text] }, opts: EVERYBODY })
  })

  it.live(
    "goes on after an entry of 16 MiB, one that is longer, and one without data that makes official servers deaf",
    () =>
      Effect.gen(function* () {
        const { a, attack, b } = yield* start("streams")
        const client = yield* connect(a.url + NAMESPACE)
        yield* entry(attack, { uid: "stranger", nsp: NAMESPACE, type: "3" })
        yield* entry(attack, { ...broadcast("x"), data: Buffer.alloc(40_000_000, 0x61) })
        yield* entry(attack, { nothing: "" })
        const long = next(client, "say")
        yield* entry(attack, broadcast("y".repeat(16_000_000)))
        assert.strictEqual((yield* long)[0].length, 16_000_000)
        const said = next(client, "say")
        yield* entry(attack, broadcast("after"))
        assert.deepStrictEqual(yield* said, ["after"])
        assert.strictEqual((yield* a.status.current).refused, 2)
        yield* isAlive(a, b)
      })
  )

  it.live("is read again after it was deleted, and when it begins anew with lower ids", () =>
    Effect.gen(function* () {
      const { a, attack, b } = yield* start("streams")
      const client = yield* connect(a.url + NAMESPACE)
      const del = Effect.promise(() => attack.send("DEL", "socket.io"))
      const hears = Effect.fnUntraced(function* (text: string, id?: string) {
        const said = yield* Effect.forkChild(next(client, "say"), { startImmediately: true })
        yield* entry(attack, broadcast(text), id)
        assert.deepStrictEqual(yield* Fiber.join(said), [text])
      })
      yield* hears("one")
      yield* del
      // In the same millisecond the new stream would begin with an id that was read.
      yield* Effect.sleep(2)
      yield* hears("two")
      yield* hears("far", "99999999999999-1")
      yield* del
      // Messages that come before the reader has noticed it are lost: it looks every five seconds.
      const heard: Array<string> = []
      client.on("say", (text: string) => heard.push(text))
      for (let n = 1; heard.length === 0; n++) {
        yield* entry(attack, broadcast("low"), `5-${n}`)
        yield* Effect.sleep("200 millis")
      }
      yield* entry(attack, broadcast("higher"), "6-1")
      yield* wait("the last of them", () => heard.includes("higher"))
      assert.deepStrictEqual(
        heard,
        heard.map((_, i) => (i < heard.length - 1 ? "low" : "higher"))
      )
      yield* del
      yield* Effect.promise(() => attack.send("SET", "socket.io", "no stream"))
      yield* Effect.sleep(300)
      yield* del
      yield* hears("three", "7-1")
      yield* isAlive(a, b)
    })
  )
})
