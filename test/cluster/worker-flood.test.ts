/**
 * Generated and mutated messages in the channel between a worker and its primary: a real server takes them, counts what it refuses, and is
 * then as it was.
 */
import { deserialize, serialize } from "node:v8"
import { assert, describe, it, vi } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as fc from "fast-check"

import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import { ClusterStatus, makeMonitor } from "../../src/adapter/ClusterStatus.ts"
import * as DistributedAdapter from "../../src/adapter/DistributedAdapter.ts"
import { Line } from "../../src/cluster/internal/line.ts"
import { Relay } from "../../src/cluster/internal/relay.ts"
import { questionsOf, refusedMetric, victim } from "../redis/victim.ts"
import { body, confused, confusion, damaged, mistaken, valueOf } from "../redis/wire/generated.ts"
import { NAMESPACE } from "../redis/wire/officialNode.ts"
import { costly } from "../support/extent.ts"
import { memoryInUse } from "../support/memory.ts"
import { alone } from "../support/metrics.ts"
import { wait } from "../support/redisClients.ts"
import { call, connect } from "../support/serve.ts"
import { Counts } from "./workerBus.ts"

const MESSAGES = costly(100_000, 20_000, 4_000)
const WARM_UP = costly(10_000, 2_000, 2_000)
const BATCH = 500
const SOURCE = { source: "_sio_adapter" }
const framed = (frames: unknown): object => ({ source: "_sio_adapter", frames })

/** Messages that a primary may send: encoded envelopes, sound or not, envelopes as values, and anything else. */
const generated: fc.Arbitrary<unknown> = fc.oneof(
  fc
    .tuple(fc.constantFrom("", "uid-a", "uid-b"), fc.oneof(body, damaged, mistaken))
    .map(([to, body]) => framed([to, body?.[0] === 0x7b ? Buffer.from(body).toString() : body])),
  confusion.map(([body, path, replacement]) => {
    const value = confused(valueOf(body), path, typeof replacement === "symbol" ? undefined : replacement)
    return typeof value === "object" && value !== null ? Object.assign({}, value, SOURCE) : value
  }),
  fc.anything({ maxDepth: 2, withTypedArray: true, withMap: true, withDate: true, withBigInt: true }).map(framed),
  fc.constantFrom<unknown>(
    null,
    7,
    "text",
    SOURCE,
    { ...SOURCE, welcome: "uid-a", nsp: NAMESPACE, members: [1, "stranger", {}], takesFrames: "yes" },
    { ...SOURCE, welcome: "uid-a", nsp: NAMESPACE, members: "all" },
    { ...SOURCE, nsp: NAMESPACE },
    { ...SOURCE, nsp: 5, type: 3 }
  )
)

const cyclic: Record<string, unknown> = { ...SOURCE, nsp: NAMESPACE, uid: "stranger", type: 9 }
cyclic["data"] = { packet: ["note", cyclic] }

/** Values that only the copies of Node's channel can have. */
const odd: ReadonlyArray<object> = [
  cyclic,
  {
    ...SOURCE,
    nsp: NAMESPACE,
    uid: "stranger",
    type: 3,
    data: { packet: { type: 2, data: ["big", 1n] }, opts: { rooms: [] } }
  },
  {
    ...SOURCE,
    nsp: NAMESPACE,
    uid: "stranger",
    type: 3,
    data: { packet: { type: 2, data: ["many"] }, opts: { rooms: Array(4e9) } }
  },
  { ...SOURCE, nsp: NAMESPACE, uid: "stranger", type: 4, data: { opts: { rooms: [] }, rooms: Array(4e9) } },
  { ...SOURCE, nsp: NAMESPACE, uid: "stranger", type: 8, data: { requestId: "q", sockets: Array(4e9) } },
  { ...SOURCE, frames: Array(4e9) }
]

/** A worker of which the test is the primary. */
const worker = Effect.fnUntraced(function* () {
  let line!: Line
  const layer = Layer.effectContext(
    Effect.gen(function* () {
      const monitor = yield* makeMonitor
      line = new Line((_message, done) => done(null), monitor, {
        maxBuffer: 16_777_216,
        heartbeatInterval: 5_000,
        heartbeatTimeout: 10_000,
        now: () => performance.now()
      })
      return Context.make(ClusterStatus, monitor.status).pipe(
        Context.add(AdapterFactory, (host) =>
          DistributedAdapter.make(
            host,
            (namespace, receiver) => Effect.sync(() => line.open("uid-a", namespace, receiver)),
            monitor
          )
        )
      )
    })
  )
  const self = yield* victim(layer)
  return { ...self, take: (message: unknown) => line.onMessage(deserialize(serialize(message))), line }
})

