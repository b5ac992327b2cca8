/**
 * Generated and mutated messages on every channel and stream of a cluster: two servers take them, count what they refuse, and are then as
 * they were.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"

import { costly } from "../support/extent.ts"
import { memoryInUse } from "../support/memory.ts"
import { alone } from "../support/metrics.ts"
import { requires } from "../support/peers.ts"
import { wait } from "../support/redisClients.ts"
import { redis } from "../support/redisServer.ts"
import { client } from "../support/serve.ts"
import { type Attacker, attacker, isAlive, questionsOf, redisVictim, refusedMetric, type Victim } from "./victim.ts"
import { body, damaged, fields, mistaken } from "./wire/generated.ts"
import { type Format, formats, makeOurs, NAMESPACE, PREFIX } from "./wire/officialNode.ts"

const MESSAGES = costly(100_000, 8_000, 4_000)
const WARM_UP = costly(10_000, 2_000, 2_000)
const BATCH = 500

const generated = fc.oneof(
  { weight: 1, arbitrary: body },
  { weight: 3, arbitrary: damaged },
  { weight: 3, arbitrary: mistaken }
)

/** The number of messages that the two servers refuse together: it is known exactly, but for rooms that may have no members. */
interface Expected {
  least: number
  most: number
}

/** A way to the servers: sends a message, and counts what will become of it. */
type Way = (body: Uint8Array, expected: Expected) => Promise<unknown>

const reader = (format: Format) => makeOurs(format, "somebody")

/** The ways of a format. A message to both servers counts twice. */
const waysOf = async (format: Format, attacker: Attacker): Promise<ReadonlyArray<Way>> => {
  const ours = reader(format)
  const isSharded = format === "sharded"
  const { common, sharded } = await attacker.channels()
  const own = (isSharded ? sharded : common).filter(isOwn)
  const way =
    (channel: string, decode: (body: Uint8Array) => { readonly _tag: string }, servers: number, isSure = true): Way =>
    (body, expected) => {
      if (decode(body)._tag === "Refused") {
        if (isSure) expected.least += servers
        expected.most += servers
      }
      return attacker.publish(channel, body, isSharded)
    }
  const broadcasts = `${PREFIX}#${NAMESPACE}#`
  const lobby = `${broadcasts}lobby#`
  switch (format) {
    case "classic":
      return [
        way(broadcasts, ours.classic.decodeBroadcast, 2),
        way(lobby, ours.classic.decodeBroadcast, 2, false),
        way(ours.classic.channels.request, ours.classic.decodeRequest, 2),
        way(ours.classic.channels.response, ours.classic.decodeResponse, 2),
        ...own.map((channel) => way(channel, ours.classic.decodeResponse, 1))
      ]
    case "sharded":
      return [
        way(broadcasts, ours.sharded.decode, 2),
        way(lobby, ours.sharded.decode, 2, false),
        ...own.map((channel) => way(channel, ours.sharded.decode, 1))
      ]
    case "streams":
      return [way(broadcasts, ours.streams.decode, 2), ...own.map((channel) => way(channel, ours.streams.decode, 1))]
  }
}

/** The channel of one server alone: the id of a server comes last. */
const isOwn = (channel: string): boolean => /#[\w-]{6,16}#$/.test(channel)

const asPart = (value: unknown): Uint8Array =>
  Buffer.from(value instanceof Uint8Array ? value : typeof value === "string" ? value : (JSON.stringify(value) ?? ""))

/** Adds an entry to the stream, whatever its fields are. */
const addEntry = (entry: Record<string, unknown>, attacker: Attacker, expected: Expected): Promise<unknown> => {
  const parts = Object.entries(entry).flatMap(([name, value]): Array<[string, Uint8Array]> =>
    value === undefined ? [] : [[name, asPart(value)]]
  )
  if (parts.length === 0) return Promise.resolve()
  const read = Object.fromEntries(parts)
  if (read["nsp"]?.toString() === NAMESPACE && reader("streams").streams.decodeEntry(read, "1-1")._tag === "Refused") {
    expected.least += 2
    expected.most += 2
  }
  return attacker.send("XADD", "socket.io", "*", ...parts.flat())
}

