/**
 * Streams over connections that are cut at any byte, read by the official client in two tabs.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema, Stream } from "effect"

import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as StreamEvent from "../../src/StreamEvent.ts"
import { Seeded } from "../../src/testing/internal/seeded.ts"
import { count } from "../support/extent.ts"
import { faultyProxy } from "../support/FaultyProxy.ts"
import { call, client, serve } from "../support/serve.ts"
import { OfficialReader } from "./officialReader.ts"

const Answer = StreamEvent.make("answer", {
  payload: { chat: Schema.String, words: Schema.Int },
  item: Schema.String,
  key: ({ chat }) => chat
})

class Ai extends Namespace.make("/ai").add(Answer) {}

const textOf = (words: number) => Array.from({ length: words }, (_, i) => `word ${i} `)

/** The work that was interrupted, by chat. */
const interrupted = new Set<string>()

const AiLive = SocketIoServer.layerNamespace(Ai, () =>
  Effect.succeed(
    Ai.of({
      answer: ({ chat, words }) =>
        Stream.fromIterable(textOf(words)).pipe(
          Stream.rechunk(1),
          Stream.tap(() => Effect.sleep("1 milli")),
          Stream.onExit((exit) => Effect.sync(() => void (Exit.isFailure(exit) && interrupted.add(chat))))
        )
    })
  )
)

const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]

/** A tab whose connections are cut a few times, each after some bytes of the server. */
const tab = Effect.fnUntraced(function* (url: string, random: Seeded, cuts: number) {
  const proxy = yield* faultyProxy(url)
  const socket = yield* client(`${proxy.url}/ai`, {
    reconnection: true,
    reconnectionDelay: 1,
    reconnectionDelayMax: 5,
    transports: TRANSPORTS[random.below(3)]!
  })
  let left = cuts
  const next = () => proxy.resetAfterAnswer(left-- > 0 ? 300 + random.below(3_000) : Infinity)
  socket.io.on("reconnect_attempt", next)
  next()
  let outages = 0
  socket.on("disconnect", () => outages++)
  return { socket, outages: () => outages }
})

/** Calls until the connection lasts long enough for an answer. */
const insist = (socket: Parameters<typeof call>[0], event: string, payload: unknown): Effect.Effect<any> =>
  Effect.promise(() => socket.timeout(500).emitWithAck(event, payload)).pipe(
    Effect.catchDefect(() => insist(socket, event, payload))
  )

const connected = (socket: Parameters<typeof call>[0]) =>
  Effect.callback<void>((resume) => {
    socket.once("connect", () => resume(Effect.void))
    socket.connect()
  })

const reading = (socket: Parameters<typeof call>[0], stream: string) => {
  const reader = new OfficialReader(socket, "answer", stream, 0, undefined)
  reader.askAnyway()
  return reader
}

const run = Effect.fnUntraced(function* (url: string, seed: number) {
  const random = new Seeded(seed, 0)
  const chat = `chat ${seed} of a run of cuts`
  const words = 40 + random.below(80)
  const one = yield* tab(url, random, 1 + random.below(4))
  const two = yield* tab(url, random, random.below(3))
  yield* connected(one.socket)
  const stream: string = (yield* insist(one.socket, "answer", { chat, words })).stream
  const first = reading(one.socket, stream)
  // The other tab comes in the middle, or after the end.
  yield* first.has(random.below(words))
  yield* connected(two.socket)
  const found: string | null = yield* insist(two.socket, "answer:find", chat)
  if (found !== null) assert.strictEqual(found, stream)
  const second = reading(two.socket, stream)
  const isStopped = random.below(2) === 0
  const before = performance.now()
  if (isStopped && first.ended === undefined) {
    yield* insist(random.below(2) === 0 ? one.socket : two.socket, "answer:stop", { stream })
    // Its work has ended with the answer, or the stream was at its end.
    if (first.values.length < words - 1) assert.isTrue(interrupted.has(chat) || (yield* first.end)?._tag === "Success")
  }
  const took = performance.now() - before
  assert.strictEqual((yield* first.end)?._tag, (yield* second.end)?._tag)
  assert.deepStrictEqual(first.values, second.values, `seed ${seed}`)
  const all = textOf(words)
  if (first.ended?._tag === "Success") assert.strictEqual(first.values.join(""), all.join(""), `seed ${seed}`)
  else assert.strictEqual(first.values.join(""), all.slice(0, first.values.length).join(""), `seed ${seed}`)
  assert.strictEqual(first.ended?._tag === "Stopped", interrupted.has(chat))
  return { outages: one.outages() + two.outages(), stopped: first.ended?._tag === "Stopped", took }
})

describe("a stream over connections that are cut", () => {
  it.live(
    "gives both tabs the same text, word for word, and stops when one of them says so",
    () =>
      Effect.gen(function* () {
        const { url } = yield* serve(AiLive)
        const seeds = Array.from({ length: count(500, 20) }, (_, i) => i + 1)
        const runs = yield* Effect.forEach(seeds, (seed) => Effect.scoped(run(url, seed)), { concurrency: 8 })
        const outages = runs.reduce((sum, run) => sum + run.outages, 0)
        const stopped = runs.filter((run) => run.stopped)
        const median = stopped.map(({ took }) => took).toSorted((a, b) => a - b)[stopped.length >> 1]!
        console.log(
          `${runs.length} streams, ${outages} cuts, ${stopped.length} stopped, median ${median.toFixed(1)} ms`
        )
        assert.isAtLeast(outages, seeds.length)
        assert.isAbove(stopped.length, seeds.length / 20)
        assert.isBelow(median, 100)
      }),
    170_000
  )
})
