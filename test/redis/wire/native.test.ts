/**
 * Servers of ours lose nothing between each other, in any format.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import type { ClusterMessage } from "../../../src/adapter/ClusterMessage.ts"
import * as Streams from "../../../src/redis/internal/streamsWire.ts"
import * as Sharded from "../../../src/redis/internal/shardedWire.ts"
import { count } from "../../support/extent.ts"
import * as arbitrary from "./arbitraries.ts"
import { formats, makeOurs, NAMESPACE, PREFIX } from "./officialNode.ts"

const settings = { seed: 20_261_128, numRuns: count(2_000, 200) } as const

/** Bytes arrive as Buffers, and as `Uint8Array`s they are equal. Whether they were looked for is no part of a message. */
const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Map || value instanceof Set) return [...value]
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => (key === "mayHaveBinary" ? [] : [[key, plain(member)]]))
  )
}

const deepEqual = (actual: unknown, expected: unknown) => assert.deepStrictEqual(plain(actual), plain(expected))

for (const format of formats) {
  describe(`between servers of ours, ${format}`, () => {
    const sender = makeOurs(format, "sender")
    const reader = makeOurs(format, "reader")

    const pass = (message: ClusterMessage, number: number | undefined) => {
      if (format === "streams" && sender.streams.goesByStream(message)) {
        return reader.streams.decodeEntry(sender.streams.encodeEntry(message, number) as never, "1-1")
      }
      const body = Buffer.from(sender.wire.encode(message, number) as Uint8Array)
      return reader.read({ channel: sender.wire.channelOf(message), body })
    }

    it("messages arrive as they were, with their number", () => {
      fc.assert(
        fc.property(arbitrary.message, arbitrary.number, (message, number) => {
          const received = pass(message, number)
          if (received._tag !== "Message") assert.fail(JSON.stringify(received))
          assert.deepInclude(received, { number })
          assert.deepInclude(received.from, { uid: "sender", native: true })
          deepEqual(received.message, message)
        }),
        settings
      )
    })

    it("answers arrive as they were", () => {
      fc.assert(
        fc.property(arbitrary.answer, arbitrary.number, (answer, number) => {
          const to = { uid: "reader", native: true }
          const channel = sender.wire.answerChannelOf(to, answer)
          const body = Buffer.from(sender.wire.encodeAnswer(to, answer, number)! as Uint8Array)
          const received = reader.read({ channel, body })
          if (received._tag !== "Answer") assert.fail(JSON.stringify(received))
          assert.deepInclude(received, { number })
          assert.deepInclude(received.from, { uid: "sender", native: true })
          if (answer._tag !== "Sockets") return deepEqual(received.answer, answer)
          const sockets = answer.sockets.map((socket) => ({
            ...socket,
            rooms: new Set([socket.id, ...socket.rooms])
          }))
          deepEqual(received.answer, { ...answer, sockets })
        }),
        settings
      )
    })

    it("`undefined` arrives as null among arguments, and none as none", () => {
      const to = { uid: "reader", native: true }
      for (const [args, expected] of [
        [[undefined], [null]],
        [
          [undefined, 1],
          [null, 1]
        ],
        [[], []],
        [[null], [null]]
      ] as const) {
        const answer = { _tag: "Answered", requestId: "q", args } as const
        const body = Buffer.from(sender.wire.encodeAnswer(to, answer, 1)! as Uint8Array)
        const received = reader.read({ channel: sender.wire.answerChannelOf(to, answer), body })
        assert.deepNestedInclude(received, { "answer.args": expected })
      }
    })

    it("a server ignores its own messages, and those of other namespaces", () => {
      const message = { _tag: "Cancel", requestId: "q" } as const
      const channel = sender.wire.channelOf(message)
      const body = Buffer.from(sender.wire.encode(message, 4) as Uint8Array)
      assert.strictEqual(sender.read({ channel, body })._tag, "Ignored")
    })

    it("beats tell the ends of lanes", () => {
      const lanes = [
        ["", 12],
        ["r", 0]
      ] as const
      const channel = sender.wire.channelOf({ _tag: "Cancel", requestId: "q" })
      const received = reader.read({ channel, body: Buffer.from(sender.wire.encodeBeat(lanes) as Uint8Array) })
      assert.deepStrictEqual(received, {
        _tag: "Beat",
        from: { uid: "sender", native: true, ...(format === "classic" ? {} : { position: undefined }) },
        lanes
      } as never)
    })

    it("beats ask for the ends of lanes that have changed in a time", () => {
      const channel = sender.wire.channelOf({ _tag: "Cancel", requestId: "q" })
      const received = reader.read({ channel, body: Buffer.from(sender.wire.encodeBeat([], 60_500) as Uint8Array) })
      assert.deepInclude(received, { _tag: "Beat", lanes: [], asks: 60_500 })
    })
  })
}