const flood = Effect.fnUntraced(function* (format: Format, attacker: Attacker, messages: number, seed: number) {
  const expected: Expected = { least: 0, most: 0 }
  const ways = yield* Effect.promise(() => waysOf(format, attacker))
  for (let sent = 0; sent < messages; sent += BATCH) {
    const sample = { numRuns: BATCH, seed: seed + sent }
    const bodies = fc.sample(generated, sample)
    const entries = format === "streams" ? fc.sample(fields, sample) : []
    yield* Effect.promise(async () => {
      const replies = bodies.map((body, index) => {
        const entry = entries[index]
        if (entry !== undefined && index % 2 === 0) return addEntry(entry, attacker, expected)
        return body === undefined ? undefined : ways[index % ways.length]!(body, expected)
      })
      await Promise.all(replies)
    })
  }
  return expected
})

const refusedBy = (servers: ReadonlyArray<Victim>) =>
  Effect.map(
    Effect.forEach(servers, ({ status }) => status.current),
    (all) => all.reduce((sum, { refused }) => sum + refused, 0)
  )

/** Clients that stay, and come back when a message has disconnected them. They answer nothing. */
const resident = Effect.fnUntraced(function* ({ url }: Victim) {
  const socket = yield* client(url + NAMESPACE, { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 })
  socket.on("connect", () => socket.emit("enter", "lobby", () => {}))
  // A client that was told to leave does not come back by itself.
  socket.on("disconnect", (reason) => {
    if (reason === "io server disconnect") socket.connect()
  })
  socket.connect()
  yield* wait("a client", () => socket.connected)
  return socket
})

describe("messages of every kind from a bus, damaged in every way", requires("Redis"), () => {
  for (const format of formats) {
    it.live(
      `${MESSAGES} of them leave two servers alive, counted, and as they were (${format})`,
      () =>
        alone(
          Effect.gen(function* () {
            const running = yield* redis()
            const attack = yield* attacker(running)
            const a = yield* redisVictim(format, running)
            const b = yield* redisVictim(format, running)
            const residents = yield* Effect.forEach([a, a, b], resident)
            const before = yield* Effect.promise(() => attack.channels())
            const start = performance.now()

            /** The rooms of clients are theirs: they go with them. */
            const deserted = Effect.gen(function* () {
              for (const socket of residents) socket.disconnect()
              for (const { handle } of [a, b]) {
                yield* Effect.repeat(Effect.delay(handle.all.local.size, 20), { until: (size) => size === 0 })
              }
            })
            const taken = (least: number) => wait("the flood", () => Effect.runSync(refusedBy([a, b])) >= least, 60_000)
            const warm = yield* flood(format, attack, WARM_UP, 1)
            yield* taken(warm.least)
            yield* deserted
            const memory = memoryInUse()
            for (const socket of residents) socket.connect()
            const rest = yield* flood(format, attack, MESSAGES, 1_000_000)
            const [least, most] = [warm.least + rest.least, warm.most + rest.most]
            yield* taken(least)
            yield* isAlive(a, b)
            yield* isAlive(b, a)
            const refused = yield* refusedBy([a, b])
            assert.isAbove(least, MESSAGES / 10)
            assert.isAtLeast(refused, least)
            assert.isAtMost(refused, most)
            assert.strictEqual(yield* refusedMetric, refused)

            const lines = (performance.now() - start) / 5_000
            for (const { logs, serverLogs } of [a, b]) {
              assert.isAtMost(logs.length, 5 * (lines + 2))
              assert.isAtMost(serverLogs.length, 100 + 30 * lines)
            }
            yield* deserted
            // A message that is under way for a moment does not count.
            yield* wait("the memory of before", () => memoryInUse() - memory < 4_000_000, 30_000)
            const left = yield* Effect.promise(() => attack.channels())
            yield* wait("the end of questions", () =>
              [a, b].every((self) => {
                const { open, work } = questionsOf(self.adapter())
                return open + work === 0
              })
            )
            const own = (channels: typeof left) => [...channels.common, ...channels.sharded].filter(isOwn).length
            assert.strictEqual(own(left), own(before))
            assert.strictEqual(left.patterns, before.patterns)
            assert.isAtMost(left.common.length + left.sharded.length, before.common.length + before.sharded.length)
          })
        ),
      { timeout: 300_000 }
    )
  }
})
