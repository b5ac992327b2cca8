/**
 * The messages between workers and their primary: their recipients, counts and bounds. Processes are in
 * `workers.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"

import { count } from "../support/extent.ts"
import { broadcast, Bus, settled, type Worker } from "./workerBus.ts"

const servers = (worker: Worker) => Effect.runPromise(worker.link().servers)

/** Three workers that know each other. */
const three = async (bus = new Bus()) => {
  const workers = [bus.worker(), bus.worker(), bus.worker()]
  const [a, b, c] = workers.map(({ worker }, index) => {
    worker.open(`uid-${index}`)
    return worker
  }) as [Worker, Worker, Worker]
  await settled()
  return { bus, a, b, c, ids: workers.map(({ id }) => id) }
}

describe("workers under a primary of this library", () => {
  it("know how many servers there are as soon as the primary welcomes them", async () => {
    const bus = new Bus()
    const { worker } = bus.worker()
    worker.open("uid-0")
    assert.isUndefined(await servers(worker))
    await settled()
    assert.strictEqual(await servers(worker), 1)
    const other = bus.worker().worker
    other.open("uid-1")
    await settled()
    assert.deepStrictEqual([await servers(worker), await servers(other)], [2, 2])
  })

  it("hear each other's messages in order, bytes too, and not their own", async () => {
    const { a, b, c } = await three()
    const bytes = new Uint8Array([0, 1, 255])
    for (const n of [1, 2, 3]) a.link().send(broadcast("n", n, ...(n === 2 ? [bytes] : [])))
    await settled()
    for (const { heard } of [b, c]) {
      const { messages } = heard.get("/")!
      assert.deepStrictEqual(
        messages.map((message) => (message as { data: unknown }).data),
        [
          ["n", 1],
          ["n", 2, bytes],
          ["n", 3]
        ]
      )
    }
    assert.isEmpty(a.heard.get("/")!.messages)
  })

  it("send the messages of one turn as one", async () => {
    const { a, b } = await three()
    a.up.sent.length = b.down.sent.length = 0
    for (let n = 0; n < 10; n++) a.link().send(broadcast("n", n))
    await settled()
    assert.lengthOf(a.up.sent, 1)
    assert.lengthOf(b.down.sent, 1)
    assert.lengthOf(b.heard.get("/")!.messages, 10)
  })

  it("take what a message holds when it is sent, not at the end of the turn", async () => {
    const { a, b } = await three()
    const value = { n: 1 }
    a.link().send(broadcast("n", value))
    value.n = 2
    a.link().send(broadcast("n", value))
    await settled()
    assert.deepStrictEqual(
      b.heard.get("/")!.messages.map((message) => (message as { data: unknown }).data),
      [
        ["n", { n: 1 }],
        ["n", { n: 2 }]
      ]
    )
  })

  it("get the answers to their own questions alone", async () => {
    const { a, b, c } = await three()
    b.link().answer({ uid: "uid-0", native: true }, { _tag: "Recipients", requestId: "r", count: 2 })
    b.link().answer({ uid: "uid-0", native: true }, { _tag: "Alive", requestId: "r" })
    await settled()
    assert.deepStrictEqual(a.heard.get("/")!.answers, [
      { _tag: "Recipients", requestId: "r", count: 2 },
      { _tag: "Alive", requestId: "r" }
    ])
    assert.isEmpty(c.heard.get("/")!.answers)
  })

  it("learn at once that a worker has died, and which namespaces it had", async () => {
    const { a, b, bus, c, ids } = await three()
    const other = a.open("uid-other-a", "/other")
    b.open("uid-other-b", "/other")
    await settled()
    bus.relay.onWorkerEnd(ids[1]!)
    await settled()
    assert.deepStrictEqual(a.heard.get("/")!.left, [["uid-1", true]])
    assert.deepStrictEqual(c.heard.get("/")!.left, [["uid-1", true]])
    assert.deepStrictEqual(other.left, [["uid-other-b", true]])
    assert.strictEqual(await servers(a), 2)
  })

  it("do not take a worker for dead that has closed in good order", async () => {
    const { a, b, bus, ids } = await three()
    b.line.close(b.link())
    await settled()
    bus.relay.onWorkerEnd(ids[1]!)
    await settled()
    assert.deepStrictEqual(a.heard.get("/")!.left, [["uid-1", false]])
  })

  it("tell an official worker everything in the official form", async () => {
    const { a, bus } = await three()
    const { worker: official } = bus.worker()
    official.up.send({ type: 1, uid: "official", nsp: "/", source: "_sio_adapter" }, () => {})
    await settled()
    official.down.sent.length = 0
    a.link().send(broadcast("n", 1))
    a.link().answer({ uid: "official", native: false }, { _tag: "Recipients", requestId: "r", count: 2 })
    await settled()
    const common = { uid: "uid-0", nsp: "/", source: "_sio_adapter" }
    const told = official.down.sent
    for (const message of told) delete message.x
    assert.deepStrictEqual(told, [
      {
        type: 3,
        data: { packet: { type: 2, data: ["n", 1] }, opts: { rooms: ["a"], except: [], flags: {} } },
        ...common
      },
      { type: 11, data: { requestId: "r", clientCount: 2 }, requesterUid: "official", ...common }
    ])
    assert.strictEqual(await servers(a), 4)
  })

  it("do without frames where the channel does not carry bytes", async () => {
    const { a, b } = await three(new Bus({ carriesBytes: false }))
    a.link().send(broadcast("n", 1))
    await settled()
    assert.isTrue(a.up.sent.every((message) => "type" in message))
    assert.lengthOf(b.heard.get("/")!.messages, 1)
  })
})