const flood = Effect.fnUntraced(function* (take: (message: unknown) => void, messages: number, seed: number) {
  for (let sent = 0; sent < messages; sent += BATCH) {
    for (const message of fc.sample(generated, { numRuns: BATCH, seed: seed + sent })) take(message)
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
  }
})

describe("messages of every kind from the primary, damaged in every way", () => {
  it.live(
    `${MESSAGES} of them leave a worker alive, counted, and as it was`,
    () =>
      alone(
        Effect.gen(function* () {
          const self = yield* worker()
          yield* flood(self.take, WARM_UP, 1)
          const memory = memoryInUse()
          yield* flood(self.take, MESSAGES, 1_000_000)
          const client = yield* connect(self.url + NAMESPACE)
          assert.strictEqual(yield* call(client, "echo", "alive"), "alive")
          const { refused } = yield* self.status.current
          assert.isAbove(refused, MESSAGES / 10)
          assert.strictEqual(yield* refusedMetric, refused)
          client.disconnect()
          yield* wait("the end of questions", () => questionsOf(self.adapter()).work === 0)
          yield* wait("the memory of before", () => memoryInUse() - memory < 4_000_000, 30_000)
          assert.isAtMost(self.logs.length, 30)
        })
      ),
    { timeout: 240_000 }
  )

  it.live("what only Node's channel can say is refused at once", () =>
    Effect.gen(function* () {
      const self = yield* worker()
      const client = yield* connect(self.url + NAMESPACE)
      const start = performance.now()
      for (const message of odd) self.take(message)
      assert.isBelow(performance.now() - start, 1_000)
      const { refused } = yield* self.status.current
      assert.isAtLeast(refused, odd.length - 1)
      assert.strictEqual(yield* call(client, "echo", "alive"), "alive")
    })
  )

  it("a server that starts makes a primary look at the servers of its namespace, not at those of all", () => {
    const relay = new Relay(new Counts().monitor, { maxBuffer: 16_777_216, carriesBytes: true })
    const sent: Array<{ readonly welcome?: string; readonly members?: ReadonlyArray<string> }> = []
    const send = (message: object, done: (error: Error | null) => void) => {
      sent.push(message)
      done(null)
    }
    const tell = (worker: number, type: number, uid: string, nsp: string) =>
      relay.onMessage(worker, send, { ...SOURCE, type, uid, nsp, x: {} })
    for (let worker = 0; worker < 8; worker++) {
      for (let i = 0; i < 100; i++) tell(worker, 1, `${worker} ${i}`, `/document/${i}`)
    }
    tell(1, 13, "1 7", "/document/7")
    relay.onWorkerEnd(2)
    const looks = vi.spyOn(Map.prototype, Symbol.iterator)
    tell(0, 1, "0 again", "/document/7")
    const { length } = looks.mock.calls
    looks.mockRestore()
    assert.strictEqual(length, 0)
    const welcome = sent.find((message) => message.welcome === "0 again")
    assert.deepStrictEqual(welcome?.members?.toSorted(), ["3 7", "4 7", "5 7", "6 7", "7 7"])
  })

  it(`${MESSAGES} of them leave a primary alive`, { timeout: 120_000 }, () => {
    const counts = new Counts()
    const relay = new Relay(counts.monitor, { maxBuffer: 16_777_216, carriesBytes: true })
    const send = (_message: object, done: (error: Error | null) => void) => done(null)
    const pass = (messages: number, seed: number) => {
      for (let sent = 0; sent < messages; sent += BATCH) {
        const batch = fc.sample(generated, { numRuns: BATCH, seed: seed + sent })
        for (const [index, message] of batch.entries())
          relay.onMessage(index % 3, send, deserialize(serialize(message)))
      }
    }
    pass(WARM_UP, 1)
    const before = memoryInUse()
    pass(MESSAGES, 1_000_000)
    const start = performance.now()
    for (const message of odd) relay.onMessage(0, send, deserialize(serialize(message)))
    assert.isBelow(performance.now() - start, 1_000)
    for (const id of [0, 1, 2]) relay.onWorkerEnd(id)
    assert.isBelow(memoryInUse() - before, 4_000_000)
    assert.isAbove(counts.refused, MESSAGES / 10)
  })
})