describe("the head of a classic broadcast", () => {
  const { classic } = makeOurs("classic", "sender")
  const broadcast = (number: number | undefined) =>
    classic.encode(
      {
        _tag: "Broadcast",
        data: ["hi", "x".repeat(100)],
        mayHaveBinary: false,
        selection: { rooms: ["r"], except: [] },
        flags: { volatile: false, compress: true }
      },
      number
    ) as Uint8Array

  it("tells sender and number without decoding", () => {
    for (const number of [undefined, 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      assert.deepStrictEqual(classic.readHead(broadcast(number)), { uid: "sender", native: true, number })
    }
  })

  it("tells an official sender", () => {
    const body = Buffer.from(
      "93a6394c6251335083a47479706502a46461746194a2686901a374776fc0a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
      "hex"
    )
    assert.deepStrictEqual(classic.readHead(body), { uid: "9LbQ3P", native: false, number: undefined })
  })

  it("agrees with what decoding tells, whatever the bytes are", () => {
    const body = broadcast(7)
    fc.assert(
      fc.property(fc.nat(body.length - 1), fc.nat(255), fc.nat(body.length), (at, byte, length) => {
        const mutated = Uint8Array.from(body).subarray(0, length)
        mutated[at] = byte
        const head = classic.readHead(mutated)
        const received = makeOurs("classic", "reader").classic.decodeBroadcast(mutated)
        if (head === undefined || received._tag === "Refused" || !("number" in received)) return
        assert.strictEqual(received.from.uid, head.uid)
        // A message of another namespace has no number here.
        if (received._tag !== "Ignored") assert.strictEqual(received.number, head.number)
      }),
      settings
    )
  })
})

describe("the channels of the sharded format", () => {
  const make = (mode: Sharded.SubscriptionMode) =>
    Sharded.make({ prefix: PREFIX, namespace: NAMESPACE, uid: "u", mode })
  const to = (...rooms: Array<string>): ClusterMessage => ({
    _tag: "Broadcast",
    data: ["hi"],
    mayHaveBinary: false,
    selection: { rooms, except: [] },
    flags: { volatile: false, compress: true }
  })
  const id = "aaaaaaaaaaaaaaaaaaaa"

  for (const [mode, room, privateRoom, several] of [
    ["static", "", "", ""],
    ["dynamic", "r#", "", ""],
    ["dynamic-private", "r#", `${id}#`, ""]
  ] as const) {
    it(`are those of the mode ${mode}`, () => {
      const wire = make(mode)
      assert.deepStrictEqual(
        [to("r"), to(id), to("r", "s"), to()].map((message) => wire.channelOf(message)),
        [room, privateRoom, several, ""].map((suffix) => `socket.io#/chat#${suffix}`)
      )
      assert.deepStrictEqual(
        [wire.subscribesTo("r", false), wire.subscribesTo(id, true)],
        [mode !== "static", mode === "dynamic-private"]
      )
    })
  }

  it("is the common one for a room with a long name, which no server has to remember", () => {
    const name = "r".repeat(513)
    for (const mode of ["dynamic", "dynamic-private"] as const) {
      const wire = make(mode)
      assert.deepStrictEqual(
        [wire.channelOf(to(name)), wire.channelOf(to(name.slice(1)))],
        [wire.common, wire.roomChannel(name.slice(1))]
      )
      // Official servers send to the room's channel.
      assert.isTrue(wire.subscribesTo(name, false))
    }
  })
})

describe("the stream of a namespace", () => {
  it("is one that all servers read, also where official servers write elsewhere", () => {
    const names = ["/", "/chat", ...Array.from({ length: 30 }, (_, i) => `/namespaces/${i * 7919}`)]
    assert.isTrue(names.some((name) => Streams.officialStreamOf(name, "s", 3).includes("--")))
    for (const name of names) {
      const official = Streams.officialStreamOf(name, "s", 3)
      assert.match(Streams.streamOf(name, "s", 3), /^s-[012]$/)
      if (!official.includes("--")) assert.strictEqual(Streams.streamOf(name, "s", 3), official)
    }
    assert.strictEqual(Streams.streamOf("/chat", "s", 1), "s")
  })
})