describe("what is bounded", () => {
  it("is what waits for a worker that hangs: the rest is counted, and it learns how much it has missed", async () => {
    const { a, b, bus, c } = await three(new Bus({ maxBuffer: 100_000 }))
    b.down.isStuck = true
    for (let n = 0; n < 200; n++) {
      a.link().send(broadcast("n", "x".repeat(1_000)))
      if (n % 10 === 0) await settled()
    }
    await settled()
    assert.isAbove(bus.counts.dropped, 100)
    assert.lengthOf(c.heard.get("/")!.messages, 200)
    b.down.resume()
    await settled()
    a.link().send(broadcast("n", "last"))
    await settled()
    const heard = b.heard.get("/")!.messages.length
    assert.isAbove(heard, 1)
    assert.strictEqual(heard + b.counts.lost, 201)
    assert.strictEqual(b.counts.lost, bus.counts.dropped)
  })

  it("is what waits for a primary that hangs", async () => {
    const bus = new Bus()
    const { worker } = bus.worker(10_000)
    worker.open("uid-0")
    worker.up.isStuck = true
    for (let n = 0; n < 100; n++) worker.link().send(broadcast("n", "x".repeat(1_000)))
    assert.isAbove(worker.counts.dropped, 85)
  })

  it("does not throw on a value that cannot be sent, but counts it", async () => {
    const { a, b } = await three()
    const circular: Record<string, unknown> = {}
    circular["self"] = circular
    a.link().send(broadcast("n", circular))
    a.link().send(broadcast("n", 1n))
    a.link().send(broadcast("n", 1))
    await settled()
    assert.strictEqual(a.counts.dropped, 2)
    assert.lengthOf(b.heard.get("/")!.messages, 1)
    assert.strictEqual(b.counts.lost, 2)
  })
})

describe("servers that are silent", () => {
  it("are dead after the timeout, and are there again when they are heard", async () => {
    const { a, b, bus, c } = await three()
    for (let second = 1; second <= 11; second++) {
      bus.now = second * 1_000
      // b hangs.
      for (const { line } of [a, c]) line.sweep()
      await settled()
    }
    assert.deepStrictEqual(a.heard.get("/")!.left, [["uid-1", true]])
    assert.strictEqual(await servers(a), 2)
    b.link().send(broadcast("n", 1))
    await settled()
    assert.strictEqual(await servers(a), 3)
    assert.strictEqual(a.counts.lost, 0)
  })

  it("tell that they are there when they have nothing else to say", async () => {
    const { a, b, bus } = await three()
    for (let second = 1; second <= 60; second++) {
      bus.now = second * 1_000
      for (const { line } of [a, b]) line.sweep()
      await settled()
    }
    assert.isFalse(a.heard.get("/")!.left.some(([uid]) => uid === "uid-1"))
    assert.isFalse(b.heard.get("/")!.left.some(([uid]) => uid === "uid-0"))
  })

  it("are not dead because this process was asleep", async () => {
    const { a, b, bus } = await three()
    bus.now = 30_000
    b.link().tell("Here")
    a.line.sweep()
    assert.isEmpty(a.heard.get("/")!.left)
    await settled()
    bus.now = 31_000
    a.line.sweep()
    assert.deepStrictEqual(a.heard.get("/")!.left, [["uid-2", true]])
  })
})

describe("a primary with hostile workers", () => {
  it("does not let a worker speak, answer or leave as another one's server", async () => {
    const { a, bus, c } = await three()
    const { worker: thief } = bus.worker()
    const envelope = { uid: "uid-1", nsp: "/", source: "_sio_adapter" }
    for (const type of [2, 3, 13]) thief.up.send({ ...envelope, type, data: {} }, () => {})
    await settled()
    assert.strictEqual(bus.counts.refused, 3)
    assert.isEmpty(a.heard.get("/")!.left)
    assert.strictEqual(await servers(c), 3)
  })

  it("leaves messages of the application alone", async () => {
    const { bus } = await three()
    const { worker } = bus.worker()
    for (const message of ["text", null, 1, {}, { type: 3, uid: "a", nsp: "/" }, { source: "other" }]) {
      worker.up.send(message as object, () => {})
    }
    await settled()
    assert.strictEqual(bus.counts.refused, 0)
  })

  it("counts what makes no sense, and passes on what does", async () => {
    const { a, b, bus } = await three()
    const { worker: hostile } = bus.worker()
    const deep: Array<unknown> = []
    let inner = deep
    for (let n = 0; n < 200_000; n++) inner.push((inner = []))
    bus.relay.onMessage(99, hostile.down.send, { type: 3, uid: "deep", nsp: "/", source: "_sio_adapter", data: deep })
    const circular: Record<string, unknown> = { type: 3, uid: "circle", nsp: "/", source: "_sio_adapter" }
    circular["data"] = circular
    bus.relay.onMessage(99, hostile.down.send, circular)
    assert.strictEqual(bus.counts.refused, 2)
    for (const message of messages(count(100_000, 10_000))) {
      bus.relay.onMessage(4, hostile.down.send, message)
      b.line.onMessage(message)
    }
    await settled()
    assert.isAbove(bus.counts.refused, 100)
    assert.isAbove(b.counts.refused, 100)
    const before = b.heard.get("/")!.messages.length
    a.link().send(broadcast("n", 1))
    await settled()
    assert.strictEqual(b.heard.get("/")!.messages.length, before + 1)
  })
})

/** Generated values in the places of all fields, and those that make sense there. It is faster to generate values than messages. */
function* messages(number: number): Iterable<Record<string, unknown>> {
  const any = fc.sample(fc.anything(), { numRuns: 1_000, seed: 42 })
  const sound = ["", "/", "uid-0", "uid-9", 1, 2, 3, 8, 13, 101, true, { requestId: "r" }, { opts: {} }, [], {}]
  let state = 42
  const below = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  const some = () => (below(2) === 0 ? any[below(any.length)] : sound[below(sound.length)])
  const fields = ["type", "uid", "nsp", "data", "x", "requesterUid", "dead", "welcome", "members", "takesFrames"]
  const envelope = () => {
    const message: Record<string, unknown> = {}
    for (const field of fields.slice(0, below(3) === 0 ? fields.length : 7)) if (below(8) > 0) message[field] = some()
    return message
  }
  const frame = () => (below(2) === 0 ? some() : json(envelope()))
  for (let n = 0; n < number; n++) {
    const message = below(3) === 0 ? { frames: below(4) === 0 ? some() : [some(), frame(), "", frame()] } : envelope()
    yield Object.assign(message, { source: "_sio_adapter" })
  }
}

const json = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? ""
  } catch {
    return "{"
  }
}
